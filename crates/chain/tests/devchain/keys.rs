//! Key files and password files.
#![cfg(unix)]

use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_protocol::SecretKey;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const DIGITS: &str = "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(folder: &TempDir, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join("key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn no_password() -> Result<Password, KeyError> {
    panic!("there is nothing to open by a password");
}

fn expected() -> SecretKey {
    DIGITS.parse().unwrap()
}

fn assert_key(key: &SecretKey) {
    assert_eq!(key.expose_bytes(), expected().expose_bytes());
}

#[test]
fn digits_are_read_from_the_first_line() {
    for text in [
        DIGITS.to_owned(),
        format!("0x{DIGITS}"),
        format!("0x{}\r\nmore", DIGITS.to_uppercase()),
        format!(" {DIGITS} \n"),
    ] {
        assert_key(
            &keys::load(&write(&folder(), &text, 0o600), no_password).unwrap_or_else(|error| {
                panic!("{text:?}: {error}");
            }),
        );
    }
    for text in [
        "",
        "\n0x",
        &DIGITS[1..],
        &"0".repeat(64),
        &"f".repeat(64),
        "no key",
    ] {
        let folder = folder();
        let error = keys::load(&write(&folder, text, 0o600), no_password).unwrap_err();
        assert!(matches!(error, KeyError::NoKey { .. }), "{text:?}: {error}");
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_with_what_to_do() {
    let folder = folder();
    for mode in [0o640, 0o604, 0o620, 0o610, 0o777] {
        let path = write(&folder, DIGITS, mode);
        let error = keys::load(&path, no_password).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { .. }), "{mode:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        assert!(matches!(
            keys::read_password(&path),
            Err(KeyError::Exposed { .. })
        ));
    }
    for mode in [0o600, 0o400, 0o700] {
        assert_key(&keys::load(&write(&self::folder(), DIGITS, mode), no_password).unwrap());
    }
    let error = keys::load(&folder.path().join("none"), no_password).unwrap_err();
    assert!(matches!(error, KeyError::Io { .. }));
}

/// A file of init or the kernel, which a test that does not run as root cannot own either.
#[test]
fn a_file_of_somebody_else_is_refused() {
    let folder = folder();
    let path = write(&folder, DIGITS, 0o600);
    if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
        let error = keys::load(&path, no_password).unwrap_err();
        assert!(matches!(error, KeyError::Foreign { .. }), "{error}");
    } else {
        let error = keys::load(Path::new("/proc/1/comm"), no_password).unwrap_err();
        assert!(matches!(error, KeyError::Foreign { .. }), "{error}");
    }
}

/// The key of these tests under the password "correct horse"; computed by another program, at the least cost.
fn keystore(kdf: &str) -> Value {
    let salt = "01".repeat(32);
    let (params, ciphertext, mac) = match kdf {
        "scrypt" => (
            json!({"dklen": 32, "n": 2, "r": 1, "p": 1, "salt": salt}),
            "182a48ecf4f97d530b354c096fd6bf6f259944ab7a5eb821bd631fc8946dc6b8",
            "a3774ee735b82f4a74601245542225b75a51db736073ef29d20489787f551c93",
        ),
        _ => (
            json!({"dklen": 32, "c": 2, "prf": "hmac-sha256", "salt": salt}),
            "9754e0a94a231b206d7745c56f9bbec3af62973a8d3319ea7a4443aa7c033498",
            "996a87d821d184e67bfc1c8813223000ed0ce0af54d02b593c15fdd53e0dabea",
        ),
    };
    json!({
        "version": 3,
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "address": "8bf640a099fe945da46f354d3b49c48a125f48b6",
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "02".repeat(16)},
            "ciphertext": ciphertext,
            "kdf": kdf,
            "kdfparams": params,
            "mac": mac,
        },
    })
}

fn open(keystore: &Value, password: &str) -> Result<SecretKey, KeyError> {
    let folder = folder();
    let path = write(&folder, &format!("\n{keystore:#}\n"), 0o600);
    keys::load(&path, || Ok(Password::new(password.into())))
}

#[test]
fn keystores_of_both_kinds_are_opened_by_their_password_alone() {
    for kdf in ["scrypt", "pbkdf2"] {
        let keystore = keystore(kdf);
        assert_key(&open(&keystore, "correct horse").unwrap());
        for wrong in ["", "correct horse ", "battery staple"] {
            let error = open(&keystore, wrong).unwrap_err();
            assert!(
                matches!(error, KeyError::WrongPassword { .. }),
                "{kdf} {wrong:?}: {error}"
            );
        }
    }
}

#[test]
fn keystores_of_other_forms_are_refused_before_the_password_is_asked_for() {
    for (pointer, value) in [
        ("/version", json!(1)),
        ("/crypto/cipher", json!("aes-256-gcm")),
        ("/crypto/cipherparams/iv", json!("0202")),
        ("/crypto/kdfparams/dklen", json!(16)),
        ("/crypto/kdfparams/n", json!(3)),
        ("/crypto/kdfparams/n", json!(1 << 30)),
        ("/crypto/kdfparams/r", json!("1")),
        ("/crypto/mac", json!(null)),
    ] {
        let mut keystore = keystore("scrypt");
        *keystore.pointer_mut(pointer).unwrap() = value;
        let folder = folder();
        let error = keys::load(&write(&folder, &keystore.to_string(), 0o600), no_password).unwrap_err();
        assert!(matches!(error, KeyError::Keystore { .. }), "{pointer}: {error}");
    }
    // A word in place of the key: the password is right, what it opens is not a key.
    let mut short = keystore("scrypt");
    short["crypto"]["ciphertext"] = json!("18");
    assert!(open(&short, "correct horse").is_err());
}

#[test]
fn the_password_is_the_first_line_of_its_file() {
    let folder = folder();
    let password = keys::read_password(&write(&folder, "correct horse\nbattery staple\n", 0o600)).unwrap();
    assert_eq!(format!("{password:?}"), "***");
    let keys_folder = self::folder();
    let path = write(&keys_folder, &keystore("scrypt").to_string(), 0o600);
    assert_key(&keys::load(&path, || Ok(password)).unwrap());
}

#[test]
fn a_new_key_file_is_its_owners_alone_and_replaces_nothing() {
    let folder = folder();
    let path = folder.path().join("new");
    keys::create(&path, &expected()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("0x{DIGITS}\n"));
    assert_key(&keys::load(&path, no_password).unwrap());
    let other = SecretKey::from_bytes(&[7; 32]).unwrap();
    assert!(matches!(keys::create(&path, &other), Err(KeyError::Io { .. })));
    assert_key(&keys::load(&path, no_password).unwrap());
}
