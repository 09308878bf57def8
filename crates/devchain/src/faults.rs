//! A node that misbehaves on request, so that its clients' worst days can be repeated.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// What begins the names of the methods that never fail: those that put an end to faults.
const ALWAYS_RIGHT: &str = "devchain_";

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
    /// It is carried out and answered later by so many milliseconds.
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
pub(crate) struct Faults(Mutex<Vec<Fault>>);

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answer,
    Late(Duration),
    Lost,
    Refused { code: i32, message: String },
}

impl Faults {
    /// Replaces all faults.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self.lock() = faults;
    }

    /// What becomes of a request for this method.
    pub(crate) fn fate(&self, method: &str) -> Fate {
        if method.starts_with(ALWAYS_RIGHT) {
            return Fate::Answer;
        }
        match self.strike(method, |kind| !matches!(kind, FaultKind::ChainId(_))) {
            Some(FaultKind::DelayMs(milliseconds)) => Fate::Late(Duration::from_millis(milliseconds)),
            Some(FaultKind::Drop) => Fate::Lost,
            Some(FaultKind::Refuse { code, message }) => Fate::Refused { code, message },
            Some(FaultKind::ChainId(_)) | None => Fate::Answer,
        }
    }

    /// The chain id that this method shall give instead of the right one.
    pub(crate) fn chain_id(&self, method: &str) -> Option<u64> {
        match self.strike(method, |kind| matches!(kind, FaultKind::ChainId(_)))? {
            FaultKind::ChainId(chain_id) => Some(chain_id),
            _ => None,
        }
    }

    /// The first fault of a kind that hits a method, which is over after its last time.
    fn strike(&self, method: &str, is_meant: impl Fn(&FaultKind) -> bool) -> Option<FaultKind> {
        let mut faults = self.lock();
        let index = faults
            .iter()
            .position(|fault| is_meant(&fault.kind) && fault.hits(method))?;
        let fault = &mut faults[index];
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                faults.remove(index);
            }
        }
        Some(kind)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn hits(&self, method: &str) -> bool {
        let is_named = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => method.starts_with(beginning),
            None => method == pattern,
        };
        self.times != Some(0) && (self.methods.is_empty() || self.methods.iter().any(is_named))
    }
}
