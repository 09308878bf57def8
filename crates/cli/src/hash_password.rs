//! `microraiden hash-password`: the hash of an operator's password.

use crate::Failure;
use microraiden_proxy::rest::hash_password;
use std::io::{BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// The longest line that is read.
const MAX_LINE: u64 = 64 << 10;

/// Asks for a password, or reads it, and prints its hash.
pub(crate) fn run() -> Result<(), Failure> {
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let password = ask("Enter the operator's password: ")?;
        if *password != *ask("Enter it again: ")? {
            return Err("the passwords differ; nothing was hashed".into());
        }
        password
    } else {
        let mut line = Zeroizing::new(String::new());
        stdin.lock().take(MAX_LINE).read_line(&mut line)?;
        Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned())
    };
    println!("{}", hash_password(&password)?);
    Ok(())
}
