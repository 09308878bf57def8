//! Asking a running proxy, as one of its operators.

use super::args::ProxyLogin;
use crate::Failure;
use microraiden_chain::keys;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// How long the proxy may take: it answers when everything is durable.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Sends one command and reads what was begun.
pub(super) async fn command<T: DeserializeOwned>(
    proxy: &Url,
    login: &ProxyLogin,
    name: &str,
    request: &impl Serialize,
) -> Result<T, Failure> {
    if proxy.scheme() != "http" {
        return Err("--proxy begins with http://; reach a distant proxy through a tunnel".into());
    }
    let password = password(login)?;
    let url = proxy.join(&format!("/api/1/admin/{name}"))?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let operator = login.operator.as_deref().unwrap_or_default();
    let sent = client
        .post(url)
        .basic_auth(operator, Some(&*password))
        .header(CONTENT_TYPE, "application/json")
        .body(serde_json::to_string(request)?)
        .send()
        .await;
    // Its address is what the user wrote, and may hold a password.
    let answer = sent.map_err(|error| format!("the proxy does not answer: {}", error.without_url()))?;
    let status = answer.status();
    let body = answer.text().await.map_err(reqwest::Error::without_url)?;
    match status {
        StatusCode::OK => Ok(serde_json::from_str(&body)?),
        StatusCode::UNAUTHORIZED => {
            Err(format!("the proxy knows no operator {operator} with this password").into())
        }
        status => Err(format!("the proxy answers {status}: {}", body.trim()).into()),
    }
}

fn password(login: &ProxyLogin) -> Result<Zeroizing<String>, Failure> {
    match &login.operator_password_file {
        Some(file) => Ok(Zeroizing::new(keys::read_password(file)?.as_str().to_owned())),
        None => {
            let asked = rpassword::prompt_password("Enter the operator's password: ");
            Ok(Zeroizing::new(asked?))
        }
    }
}
