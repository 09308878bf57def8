//! A node over HTTP.

use crate::connection::{Connector, Location};
use crate::rpc::{Answer, Answered, MAX_ANSWER_BYTES, RpcError, Transport};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// HTTP to one address, over connections that are kept.
pub(crate) struct OverHttp {
    client: Client<Connector, Full<bytes::Bytes>>,
    location: Location,
    limit: Duration,
}

impl fmt::Debug for OverHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl OverHttp {
    /// Prepares for requests that may take `limit` each; connects later.
    pub(crate) fn new(location: Location, connector: Connector, limit: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            location,
            limit,
        }
    }

    async fn post(&self, method: &str, params: Value) -> Result<Option<Box<RawValue>>, RpcError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.location.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        if let Some(authorization) = &self.location.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await;
        read(response.map_err(|error| RpcError::of_connection(&error))?).await
    }
}

impl Transport for OverHttp {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        let answer = timeout(self.limit, self.post(method, params));
        Box::pin(async { answer.await.unwrap_or(Err(RpcError::Timeout)) })
    }
}

async fn read(response: Response<Incoming>) -> Result<Option<Box<RawValue>>, RpcError> {
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(seconds);
    match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(body) => answer(head.status, retry_after, &body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RpcError::TooLarge),
        Err(error) => Err(RpcError::of_connection(&*error)),
    }
}

/// What a `Retry-After` says, unless it is a date.
pub(crate) fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What an HTTP answer says. Some nodes send JSON-RPC errors with other statuses than 200.
fn answer(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Option<Box<RawValue>>, RpcError> {
    let is_overload = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    match serde_json::from_slice::<Answer>(body) {
        Ok(Answer {
            error: Some(error), ..
        }) if !is_overload => Err(error.into()),
        Ok(Answer { result, error: None }) if status.is_success() => Ok(result),
        Err(error) if status.is_success() => Err(RpcError::Malformed(error)),
        _ => Err(RpcError::Status {
            status: status.as_u16(),
            retry_after,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;

    fn ask(status: u16, body: &str) -> Result<Option<String>, RpcError> {
        let answer = answer(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())?;
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
