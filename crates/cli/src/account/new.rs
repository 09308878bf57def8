//! New key files: with a new key, or with one that the user has.

use super::args::{ImportArgs, NewArgs, TargetArgs};
use crate::deploy::wants_json;
use crate::exit::Misuse;
use crate::{Failure, keys};
use microraiden_chain::keys::{self as files, KeyError};
use microraiden_protocol::SecretKey;
use serde_json::json;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest line that is read.
const MAX_LINE: u64 = 64 << 10;

/// Makes a new key.
pub(super) fn run(args: &NewArgs) -> Result<(), Failure> {
    let target = free(&args.target)?;
    write(&target, &files::generate(), &args.target)
}

/// Encrypts a key that the user has.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let target = free(&args.target)?;
    let key = match &args.from {
        Some(from) if from.as_os_str() == "-" => {
            let mut line = Zeroizing::new(String::new());
            std::io::stdin().lock().take(MAX_LINE).read_line(&mut line)?;
            parse(&line)?
        }
        Some(from) => keys::load(from, None)?,
        None => {
            let asked = rpassword::prompt_password("Enter the private key, 64 hexadecimal digits: ");
            parse(&Zeroizing::new(asked.map_err(|_| {
                "there is no terminal to ask for the key: name its file with --from, or - for standard input"
            })?))?
        }
    };
    write(&target, &key, &args.target)
}

fn parse(line: &str) -> Result<SecretKey, Failure> {
    let key = line.trim().parse();
    key.map_err(|_| "that is no private key: it has 64 hexadecimal digits".into())
}

/// Where to write; looked at before anything is asked for.
fn free(args: &TargetArgs) -> Result<PathBuf, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => keys::new_default_file()?,
    };
    // Before it becomes the name of a file.
    let is_key = path
        .to_str()
        .is_some_and(|text| text.parse::<SecretKey>().is_ok());
    if is_key {
        return Err(Misuse(
            "a private key was given as an argument, where other users can see it: use another key, and --from"
                .to_owned(),
        )
        .into());
    }
    match path.symlink_metadata() {
        Ok(_) => Err(KeyError::Exists { path }.into()),
        Err(_) => Ok(path),
    }
}

fn write(target: &Path, key: &SecretKey, args: &TargetArgs) -> Result<(), Failure> {
    let password = keys::new_password(
        args.password_file.as_deref(),
        "name its file with --password-file",
    )?;
    files::create_keystore(target, key, &password)?;
    let address = key.address().to_string();
    match wants_json(args.json) {
        true => println!(
            "{:#}",
            json!({ "address": address, "file": target.to_string_lossy() })
        ),
        false => println!("{address}"),
    }
    eprintln!(
        "written to {}: back it up, and keep its password",
        target.display()
    );
    Ok(())
}
