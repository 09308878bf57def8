//! Lets operators in, and limits what can be tried.
//!
//! A name that is nobody's costs nothing and is refused at once. For each operator so many passwords
//! can be tried, and then one in some seconds; a right one does not count. So few are checked at
//! once that requests are not held up. A token is not limited.

use super::passwords::{self, Operators};
use super::sessions::Sessions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How many wrong passwords of an operator are taken at once.
const BURST: u32 = 10;
/// After how long one more is taken.
const INTERVAL: Duration = Duration::from_secs(6);
/// How many passwords are checked at once.
const CHECKED_AT_ONCE: usize = 2;

/// Checks who an operator is.
pub(in crate::rest) struct Guard {
    operators: Operators,
    checks: Arc<Semaphore>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    sessions: Sessions,
    /// Until when the passwords tried take up their time, by the operator's name.
    tried: HashMap<String, Instant>,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rest) struct Operator(String);

impl Operator {
    /// Their name.
    pub(in crate::rest) fn name(&self) -> &str {
        &self.0
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Neither a token nor an operator's password.
    Unauthorized,
    /// Too many passwords were tried; again after this time.
    TooMany(Duration),
    /// Checking has failed.
    Failed,
}

/// A name, or a token, and a password.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    user: String,
    password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name may be a token.
        f.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// Reads the `Authorization` header of the Basic scheme; `None` when there is no such thing.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self {
            user: String::from_utf8(decoded[..colon].to_vec()).ok()?,
            password: decoded[colon + 1..].to_vec(),
        })
    }
}

impl Guard {
    /// Lets these in.
    pub(in crate::rest) fn new(operators: Operators) -> Self {
        Self {
            operators,
            checks: Arc::new(Semaphore::new(CHECKED_AT_ONCE)),
            inside: Mutex::default(),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who it is, by token or by name and password.
    pub(super) async fn check(&self, credentials: Credentials) -> Result<Operator, Denied> {
        let Credentials { user, password } = credentials;
        let now = Instant::now();
        if let Some(operator) = self.inside().sessions.renew(&user, now) {
            return Ok(Operator(operator));
        }
        let hash = self
            .operators
            .hash_of(&user)
            .ok_or(Denied::Unauthorized)?
            .to_owned();
        // Counted before it is checked, so that many at once are many.
        self.inside().try_password(&user, now)?;
        let permit = self.checks.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Denied::Failed)?;
        let check = move || {
            let _permit = permit;
            passwords::verify(&password, &hash)
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(true) => {
                self.inside().was_right(&user);
                Ok(Operator(user))
            }
            Ok(false) => {
                tracing::warn!(operator = user, "a wrong password");
                Err(Denied::Unauthorized)
            }
            Err(error) => {
                tracing::error!(%error, "a password could not be checked");
                Err(Denied::Failed)
            }
        }
    }

    /// A token for somebody who was let in.
    pub(super) fn open_session(&self, operator: &Operator) -> Result<String, getrandom::Error> {
        self.inside().sessions.open(&operator.0, Instant::now())
    }

    /// Ends the session of a token, if it is one.
    pub(super) fn close_session(&self, credentials: &Credentials) {
        self.inside().sessions.close(&credentials.user);
    }
}

impl Inside {
    fn try_password(&mut self, operator: &str, now: Instant) -> Result<(), Denied> {
        let until = self.tried.entry(operator.to_owned()).or_insert(now);
        let begin = (*until).max(now);
        let wait = (begin - now).saturating_sub(INTERVAL * (BURST - 1));
        if !wait.is_zero() {
            return Err(Denied::TooMany(wait));
        }
        *until = begin + INTERVAL;
        Ok(())
    }

    fn was_right(&mut self, operator: &str) {
        if let Some(until) = self.tried.get_mut(operator) {
            *until = until.checked_sub(INTERVAL).unwrap_or(*until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials {
            user: user.to_owned(),
            password: password.into(),
        }
    }

    fn guard() -> Guard {
        let hash = passwords::hash_password("right").unwrap();
        let operators = Operators::default().with("ann", &hash).unwrap();
        Guard::new(operators)
    }

    #[tokio::test]
    async fn a_password_or_a_token_lets_in() {
        let guard = guard();
        let ann = guard.check(credentials("ann", "right")).await.unwrap();
        assert_eq!(ann.name(), "ann");
        let token = guard.open_session(&ann).unwrap();
        for password in ["", "anything"] {
            assert_eq!(guard.check(credentials(&token, password)).await, Ok(ann.clone()));
        }
        guard.close_session(&credentials(&token, ""));
        for (user, password) in [
            (token.as_str(), ""),
            ("ann", "wrong"),
            ("ann", ""),
            ("bob", "right"),
        ] {
            let denied = guard.check(credentials(user, password)).await;
            assert_eq!(denied, Err(Denied::Unauthorized), "{user}");
        }
        // Nothing to end.
        guard.close_session(&credentials("ann", "right"));
        assert!(guard.check(credentials("ann", "right")).await.is_ok());
    }

    #[tokio::test]
    async fn only_so_many_wrong_passwords_are_checked() {
        let guard = guard();
        for _ in 0..3 * BURST {
            assert!(guard.check(credentials("ann", "right")).await.is_ok());
        }
        let ann = guard.check(credentials("ann", "right")).await.unwrap();
        let token = guard.open_session(&ann).unwrap();
        for _ in 0..BURST {
            let denied = guard.check(credentials("ann", "wrong")).await;
            assert_eq!(denied, Err(Denied::Unauthorized));
        }
        for password in ["wrong", "right"] {
            let denied = guard.check(credentials("ann", password)).await;
            assert!(
                matches!(denied, Err(Denied::TooMany(wait)) if wait <= INTERVAL),
                "{denied:?}"
            );
        }
        // Others and tokens are not held up.
        assert!(guard.check(credentials(&token, "")).await.is_ok());
        let denied = guard.check(credentials("bob", "wrong")).await;
        assert_eq!(denied, Err(Denied::Unauthorized));
    }

    #[test]
    fn with_time_more_passwords_can_be_tried() {
        let (mut inside, mut now) = (Inside::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(inside.try_password("ann", now), Ok(()));
        }
        assert_eq!(inside.try_password("ann", now), Err(Denied::TooMany(INTERVAL)));
        now += INTERVAL;
        assert_eq!(inside.try_password("ann", now), Ok(()));
        assert!(inside.try_password("ann", now).is_err());
        inside.was_right("ann");
        assert_eq!(inside.try_password("ann", now), Ok(()));
        now += INTERVAL * BURST * 10;
        for _ in 0..BURST {
            assert_eq!(inside.try_password("ann", now), Ok(()));
        }
        assert!(inside.try_password("ann", now).is_err());
    }

    #[test]
    fn only_the_basic_scheme_is_read() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            Credentials::of(&headers)
        };
        for text in ["Basic YW5uOmE6Yg==", "basic  YW5uOmE6Yg=="] {
            assert!(read(text) == Some(credentials("ann", "a:b")), "{text}");
        }
        for text in [
            "",
            "Basic",
            "Basic ",
            "Bearer x",
            "Basic YW5u",
            "Basic ann:a",
            "Basic /zo=",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        assert!(!format!("{:?}", read("Basic YW5uOmE6Yg==")).contains("ann"));
    }
}
