//! JSON-RPC: one request, one answer, both bounded in time and size.

use alloy_primitives::{Bytes, hex};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use url::Url;

/// More than the largest sensible answer, the logs of a whole range of blocks.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// What is kept of a node's explanation.
const MAX_MESSAGE_CHARS: usize = 400;

/// Why a node did not answer a request.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No answer within the time limit.
    #[error("no answer within the time limit")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// An HTTP status that is not a success, without a JSON-RPC error.
    #[error("HTTP status {0}")]
    Status(u16),
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
            Self::Timeout | Self::Connection(_) => true,
            Self::Status(status) => matches!(status, 408 | 429 | 500..),
            Self::Refused { code, message, .. } => *code == 429 || is_rate_limit(message),
            Self::TooLarge | Self::Malformed(_) | Self::Empty => false,
        }
    }
}

fn is_rate_limit(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["rate limit", "too many requests", "compute units", "throughput"]
        .iter()
        .any(|sign| message.contains(sign))
}

impl From<reqwest::Error> for RpcError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        Self::Connection(error.without_url())
    }
}

/// What a request resolves to: the result's JSON text, `None` for null.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Option<Box<RawValue>>, RpcError>> + Send + 'a>>;

/// The way to a node and back. It bounds every answer in time and size, and its `Debug` shows no secret.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Makes one request and takes the node's answer to it.
    fn request(&self, method: &'static str, params: Value) -> Answered<'_>;
}

/// HTTP. It does not print: the address may hold a password or an access key.
pub(crate) struct Endpoint {
    client: reqwest::Client,
    url: Url,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Box<RawValue>>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<Value>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Endpoint {
    /// Prepares for requests that may take `timeout` each; connects later.
    pub(crate) fn new(url: &Url, timeout: Duration) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = url.clone();
        Ok(Self { client, url })
    }

    async fn post(&self, method: &str, params: Value) -> Result<Option<Box<RawValue>>, RpcError> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let response = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(request.to_string())
            .send()
            .await?;
        let status = response.status();
        let body = read(response).await?;
        answer(status, &body)
    }
}

impl Transport for Endpoint {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        Box::pin(self.post(method, params))
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, RpcError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(RpcError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an HTTP answer says. Some nodes send JSON-RPC errors with other statuses than 200.
fn answer(status: StatusCode, body: &[u8]) -> Result<Option<Box<RawValue>>, RpcError> {
    let is_overload = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    match serde_json::from_slice::<Answer>(body) {
        Ok(Answer {
            error: Some(error), ..
        }) if !is_overload => Err(error.into()),
        Ok(Answer { result, error: None }) if status.is_success() => Ok(result),
        Err(error) if status.is_success() => Err(RpcError::Malformed(error)),
        _ => Err(RpcError::Status(status.as_u16())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(status: u16, body: &str) -> Result<Option<String>, RpcError> {
        let answer = answer(StatusCode::from_u16(status).unwrap(), body.as_bytes())?;
        Ok(answer.map(|text| text.get().to_owned()))
    }

    #[test]
    fn answers_of_nodes() {
        assert_eq!(
            ask(200, r#"{"result": "0x1"}"#).unwrap().as_deref(),
            Some("\"0x1\"")
        );
        assert_eq!(ask(200, r#"{"result": null}"#).unwrap(), None);
        for (status, body, transient) in [
            (200, "<html>", false),
            (200, "", false),
            (
                200,
                r#"{"error": {"code": -32000, "message": "unknown block"}}"#,
                false,
            ),
            (
                200,
                r#"{"error": {"code": -32005, "message": "request rate limited"}}"#,
                true,
            ),
            (403, "no", false),
            (
                404,
                r#"{"error": {"code": -32601, "message": "no such method"}}"#,
                false,
            ),
            (
                429,
                r#"{"error": {"code": -32005, "message": "slow down"}}"#,
                true,
            ),
            (503, "", true),
        ] {
            assert_eq!(
                ask(status, body).unwrap_err().is_transient(),
                transient,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn revert_data_is_found_in_the_forms_of_several_nodes() {
        for data in [r#""0x0102""#, r#""Reverted 0x0102""#, r#"{"data": "0x0102"}"#] {
            let body = format!(r#"{{"error": {{"code": 3, "message": "reverted", "data": {data}}}}}"#);
            let Err(RpcError::Refused {
                data: Some(found), ..
            }) = ask(200, &body)
            else {
                panic!("{body}");
            };
            assert_eq!(found, Bytes::from([1, 2]));
        }
    }
}
