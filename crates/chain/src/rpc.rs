//! JSON-RPC: one request, one answer, both bounded in time and size.

use crate::connection::ConnectionError;
use crate::heads::NewHeads;
use alloy_primitives::{Bytes, hex};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// More than the largest sensible answer, the logs of a whole range of blocks.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;
/// What is kept of a node's explanation.
const MAX_MESSAGE_CHARS: usize = 400;

/// Why a node did not answer a request.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No answer within the time limit.
    #[error("no answer within the time limit")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("the connection failed: {0}")]
    Connection(ConnectionError),
    /// An HTTP status that is not a success, without a JSON-RPC error.
    #[error("HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long the node wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The node wanted to be left alone for longer than the request may take, or our own limit on the number of requests
    /// does not let it through.
    #[error("there is a limit on the number of requests")]
    Limited,
    /// The node is of another chain than before.
    #[error("it is a node of chain {found}, not of chain {expected}")]
    OtherChain {
        /// The id of its chain.
        found: u64,
        /// What it was or should be.
        expected: u64,
    },
    /// The answer is larger than 64 MiB.
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The answer is not the JSON that was expected.
    #[error("the answer is not what the method returns")]
    Malformed(#[source] serde_json::Error),
    /// The answer is null where there must be something.
    #[error("the answer is empty")]
    Empty,
    /// The node understood and refused.
    #[error("{message} (code {code})")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// The node's explanation.
        message: String,
        /// What a reverted call returned, when the node says so.
        data: Option<Bytes>,
    },
}

impl RpcError {
    /// Whether the same request may succeed later: time limits, connections, overload.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Connection(_) | Self::Limited => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Refused { .. } => self.is_rate_limit(),
            Self::TooLarge | Self::Malformed(_) | Self::Empty | Self::OtherChain { .. } => false,
        }
    }

    /// Whether the node has refused for the number of requests alone.
    pub(crate) fn is_rate_limit(&self) -> bool {
        match self {
            Self::Status { status, retry_after } => {
                *status == 429 || (*status == 503 && retry_after.is_some())
            }
            Self::Refused { code, message, .. } => *code == 429 || is_rate_limit(message),
            _ => false,
        }
    }

    /// How long the node wants to be left alone, if it says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the node may have done what it was asked for.
    pub(crate) fn may_be_carried_out(&self) -> bool {
        !matches!(
            self,
            Self::Limited
                | Self::Status {
                    status: 400..=499,
                    ..
                }
        ) && !self.is_rate_limit()
    }

    /// Whether it is for the node's sake, not for that of the request.
    pub(crate) fn is_of_the_node(&self) -> bool {
        let speaks_nonsense = matches!(
            self,
            Self::Status { .. } | Self::Malformed(_) | Self::OtherChain { .. }
        );
        self.is_transient() || speaks_nonsense
    }
}

fn is_rate_limit(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "rate limit",
        "request limit",
        "too many requests",
        "compute units",
        "throughput",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// What a request resolves to: the result's JSON text, `None` for null.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Option<Box<RawValue>>, RpcError>> + Send + 'a>>;

/// The way to a node and back. It bounds every answer in time and size, and its `Debug` shows no secret.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Makes one request and takes the node's answer to it.
    fn request(&self, method: &'static str, params: Value) -> Answered<'_>;

    /// Word of new blocks, from now on; of none unless the transport says otherwise.
    fn new_heads(&self) -> NewHeads {
        NewHeads::never()
    }

    /// Grows when answers begin to come from another node than before. What was answered before and after may not fit
    /// together. A transport to one node stays at 0.
    fn epoch(&self) -> u64 {
        0
    }
}

/// The body of an answer.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) result: Option<Box<RawValue>>,
    pub(crate) error: Option<ErrorObject>,
}

#[derive(Deserialize)]
pub(crate) struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<Value>,
}

impl From<ErrorObject> for RpcError {
    fn from(error: ErrorObject) -> Self {
        Self::Refused {
            code: error.code,
            message: error.message.chars().take(MAX_MESSAGE_CHARS).collect(),
            data: error.data.as_ref().and_then(revert_data),
        }
    }
}

/// The bytes that a call reverted with: `"0x…"`, `"Reverted 0x…"` or `{"data": "0x…"}`.
fn revert_data(data: &Value) -> Option<Bytes> {
    let text = data.as_str().or_else(|| data.get("data")?.as_str())?;
    let digits = text.trim_start_matches("Reverted ").strip_prefix("0x")?;
    hex::decode(digits).ok().map(Bytes::from)
}
