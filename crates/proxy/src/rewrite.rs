//! Headers that are set and removed on the way to an upstream and back, and secrets for them.

use crate::upstream::remove_hop_by_hop;
use axum::body::Body;
use http::header::{self, InvalidHeaderValue};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use microraiden_http::is_payment_header;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// What is changed in a head: first the removed are taken away, then the set are put in the place of
/// any that were there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderRules {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

/// Why a header cannot be set or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It is about one connection, not about the request or its answer.
    #[error("{0} belongs to a single connection, and the proxy keeps it itself; leave it out")]
    Connection(HeaderName),
    /// It says where the body ends.
    #[error("content-length says where the body ends, and the proxy keeps it itself; leave it out")]
    Length,
    /// It has a setting of its own.
    #[error("the host is set with the upstream; leave it out here")]
    Host,
    /// It belongs to the payment, which never passes.
    #[error("{0} belongs to the payment, which passes neither to the upstream nor from it; leave it out")]
    Payment(HeaderName),
}

impl HeaderRules {
    /// Rules that set these headers, all values of a name that is there several times, and remove those.
    ///
    /// # Errors
    /// When one of them is not to be touched.
    pub fn new(set: Vec<(HeaderName, HeaderValue)>, remove: Vec<HeaderName>) -> Result<Self, RuleError> {
        for name in set.iter().map(|(name, _)| name).chain(&remove) {
            check(name)?;
        }
        Ok(Self { set, remove })
    }

    /// What is set.
    pub fn set(&self) -> &[(HeaderName, HeaderValue)] {
        &self.set
    }

    /// What is removed.
    pub fn removed(&self) -> &[HeaderName] {
        &self.remove
    }

    fn apply(&self, headers: &mut HeaderMap) {
        for name in self.remove.iter().chain(self.set.iter().map(|(name, _)| name)) {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.append(name, value.clone());
        }
    }
}

fn check(name: &HeaderName) -> Result<(), RuleError> {
    let mut alone = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(""))]);
    remove_hop_by_hop(&mut alone);
    // The trailers that it announces are the body's.
    if alone.is_empty() || name == header::TRAILER {
        return Err(RuleError::Connection(name.clone()));
    }
    if name == header::CONTENT_LENGTH {
        return Err(RuleError::Length);
    }
    if name == header::HOST {
        return Err(RuleError::Host);
    }
    if is_payment_header(name) {
        return Err(RuleError::Payment(name.clone()));
    }
    Ok(())
}

/// Why a configured value cannot be a header's; the value is never told, since it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// There is a dollar that means nothing.
    #[error("a dollar begins the name of a variable, as in ${{NAME}}; write $$ for a dollar")]
    Dollar,
    /// The variable is not there, or is empty.
    #[error("the environment has no {0}, or it is empty; set it before the start")]
    Missing(String),
    /// The variable's value cannot be in a header.
    #[error("the value of {0} cannot be in a header: it has a line's end or another control character")]
    Value(String),
    /// What stands around the variables cannot be in a header.
    #[error("the value cannot be in a header: it has a line's end or another control character")]
    Text,
}

/// Puts variables in the place of `${NAME}`; `$$` is a dollar. A value that was made so is a secret,
/// and printed by nothing.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<HeaderValue, ExpandError> {
    let mut value = String::new();
    let mut secret = false;
    let mut parts = text.split('$');
    value.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // The second dollar, with what stands behind it.
            value.push('$');
            value.push_str(parts.next().ok_or(ExpandError::Dollar)?);
            continue;
        }
        let (name, rest) = variable(part).ok_or(ExpandError::Dollar)?;
        let found = lookup(name).filter(|found| !found.is_empty());
        let found = found.ok_or_else(|| ExpandError::Missing(name.to_owned()))?;
        if HeaderValue::from_str(&found).is_err() {
            return Err(ExpandError::Value(name.to_owned()));
        }
        value += &found;
        value += rest;
        secret = true;
    }
    let made = HeaderValue::try_from(value);
    let mut made = made.map_err(|_: InvalidHeaderValue| ExpandError::Text)?;
    made.set_sensitive(secret);
    Ok(made)
}

/// The name between braces, and what stands behind them.
fn variable(part: &str) -> Option<(&str, &str)> {
    let (name, rest) = part.strip_prefix('{')?.split_once('}')?;
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digit = name.bytes().next()?.is_ascii_digit();
    (letters && !digit).then_some((name, rest))
}

/// Applies rules to requests and to their answers.
#[derive(Debug, Clone)]
pub struct RewriteLayer(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    request: HeaderRules,
    response: HeaderRules,
}

impl RewriteLayer {
    /// By these rules for what goes upstream, and for what comes back.
    pub fn new(request: HeaderRules, response: HeaderRules) -> Self {
        Self(Arc::new(Rules { request, response }))
    }
}

impl<S> Layer<S> for RewriteLayer {
    type Service = RewriteService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RewriteService {
            inner,
            rules: self.0.clone(),
        }
    }
}

/// A service before and behind which headers are changed; see [`RewriteLayer`].
#[derive(Debug, Clone)]
pub struct RewriteService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Service<Request<Body>> for RewriteService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // Before, or a client could have what is set taken away by naming it in `Connection`.
        remove_hop_by_hop(request.headers_mut());
        self.rules.request.apply(request.headers_mut());
        let rules = self.rules.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            rules.response.apply(answer.headers_mut());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    fn name(text: &str) -> HeaderName {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_proxy_keeps_itself_is_not_touched() {
        for (header, error) in [
            ("Connection", RuleError::Connection(name("connection"))),
            (
                "Transfer-Encoding",
                RuleError::Connection(name("transfer-encoding")),
            ),
            ("Upgrade", RuleError::Connection(name("upgrade"))),
            ("TE", RuleError::Connection(name("te"))),
            ("Trailer", RuleError::Connection(name("trailer"))),
            ("Keep-Alive", RuleError::Connection(name("keep-alive"))),
            (
                "Proxy-Authorization",
                RuleError::Connection(name("proxy-authorization")),
            ),
            ("Content-Length", RuleError::Length),
            ("Host", RuleError::Host),
            ("RDN-Price", RuleError::Payment(name("rdn-price"))),
            ("rdn-anything", RuleError::Payment(name("rdn-anything"))),
        ] {
            let value = HeaderValue::from_static("1");
            let set = HeaderRules::new(vec![(name(header), value)], vec![]);
            assert_eq!(set, Err(error.clone()), "{header}");
            assert_eq!(HeaderRules::new(vec![], vec![name(header)]), Err(error));
        }
        let fine = ["Authorization", "Cookie", "X-RDN-Price", "Accept-Encoding"].map(name);
        assert!(HeaderRules::new(vec![], fine.to_vec()).is_ok());
    }

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "KEY" => "s3cret",
            "_k2" => "two",
            "EMPTY" => "",
            "LINES" => "s3cret\r\nx: y",
            "MONEY" => "${KEY}$$",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn variables_are_put_in_and_dollars_stay_when_doubled() {
        for (text, value, secret) in [
            ("", "", false),
            ("plain {KEY}", "plain {KEY}", false),
            ("Bearer ${KEY}", "Bearer s3cret", true),
            ("${KEY}${_k2}!", "s3crettwo!", true),
            ("$$", "$", false),
            ("$${KEY} costs $$5$$", "${KEY} costs $5$", false),
            ("$$$${KEY}", "$${KEY}", false),
            ("$$${KEY}", "$s3cret", true),
            // What stands in a variable is not read again.
            ("${MONEY}", "${KEY}$$", true),
            ("grün ${KEY}", "grün s3cret", true),
        ] {
            let made = expand(text, environment).unwrap();
            assert_eq!(made.as_bytes(), value.as_bytes(), "{text}");
            assert_eq!(made.is_sensitive(), secret, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_told_without_its_value() {
        let missing = |name: &str| ExpandError::Missing(name.to_owned());
        for (text, error) in [
            ("${NONE}", missing("NONE")),
            ("a ${EMPTY}", missing("EMPTY")),
            ("${LINES}", ExpandError::Value("LINES".to_owned())),
            ("a\n${KEY}", ExpandError::Text),
            ("$", ExpandError::Dollar),
            ("a$b", ExpandError::Dollar),
            ("$KEY", ExpandError::Dollar),
            ("${KEY", ExpandError::Dollar),
            ("${}", ExpandError::Dollar),
            ("${1A}", ExpandError::Dollar),
            ("${A B}", ExpandError::Dollar),
            ("$$$", ExpandError::Dollar),
        ] {
            let refused = expand(text, environment);
            assert_eq!(refused, Err(error), "{text}");
            let error = refused.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}");
        }
    }

    #[tokio::test]
    async fn rules_replace_and_remove_and_no_secret_is_printed() {
        let secret = expand("Bearer ${KEY}", environment).unwrap();
        let value = HeaderValue::from_static;
        let set = vec![
            (header::AUTHORIZATION, secret),
            (name("x-two"), value("a")),
            (name("x-two"), value("b")),
        ];
        let request = HeaderRules::new(set, vec![header::COOKIE]).unwrap();
        let response = HeaderRules::new(vec![(name("x-by"), value("us"))], vec![header::SERVER]).unwrap();
        let layer = RewriteLayer::new(request, response);
        assert!(!format!("{layer:?}").contains("s3cret"), "{layer:?}");

        let upstream = tower::service_fn(async |mut request: Request<Body>| {
            remove_hop_by_hop(request.headers_mut());
            let mut answer = Response::new(Body::empty());
            *answer.headers_mut() = request.headers().clone();
            answer
                .headers_mut()
                .insert(header::SERVER, HeaderValue::from_static("x"));
            answer
                .headers_mut()
                .insert("x-by", HeaderValue::from_static("them"));
            Ok::<_, std::convert::Infallible>(answer)
        });
        let mut request = Request::new(Body::empty());
        for (name, value) in [
            ("authorization", "Bearer mine"),
            ("connection", "authorization, x-hop"),
            ("x-hop", "1"),
            ("cookie", "a=b"),
            ("cookie", "c=d"),
            ("x-two", "c"),
            ("x-kept", "1"),
        ] {
            request
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        }
        let answer = layer.layer(upstream).oneshot(request).await.unwrap();
        let mut seen: Vec<_> = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let mut expected = vec![
            ("authorization", "Bearer s3cret"),
            ("x-two", "a"),
            ("x-two", "b"),
            ("x-kept", "1"),
            ("x-by", "us"),
        ];
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}
