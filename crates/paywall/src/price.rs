//! What a request costs: fixed, per method, or computed from the request.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use microraiden_protocol::Price;
use std::borrow::Cow;
use std::future::ready;

use axum::body::Body;

/// Computes the price of a request.
///
/// Implemented by a fixed [`Price`], by [`MethodPrices`], by closures over a [`PriceRequest`], and by
/// [`AsyncPrice`]. The same request must cost the same when it is repeated with its payment, or the
/// payment is refused. 0 is free.
pub trait Pricing: Send + Sync + 'static {
    /// Whether the request must be made ready to be looked at.
    const INSPECTS: bool = true;

    /// The price of this request, or the answer to a request that is not for sale.
    fn quote(&self, request: &PriceRequest) -> impl Future<Output = Quote> + Send;

    /// The methods that are sold, for the header `Allow`; `None` when that is not known here.
    fn allowed(&self) -> Option<HeaderValue> {
        None
    }
}

/// What a request costs, or why it is not for sale.
#[derive(Debug)]
pub enum Quote {
    /// The price; 0 is free.
    Price(Price),
    /// The answer to a request that is not for sale: nothing is paid.
    NotForSale(Box<Response<Body>>),
}

impl Quote {
    /// Not for sale, for example since there is no such thing.
    pub fn not_for_sale(answer: impl IntoResponse) -> Self {
        Self::NotForSale(Box::new(answer.into_response()))
    }
}

/// What a price may depend on.
#[derive(Debug, Clone)]
pub struct PriceRequest {
    parts: Parts,
    params: Vec<(String, String)>,
    body_size: Option<u64>,
}

impl PriceRequest {
    pub(crate) const fn new(parts: Parts, body_size: Option<u64>) -> Self {
        Self {
            parts,
            params: Vec::new(),
            body_size,
        }
    }

    /// Takes over the path's parameters from the router, if there is one.
    pub(crate) async fn read_params(&mut self) {
        if let Ok(params) = RawPathParams::from_request_parts(&mut self.parts, &()).await {
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            self.params = params.iter().map(owned).collect();
        }
    }

    pub(crate) fn into_parts(self) -> Parts {
        self.parts
    }

    /// The method.
    pub const fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The target, as the router sees it.
    pub const fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// A parameter of the route's pattern, decoded: `param("id")` where the route is `/items/{id}`.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.parts.uri.query()?.as_bytes();
        url::form_urlencoded::parse(query)
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// The headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// How many bytes the body has; `None` when the client does not say so before it sends them.
    pub const fn body_size(&self) -> Option<u64> {
        self.body_size
    }

    /// What the route's other layers have left for this one.
    pub const fn extensions(&self) -> &http::Extensions {
        &self.parts.extensions
    }
}

/// What a closure over a request may give: a price, base units, or a result whose error is an
/// answer, for requests that are not for sale.
pub trait IntoQuote: Send {
    /// The price, or the answer.
    fn into_quote(self) -> Quote;
}

impl IntoQuote for Price {
    fn into_quote(self) -> Quote {
        Quote::Price(self)
    }
}

impl IntoQuote for u64 {
    fn into_quote(self) -> Quote {
        Quote::Price(self.into())
    }
}

impl<T: IntoQuote, E: IntoResponse + Send> IntoQuote for Result<T, E> {
    fn into_quote(self) -> Quote {
        match self {
            Ok(price) => price.into_quote(),
            Err(answer) => Quote::not_for_sale(answer),
        }
    }
}

impl Pricing for Price {
    const INSPECTS: bool = false;

    fn quote(&self, _request: &PriceRequest) -> impl Future<Output = Quote> + Send {
        ready(Quote::Price(*self))
    }
}

impl<F, T> Pricing for F
where
    F: Fn(&PriceRequest) -> T + Send + Sync + 'static,
    T: IntoQuote,
{
    fn quote(&self, request: &PriceRequest) -> impl Future<Output = Quote> + Send {
        ready(self(request).into_quote())
    }
}

/// A price that must be waited for, for example because it stands in a database.
#[derive(Debug, Clone)]
pub struct AsyncPrice<F>(pub(crate) F);

impl<F, T> Pricing for AsyncPrice<F>
where
    F: Fn(PriceRequest) -> T + Send + Sync + 'static,
    T: Future<Output: IntoQuote> + Send,
{
    async fn quote(&self, request: &PriceRequest) -> Quote {
        (self.0)(request.clone()).await.into_quote()
    }
}

/// A price for each method; others are answered 405. `HEAD` costs what `GET` does, unless it has a
/// price of its own.
#[derive(Debug, Clone)]
pub struct MethodPrices {
    prices: Vec<(Method, Price)>,
    allowed: HeaderValue,
}

impl MethodPrices {
    /// Of several prices for one method the first counts.
    pub fn new(prices: impl IntoIterator<Item = (Method, Price)>) -> Self {
        let prices: Vec<_> = prices.into_iter().collect();
        let gets = prices.iter().any(|(method, _)| method == Method::GET);
        let mut names: Vec<&str> = prices.iter().map(|(method, _)| method.as_str()).collect();
        names.extend(gets.then_some("HEAD"));
        names.push("OPTIONS");
        // A method is a token, which a header may hold.
        let allowed = HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"));
        Self { prices, allowed }
    }

    fn price(&self, method: &Method) -> Option<Price> {
        let mut prices = self.prices.iter();
        let price = prices.find(|(known, _)| known == method).map(|(_, price)| *price);
        price.or_else(|| (method == Method::HEAD).then(|| self.price(&Method::GET))?)
    }
}

impl Pricing for MethodPrices {
    const INSPECTS: bool = false;

    fn quote(&self, request: &PriceRequest) -> impl Future<Output = Quote> + Send {
        ready(match self.price(request.method()) {
            Some(price) => Quote::Price(price),
            None => {
                let allowed = [(header::ALLOW, self.allowed.clone())];
                Quote::not_for_sale((StatusCode::METHOD_NOT_ALLOWED, allowed))
            }
        })
    }

    fn allowed(&self) -> Option<HeaderValue> {
        Some(self.allowed.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str) -> PriceRequest {
        let (parts, ()) = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts();
        PriceRequest::new(parts, Some(7))
    }

    #[test]
    fn a_query_is_decoded_whatever_it_holds() {
        let request = request(Method::GET, "/a?x=1&x=2&n%61me=a+b%20c&%zz&=&y");
        assert_eq!(request.query("x").as_deref(), Some("1"));
        assert_eq!(request.query("name").as_deref(), Some("a b c"));
        assert_eq!(request.query("y").as_deref(), Some(""));
        assert_eq!(request.query("z"), None);
        assert_eq!(
            (request.path(), request.param("x"), request.body_size()),
            ("/a", None, Some(7))
        );
    }

    #[test]
    fn methods_have_prices_or_are_not_sold() {
        let prices = MethodPrices::new([(Method::GET, 5.into()), (Method::POST, 7.into())]);
        assert_eq!(prices.price(&Method::GET), Some(5.into()));
        assert_eq!(prices.price(&Method::HEAD), Some(5.into()));
        assert_eq!(prices.price(&Method::POST), Some(7.into()));
        assert_eq!(prices.price(&Method::DELETE), None);
        assert_eq!(prices.allowed().unwrap(), "GET, POST, HEAD, OPTIONS");
        let own = MethodPrices::new([(Method::HEAD, 1.into()), (Method::GET, 5.into())]);
        assert_eq!(own.price(&Method::HEAD), Some(1.into()));
    }
}
