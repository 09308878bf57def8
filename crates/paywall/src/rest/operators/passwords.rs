//! Who may log in, and with which password.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params, PasswordHash};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The most memory that checking a password may take, in KiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// The most passes that checking a password may take.
const MAX_PASSES: u32 = 100;

/// Those who may log in, by name, with the argon2 hashes of their passwords. Nobody by default.
#[derive(Clone, Default)]
pub struct Operators(Arc<BTreeMap<String, String>>);

/// Why somebody cannot become an operator, or a password cannot be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// A name that cannot be sent, or is taken.
    #[error("an operator's name is not empty, has no colon and no control characters, and is given once")]
    Name,
    /// No argon2 hash.
    #[error("the password hash is not one of argon2; make one with `microraiden hash-password`")]
    Hash,
    /// A hash that asks for too much.
    #[error("the password hash asks for more than 1 GiB of memory or 100 passes")]
    TooExpensive,
    /// An empty password.
    #[error("the password is empty")]
    Empty,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Operators {
    /// With one more, by the PHC string of an argon2 hash.
    ///
    /// # Errors
    /// When the name or the hash cannot be used.
    pub fn with(mut self, name: &str, password_hash: &str) -> Result<Self, OperatorError> {
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(OperatorError::Name);
        }
        let hash = PasswordHash::new(password_hash).map_err(|_| OperatorError::Hash)?;
        let params = Params::try_from(&hash).map_err(|_| OperatorError::Hash)?;
        if !hash.algorithm.as_str().starts_with("argon2") || hash.hash.is_none() || hash.salt.is_none() {
            return Err(OperatorError::Hash);
        }
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return Err(OperatorError::TooExpensive);
        }
        let operators = Arc::make_mut(&mut self.0);
        if operators
            .insert(name.to_owned(), password_hash.to_owned())
            .is_some()
        {
            return Err(OperatorError::Name);
        }
        Ok(self)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everybody's name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The hash of somebody's password.
    pub(super) fn hash_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The argon2id hash of a password with a new salt, as a PHC string. Takes some 20 ms by design.
///
/// # Errors
/// When the password is empty.
pub fn hash_password(password: &str) -> Result<String, OperatorError> {
    if password.is_empty() {
        return Err(OperatorError::Empty);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|_| OperatorError::Random)
}

/// Whether a password is the one of a hash. Takes as long as the hash asks for.
pub(super) fn verify(password: &[u8], password_hash: &str) -> bool {
    let hash = PasswordHash::new(password_hash);
    hash.is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = hash_password("open sesame").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(verify(b"open sesame", &hash));
        for wrong in [&b"open sesam"[..], b"open sesame ", b""] {
            assert!(!verify(wrong, &hash));
        }
        assert_ne!(hash_password("open sesame").unwrap(), hash, "the salt is random");
        assert_eq!(hash_password(""), Err(OperatorError::Empty));
        let operators = Operators::default().with("ann", &hash).unwrap();
        assert_eq!(format!("{operators:?}"), "{\"ann\"}");
        let twice = operators.with("ann", &hash);
        assert_eq!(twice.unwrap_err(), OperatorError::Name);
    }

    #[test]
    fn what_is_no_name_or_no_hash_is_refused() {
        let hash = hash_password("x").unwrap();
        for name in ["", "a:b", "a\n"] {
            let refused = Operators::default().with(name, &hash);
            assert_eq!(refused.unwrap_err(), OperatorError::Name, "{name:?}");
        }
        let memory = hash.replace("m=19456", "m=4194304");
        let passes = hash.replace("t=2", "t=1000");
        for (bad, error) in [
            ("", OperatorError::Hash),
            ("open sesame", OperatorError::Hash),
            ("$2b$12$abcdefghijklmnopqrstuv", OperatorError::Hash),
            ("$argon2id$v=19$m=19456,t=2,p=1", OperatorError::Hash),
            (&memory, OperatorError::TooExpensive),
            (&passes, OperatorError::TooExpensive),
        ] {
            let refused = Operators::default().with("ann", bad);
            assert_eq!(refused.unwrap_err(), error, "{bad}");
        }
    }
}
