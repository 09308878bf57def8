//! A node that misbehaves on request, so that its clients' worst days can be repeated.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What begins the names of the methods that never fail: those that put an end to faults.
const ALWAYS_RIGHT: &str = "devchain_";
/// The methods that answer with the chain id.
const OF_CHAIN_ID: [&str; 2] = ["eth_chainId", "net_version"];

/// One way to misbehave.
///
/// As JSON, for `devchain_setFaults`: `{"methods": ["eth_getLogs"], "kind": {"delayMs": 500}, "times": 2}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The methods that it hits: names, or with a `*` at the end how names begin. Without any, it hits all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What happens.
    pub kind: FaultKind,
    /// How many requests it hits before it is over; `None` for all that come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// It is carried out and answered later by so many milliseconds, also if its client does not wait for the answer.
    DelayMs(u64),
    /// It is not carried out and never answered. Over HTTP the connection is closed; over WebSocket the rest goes on.
    Drop,
    /// It is not carried out, and answered with an error.
    Refuse {
        /// The JSON-RPC error code.
        code: i32,
        /// The error message.
        message: String,
    },
    /// `eth_chainId` and `net_version` answer with this, as a node of another chain would. Other methods stay as they are.
    ChainId(u64),
}

/// The faults of a node, in the order in which they were given; the first that hits a request decides.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faults: Mutex<Vec<Fault>>,
    /// Whether the node stops, and nothing is to be delayed any longer.
    ended: watch::Sender<bool>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answer,
    Late(Duration),
    Lost,
    Refused {
        code: i32,
        message: String,
    },
    /// It is answered with this chain id.
    OtherChain(u64),
}

impl Faults {
    /// Replaces all faults.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self.lock() = faults;
    }

    /// What becomes of a request for this method. A fault is over after its last time.
    pub(crate) fn fate(&self, method: &str) -> Fate {
        if method.starts_with(ALWAYS_RIGHT) {
            return Fate::Answer;
        }
        let mut faults = self.lock();
        let Some(index) = faults.iter().position(|fault| fault.hits(method)) else {
            return Fate::Answer;
        };
        let fault = &mut faults[index];
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                faults.remove(index);
            }
        }
        match kind {
            FaultKind::DelayMs(milliseconds) => Fate::Late(Duration::from_millis(milliseconds)),
            FaultKind::Drop => Fate::Lost,
            FaultKind::Refuse { code, message } => Fate::Refused { code, message },
            FaultKind::ChainId(chain_id) => Fate::OtherChain(chain_id),
        }
    }

    /// Waits for so long, but not if the node stops.
    pub(crate) async fn delay(&self, by: Duration) {
        let mut ended = self.ended.subscribe();
        // Either way it is over.
        let _ = tokio::time::timeout(by, ended.wait_for(|ended| *ended)).await;
    }

    /// Ends all delays for good.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn hits(&self, method: &str) -> bool {
        let is_named = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => method.starts_with(beginning),
            None => method == pattern,
        };
        let is_possible = match self.kind {
            FaultKind::ChainId(_) => OF_CHAIN_ID.contains(&method),
            _ => true,
        };
        is_possible && self.times != Some(0) && (self.methods.is_empty() || self.methods.iter().any(is_named))
    }
}
