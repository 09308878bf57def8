//! The tokens that stand for a login.

use alloy_primitives::{B256, hex, keccak256};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a token lives after its last use.
const LIFETIME: Duration = Duration::from_secs(600);
/// How many tokens there are at most; the one that was used last of all goes first.
const MAX_SESSIONS: usize = 256;

/// The sessions, by the hashes of their tokens: what a look-up takes tells nothing about a token.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<B256, Session>);

#[derive(Debug)]
struct Session {
    operator: String,
    until: Instant,
}

impl Sessions {
    /// Begins a session and gives its token: 256 random bits in hexadecimal digits.
    pub(super) fn open(&mut self, operator: &str, now: Instant) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let token = hex::encode(bytes);
        self.0.retain(|_, session| session.until > now);
        if self.0.len() >= MAX_SESSIONS {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.until);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.0.remove(&oldest);
            }
        }
        let session = Session {
            operator: operator.to_owned(),
            until: now + LIFETIME,
        };
        self.0.insert(keccak256(&token), session);
        Ok(token)
    }

    /// Whose token it is; it then lives on.
    pub(super) fn renew(&mut self, token: &str, now: Instant) -> Option<String> {
        let hash = keccak256(token);
        let session = self.0.get_mut(&hash)?;
        if session.until <= now {
            self.0.remove(&hash);
            return None;
        }
        session.until = now + LIFETIME;
        Some(session.operator.clone())
    }

    /// Ends a session, if there is one.
    pub(super) fn close(&mut self, token: &str) {
        self.0.remove(&keccak256(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_while_it_is_used() {
        let (mut sessions, mut now) = (Sessions::default(), Instant::now());
        let token = sessions.open("ann", now).unwrap();
        assert_eq!(token.len(), 64);
        assert_ne!(sessions.open("ann", now).unwrap(), token);
        for _ in 0..3 {
            now += LIFETIME - Duration::from_millis(1);
            assert_eq!(sessions.renew(&token, now).as_deref(), Some("ann"));
        }
        assert_eq!(sessions.renew(&token[1..], now), None);
        now += LIFETIME;
        assert_eq!(sessions.renew(&token, now), None);

        let token = sessions.open("ann", now).unwrap();
        sessions.close(&token);
        assert_eq!(sessions.renew(&token, now), None);
    }

    #[test]
    fn there_are_only_so_many() {
        let (mut sessions, begin) = (Sessions::default(), Instant::now());
        let first = sessions.open("ann", begin).unwrap();
        let second = sessions.open("ann", begin + Duration::from_secs(1)).unwrap();
        for count in 2..=MAX_SESSIONS {
            sessions
                .open("bob", begin + Duration::from_secs(1 + count as u64 / 100))
                .unwrap();
        }
        assert_eq!(sessions.0.len(), MAX_SESSIONS);
        let now = begin + Duration::from_secs(5);
        assert_eq!(sessions.renew(&first, now), None);
        assert!(sessions.renew(&second, now).is_some());
    }
}
