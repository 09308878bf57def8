//! Private keys in files.
//!
//! A file that holds a key or a password must be readable by its owner alone, and the owner must be who runs the
//! program; otherwise it is refused. What systemd hands to a service as a credential is as private.

use eth_keystore::{EthKeystore, KdfparamsType, KeystoreError};
use microraiden_protocol::{Address, SecretKey};
use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::Value;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tempfile::NamedTempFile;
use zeroize::{Zeroize, Zeroizing};

/// A key file is a line, a keystore less than a kilobyte.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The most memory that a keystore's scrypt may ask for.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a file where a key was to be written.
    #[error("{path} exists, and a key is never overwritten: name another file")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key stands where its file should be named.
    #[error(
        "a private key was given in the place of its file, where other users and the shell's history can see it: use \
         another key, and write it into a file that only you can read"
    )]
    NotAFile,
    /// Others can read the file.
    #[error("{path} can be read by others: run `chmod 600` on it; if others may have read it, use a new key")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to somebody else.
    #[error("{path} belongs to another user: run `chown` on it, or run the program as its owner")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no key.
    #[error("{path} holds neither a keystore nor a private key of 64 hexadecimal digits in its first line")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The keystore has a form that is not known, or asks for too much memory.
    #[error("{path} is a keystore that cannot be read: {why}")]
    Keystore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The password is not the keystore's.
    #[error("the password does not open {path}")]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// The password could not be asked for.
    #[error("the password could not be read")]
    Prompt(#[source] io::Error),
}

/// A password. It prints as `***`, and is wiped when it is dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text; never to be printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads a private key: a JSON keystore of geth or parity, or 64 hexadecimal digits in the first line.
///
/// The password is asked for only when there is a keystore. Opening one takes about a second by design.
///
/// # Errors
/// When others can read the file, it holds no key, or the password is wrong.
pub fn load(
    path: &Path,
    password: impl FnOnce() -> Result<Password, KeyError>,
) -> Result<SecretKey, KeyError> {
    let text = read_private(path)?;
    if text.trim_start().starts_with('{') {
        return open_keystore(path, &text, password);
    }
    let line = text.lines().next().unwrap_or_default().trim();
    SecretKey::from_str(line).map_err(|_| KeyError::NoKey { path: path.into() })
}

/// The address of a key file. A keystore that tells its address is believed and not opened; so no password is asked for.
///
/// # Errors
/// As [`load`].
pub fn address(
    path: &Path,
    password: impl FnOnce() -> Result<Password, KeyError>,
) -> Result<Address, KeyError> {
    let told = serde_json::from_str::<Value>(&read_private(path)?)
        .ok()
        .and_then(|keystore| keystore.get("address")?.as_str()?.parse().ok());
    match told {
        Some(address) => Ok(address),
        None => load(path, password).map(|key| key.address()),
    }
}

/// Reads a password: the first line of a file, without its end.
///
/// # Errors
/// When others can read the file.
pub fn read_password(path: &Path) -> Result<Password, KeyError> {
    let text = read_private(path)?;
    Ok(Password::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Writes a private key in hexadecimal digits to a new file that only its owner can read.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
    let failed = |source| KeyError::Io {
        path: path.into(),
        source,
    };
    let mut digits = Zeroizing::new(alloy_primitives::hex::encode_prefixed(key.expose_bytes()));
    digits.push('\n');
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(digits.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// A new private key, from the system's randomness.
pub fn generate() -> SecretKey {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        OsRng.fill_bytes(&mut *bytes);
        // All but a few numbers are keys.
        if let Ok(key) = SecretKey::from_bytes(&*bytes) {
            return key;
        }
    }
}

/// Writes a private key, encrypted, to a new file that only its owner can read: whole, or not at all. It also tells the
/// address, as geth's do.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn create_keystore(path: &Path, key: &SecretKey, password: &Password) -> Result<(), KeyError> {
    let failed = |source| KeyError::Io {
        path: path.into(),
        source,
    };
    if path.symlink_metadata().is_ok() {
        return Err(KeyError::Exists { path: path.into() });
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Readable by its owner only, also after the keystore is written into it by name.
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    eth_keystore::encrypt_key(
        "",
        &mut OsRng,
        key.expose_bytes(),
        password.as_str(),
        file.path().to_str(),
    )
    .map_err(|error| failed(io::Error::other(error)))?;
    let keystore = std::fs::read_to_string(file.path()).map_err(failed)?;
    let mut keystore: Value = serde_json::from_str(&keystore).map_err(|error| failed(error.into()))?;
    keystore["address"] = alloy_primitives::hex::encode(key.address()).into();
    let file_mut = file.as_file_mut();
    file_mut.set_len(0).map_err(failed)?;
    writeln!(file_mut, "{keystore}").map_err(failed)?;
    file_mut.sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(KeyError::Exists { path: path.into() })
        }
        Err(error) => Err(failed(error.error)),
    }
}

/// Reads a file that nobody else can read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |source| KeyError::Io {
        path: path.into(),
        source,
    };
    // Before it becomes a name in a message.
    if path
        .to_str()
        .is_some_and(|text| SecretKey::from_str(text).is_ok())
    {
        return Err(KeyError::NotAFile);
    }
    let file = File::open(path).map_err(failed)?;
    check_private(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

#[cfg(unix)]
fn check_private(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(|source| KeyError::Io {
        path: path.into(),
        source,
    })?;
    if is_credential(path, &metadata) {
        return Ok(());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(KeyError::Foreign { path: path.into() });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.into() });
    }
    Ok(())
}

/// Whether the file is one that systemd hands to this service alone (`LoadCredential=`). Root owns it, and what its mode
/// shows as the rights of a group are those of an access list with nobody but the service's user on it.
#[cfg(unix)]
fn is_credential(path: &Path, file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from) else {
        return false;
    };
    let owners = [0, rustix::process::geteuid().as_raw()];
    let is_closed = |metadata: &std::fs::Metadata, open: u32| {
        owners.contains(&metadata.uid()) && metadata.mode() & open == 0
    };
    path.parent() == Some(&*folder)
        && folder.metadata().is_ok_and(|folder| is_closed(&folder, 0o027))
        && is_closed(file, 0o037)
}

/// Elsewhere the rights of a file are not told by a mode, and are left to the system.
#[cfg(not(unix))]
fn check_private(_path: &Path, _file: &File) -> Result<(), KeyError> {
    Ok(())
}

fn open_keystore(
    path: &Path,
    text: &str,
    password: impl FnOnce() -> Result<Password, KeyError>,
) -> Result<SecretKey, KeyError> {
    let unreadable = |why| KeyError::Keystore {
        path: path.into(),
        why,
    };
    let keystore: EthKeystore = serde_json::from_str(text)
        .map_err(|_| unreadable("it is not JSON of the Web3 secret storage, version 3"))?;
    check_keystore(&keystore).map_err(unreadable)?;
    let password = password()?;
    let mut bytes = match eth_keystore::decrypt_key(path, password.0.as_bytes()) {
        Ok(bytes) => bytes,
        Err(KeystoreError::MacMismatch) => return Err(KeyError::WrongPassword { path: path.into() }),
        Err(_) => return Err(unreadable("its parameters are not valid")),
    };
    let key = SecretKey::from_bytes(&bytes);
    bytes.zeroize();
    key.map_err(|_| unreadable("it does not hold a private key"))
}

/// What the decryption takes for granted.
fn check_keystore(keystore: &EthKeystore) -> Result<(), &'static str> {
    let crypto = &keystore.crypto;
    if keystore.version != 3 || crypto.cipher != "aes-128-ctr" {
        return Err("only version 3 with aes-128-ctr is known");
    }
    if crypto.cipherparams.iv.len() != 16 {
        return Err("its iv must have 16 bytes");
    }
    let key_length = match &crypto.kdfparams {
        KdfparamsType::Pbkdf2 { dklen, .. } => *dklen,
        KdfparamsType::Scrypt { dklen, n, r, .. } => {
            let memory = u64::from(*n)
                .checked_mul(u64::from(*r))
                .and_then(|blocks| blocks.checked_mul(128));
            if !n.is_power_of_two() || memory.is_none_or(|memory| memory > MAX_SCRYPT_BYTES) {
                return Err("its scrypt asks for more than 1 GiB of memory");
            }
            *dklen
        }
    };
    if key_length < 32 {
        return Err("its derived key must have 32 bytes");
    }
    Ok(())
}
