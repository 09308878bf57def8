//! `microraiden init`: a receiver's key and a configuration, to begin with.

use crate::deploy::wants_json;
use crate::exit::Misuse;
use crate::{Failure, keys};
use clap::Args;
use microraiden_chain::deployment::Deployment;
use microraiden_chain::keys::{self as files, Password};
use microraiden_protocol::{Address, SecretKey};
use serde_json::json;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::{TempDir, TempPath};
use url::Url;

/// The configuration, with `@NAMES@` for what is filled in.
pub(crate) const TEMPLATE: &str = include_str!("template.toml");
const KEY: &str = "receiver.key";
const CONFIGURATION: &str = "proxy.toml";

/// Options of `init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden init                             receiver.key and proxy.toml, here
  microraiden init shop --upstream http://127.0.0.1:8000 --price '0.002 TKN' --deployment-file deployment.json
  microraiden init --no-password               a key that a service can use without being asked

What is not given is in the configuration with a usual value, or as a comment. Nothing is ever overwritten. The address
of the key goes to standard output.")]
pub(crate) struct InitArgs {
    /// The folder for both files; it is made when it is not there
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The server whose content is sold
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<Url>,
    /// What each request costs: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: Option<String>,
    /// The JSON-RPC endpoint of an Ethereum node; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_provider: Vec<Url>,
    /// The channel contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", conflicts_with = "channel_manager_address")]
    pub(crate) deployment_file: Option<PathBuf>,
    /// The file whose first line is the new key's password; asked for twice when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_password_file: Option<PathBuf>,
    /// Do not encrypt the key: whoever can read the file has it
    #[arg(long, conflicts_with = "private_key_password_file")]
    pub(crate) no_password: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes both files, or none.
pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let configuration = fill_in(args)?;
    // As people write them, without a dot in front.
    let shown = args.folder.strip_prefix(".").unwrap_or(&args.folder);
    let files = [KEY, CONFIGURATION].map(|name| shown.join(name));
    // Before a password is asked for.
    for file in &files {
        if file.symlink_metadata().is_ok() {
            return Err(exists(file));
        }
    }
    let target = Target::prepare(&args.folder)?;
    let password = match args.no_password {
        true => None,
        false => {
            let file = args.private_key_password_file.as_deref();
            let instead = "name its file with --private-key-password-file, or say --no-password";
            Some(keys::new_password(file, instead)?)
        }
    };
    let key = files::generate();
    target.write(&key, password.as_ref(), &configuration)?;
    let address = key.address().to_string();
    let [key, configuration] = files;
    match wants_json(args.json) {
        true => println!(
            "{:#}",
            json!({
                "address": address,
                "private_key": key.to_string_lossy(),
                "config": configuration.to_string_lossy(),
            })
        ),
        false => println!("{address}"),
    }
    eprintln!("{}", next_steps(args, &address, &key, &configuration));
    Ok(())
}

fn exists(file: &Path) -> Failure {
    let file = file.display();
    format!("{file} exists, and nothing is ever overwritten: move it away, or name another folder").into()
}

/// The configuration with what was given.
fn fill_in(args: &InitArgs) -> Result<String, Failure> {
    let or = |given: Option<&str>, usual: &str| value(given.unwrap_or(usual));
    if let Some(url) = args
        .upstream
        .as_ref()
        .filter(|url| !["http", "https"].contains(&url.scheme()))
    {
        let scheme = url.scheme();
        let text = format!("the address of an upstream begins with http:// or https://, not {scheme}://");
        return Err(Misuse(text).into());
    }
    let nodes: Vec<_> = args.rpc_provider.iter().map(|url| value(url.as_str())).collect();
    let nodes = match nodes.is_empty() {
        true => value("http://127.0.0.1:8545"),
        false => nodes.join(", "),
    };
    let contract = match (&args.channel_manager_address, &args.deployment_file) {
        (Some(address), _) => format!("channel_manager_address = {}", value(&address.to_string())),
        (None, Some(file)) => {
            Deployment::read(file)?;
            format!("deployment_file = {}", path_value(file)?)
        }
        (None, None) => "#deployment_file = \"deployment.json\"".to_owned(),
    };
    let password_file = match &args.private_key_password_file {
        Some(file) => format!("private_key_password_file = {}", path_value(file)?),
        None => "#private_key_password_file = \"receiver.password\"".to_owned(),
    };
    let filled = TEMPLATE
        .replace(
            "@UPSTREAM@",
            &or(args.upstream.as_ref().map(Url::as_str), "http://127.0.0.1:8000"),
        )
        .replace("@PRICE@", &or(args.price.as_deref(), "0.002 TKN"))
        .replace("@RPC_PROVIDER@", &nodes)
        .replace("@CONTRACT@", &contract)
        .replace("@PASSWORD_FILE@", &password_file);
    Ok(filled)
}

/// A text as TOML writes it: as JSON does, but for one character.
fn value(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A file that is not beside the configuration.
fn path_value(file: &Path) -> Result<String, Failure> {
    let file = std::path::absolute(file)?;
    let text = file
        .to_str()
        .ok_or("the name of a file must be Unicode to be in the configuration")?;
    Ok(value(text))
}

/// The folder, with another one in it in which the files are prepared.
struct Target<'a> {
    folder: &'a Path,
    staging: TempDir,
    /// Whether the folder goes again if nothing comes of it.
    made: bool,
}

impl<'a> Target<'a> {
    fn prepare(folder: &'a Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| format!("cannot write to {}: {error}", folder.display());
        let made = match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error).into()),
        };
        let private = Permissions::from_mode(0o700);
        let staging = tempfile::Builder::new()
            .prefix(".init")
            .permissions(private)
            .tempdir_in(folder);
        let staging = staging.map_err(failed)?;
        Ok(Self {
            folder,
            staging,
            made,
        })
    }

    /// Writes both files, each readable by its owner alone: the configuration may hold the password of a node.
    fn write(
        mut self,
        key: &SecretKey,
        password: Option<&Password>,
        configuration: &str,
    ) -> Result<(), Failure> {
        let [new_key, new_configuration] = [KEY, CONFIGURATION].map(|name| self.staging.path().join(name));
        match password {
            Some(password) => files::create_keystore(&new_key, key, password)?,
            None => files::create(&new_key, key)?,
        }
        write_private(&new_configuration, configuration)
            .map_err(|error| format!("cannot write to {}: {error}", self.folder.display()))?;
        let key = self.put(new_key, KEY)?;
        if let Err(error) = self.put(new_configuration, CONFIGURATION) {
            // It was not there before.
            fs::remove_file(key)?;
            return Err(error);
        }
        self.made = false;
        Ok(())
    }

    /// Moves a file to where it belongs, unless there is one by now.
    fn put(&self, file: PathBuf, name: &str) -> Result<PathBuf, Failure> {
        let target = self.folder.join(name);
        let put = TempPath::try_from_path(file)?.persist_noclobber(&target);
        match put {
            Ok(()) => Ok(target),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(exists(&target)),
            Err(error) => Err(error.error.into()),
        }
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.made {
            // What somebody else has put there meanwhile stays.
            let _ = fs::remove_dir_all(self.staging.path());
            let _ = fs::remove_dir(self.folder);
        }
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What is left to do, for a person.
fn next_steps(args: &InitArgs, address: &str, key: &Path, configuration: &Path) -> String {
    let named = args.channel_manager_address.is_some() || args.deployment_file.is_some();
    let missing: Vec<_> = [
        (args.upstream.is_some(), "the upstream"),
        (args.price.is_some(), "the price"),
        (!args.rpc_provider.is_empty(), "the node"),
        (named, "the contract"),
    ]
    .into_iter()
    .filter_map(|(given, what)| (!given).then_some(what))
    .collect();
    let keep = if args.no_password {
        "it is not encrypted, so let nobody read it"
    } else {
        "keep its password"
    };
    let (key, shown, configuration) = (key.display(), configuration.display(), quoted(configuration));
    let edit = match missing.is_empty() {
        true => format!("Look at {shown}"),
        false => format!("Edit {shown}: {}", missing.join(", ")),
    };
    format!(
        "{key} is your key: back it up, and {keep}.\n\
         Next:\n  \
         1. {edit}.\n  \
         2. Send some ether to {address}; closing a channel that is disputed costs gas.\n  \
         3. microraiden proxy check --config {configuration} --online\n  \
         4. microraiden proxy --config {configuration}"
    )
}

/// A file's name as an argument for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+=:,@%".contains(character);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::proxy::settings::{Settings, Source};
    use clap::Parser;

    /// Both are looked for beforehand; somebody may be faster between.
    #[test]
    fn no_key_is_left_when_a_configuration_has_come_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        let target = Target::prepare(&shop).unwrap();
        fs::write(shop.join(CONFIGURATION), "theirs").unwrap();
        let error = target.write(&files::generate(), None, "ours").unwrap_err();
        assert!(error.to_string().contains("proxy.toml exists"), "{error}");
        let left: Vec<_> = fs::read_dir(&shop)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(left, [shop.join(CONFIGURATION)]);
        assert_eq!(fs::read_to_string(shop.join(CONFIGURATION)).unwrap(), "theirs");
    }

    /// With nothing given, and with everything that needs no other file.
    #[test]
    fn the_configuration_is_one_that_the_proxy_reads() {
        let folder = tempfile::tempdir().unwrap();
        let address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let given = [
            "--channel-manager-address",
            address,
            "--private-key-password-file",
            "a\"b.password",
        ];
        for options in [&[][..], &given] {
            let line = [&["microraiden", "init"], options].concat();
            let Command::Init(args) = Cli::parse_from(line).command else {
                panic!("{options:?}")
            };
            let path = folder.path().join(CONFIGURATION);
            fs::write(&path, fill_in(&args).unwrap()).unwrap();
            let options = Settings::default();
            let source = Source {
                config: Some(path.clone()),
                options,
                dev_chain: None,
            };
            let settings = source.load().unwrap().settings;
            assert_eq!(settings.private_key, Some(folder.path().join(KEY)));
            assert_eq!(settings.channel_manager_address, args.channel_manager_address);
            assert_eq!(settings.rpc_provider.len(), 1);
            assert!(settings.upstream.is_some() && settings.price.is_some());
            let password_file = args.private_key_password_file.as_ref();
            let password_file = password_file.map(|file| std::path::absolute(file).unwrap());
            assert_eq!(settings.private_key_password_file, password_file);
        }
    }

    #[test]
    fn a_value_is_one_string_whatever_is_in_it() {
        assert_eq!(value("a\"b\\c\n\u{7f}é"), r#""a\"b\\c\n\u007fé""#);
    }

    #[test]
    fn a_name_is_quoted_for_the_shell_where_it_must_be() {
        for (name, written) in [
            ("shop/a.b", "shop/a.b"),
            ("my shop", "'my shop'"),
            ("a'b", r"'a'\''b'"),
        ] {
            assert_eq!(quoted(Path::new(name)), written);
        }
    }
}
