//! Who is paid, and within which limits: one session for each origin, with a budget of its own.

use super::refusal::Refusal;
use crate::amounts;
use http::StatusCode;
use microraiden_chain::TokenInfo;
use microraiden_protocol::Amount;
use microraiden_sender::{Client, Session, SessionConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// How many origins can be paid, so that nobody with many names gets as many budgets.
pub(super) const MOST: usize = 32;

/// What may be spent, in the words of the command line.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) max_price: Amount,
    pub(super) budget: Amount,
    pub(super) token: TokenInfo,
}

impl Limits {
    pub(super) fn show(&self, amount: Amount) -> String {
        amounts::format(amount, &self.token.symbol, self.token.decimals)
    }
}

/// The sessions that pay.
pub(super) struct Hosts {
    client: Client,
    config: SessionConfig,
    /// By scheme, host and port.
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
}

impl Hosts {
    pub(super) fn new(client: Client, config: SessionConfig) -> Self {
        Self {
            client,
            config,
            sessions: Mutex::default(),
        }
    }

    /// The session of a URL's origin, which is kept once it has cost anything.
    pub(super) fn session(&self, url: &Url, limits: &Limits) -> Result<Arc<Session>, Refusal> {
        let origin = url.origin().ascii_serialization();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&origin) {
            return Ok(session.clone());
        }
        if sessions.len() >= MOST {
            sessions.retain(|_, session| is_in_use(session));
        }
        if sessions.len() >= MOST {
            return Err(Refusal::new(
                StatusCode::PAYMENT_REQUIRED,
                "too_many_hosts",
                format!(
                    "{MOST} hosts are paid already, each with a budget of its own, and {origin} would be one more; start \
                     microraiden pay-proxy again to begin anew"
                ),
            ));
        }
        let session = Session::new(self.client.clone(), self.config.clone())
            .map_err(|error| Refusal::of(&error, &origin, limits))?;
        let session = Arc::new(session);
        sessions.insert(origin, session.clone());
        Ok(session)
    }

    /// All of them, by origin.
    pub(super) fn all(&self) -> Vec<(String, Arc<Session>)> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .iter()
            .map(|(origin, session)| (origin.clone(), session.clone()))
            .collect()
    }
}

/// Whether a session has requests in flight, or has spent or locked up anything.
fn is_in_use(session: &Arc<Session>) -> bool {
    // Others can be made only from the map, which is locked.
    Arc::strong_count(session) > 1 || !session.spent().is_zero() || !session.channels().is_empty()
}
