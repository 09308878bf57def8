//! The page that a browser gets with a 402: the built-in one, or one's own.
//!
//! In reading order: [`Page`] and [`PageRequest`]; `offer`, what a script reads of the 402; [`Template`], and the
//! built-in page; `files`, what that one loads, which [`rest::router`](crate::rest::router) serves.

mod files;
mod offer;

pub(crate) use files::{PATTERN, serve};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use microraiden_http::Seller;
use microraiden_protocol::{Price, SecretKey, denomination};
use std::sync::LazyLock;

/// Where the page asks the node of a development chain that is offered to browsers: who sets a
/// [funder](crate::Paywall::with_dev_chain_funder) answers JSON-RPC here.
pub const DEV_CHAIN_PATH: &str = "/js/microraiden/chain";

/// What a page may show. The payment headers of the 402 come as cookies of the same names, too.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The request.
    pub parts: &'a Parts,
    /// What it costs.
    pub price: Price,
    /// Who sells, and through which contract.
    pub seller: &'a Seller,
    /// The chain of the contract (EIP-155).
    pub chain_id: u64,
    /// What the token's amounts are called; empty when the token does not say.
    pub symbol: &'a str,
    /// How many decimal digits of a token the base unit is.
    pub decimals: u8,
    /// The headers of the 402 that the page comes with: why a payment was refused, and the sender's
    /// balance.
    pub headers: &'a HeaderMap,
    /// A key with ether that everybody may know, on a development chain that is offered to browsers.
    pub funder: Option<&'a SecretKey>,
}

impl PageRequest<'_> {
    /// Everything that a script needs for paying, as a JSON object on one line that may stand in a
    /// `<script type="application/json">`.
    ///
    /// Unlike the cookies, which all tabs share, it is of this very answer. Amounts are decimal strings of base
    /// units: `price`, `symbol`, `decimals`, `receiver`, `contract`, `token`, `gateway` (where the REST
    /// interface begins), `chainId`, `method`; from the headers, where they are there, `error` (the code alone), `flag`
    /// (the name of the header), `senderAddress`, `senderBalance`, `balanceSignature`, `credit` and `refund`; and on
    /// a development chain that is offered to browsers `devChain`, with `url` and `funder`. `crossSite` is true when a page of
    /// another site has led here (`Sec-Fetch-Site`): then nothing should be paid without a click.
    pub fn offer(&self) -> String {
        offer::json(self)
    }
}

/// Makes the page of a 402: fixed bytes or text, or a closure over the [`PageRequest`].
///
/// It must not hold what is sold. What comes from the request must be escaped.
pub trait Page: Send + Sync + 'static {
    /// The page, HTML in UTF-8.
    fn render(&self, request: &PageRequest<'_>) -> Bytes;

    /// Headers that come with it, such as a policy on what it may load; none by default. Those of the 402
    /// itself win.
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }
}

impl Page for Bytes {
    fn render(&self, _request: &PageRequest<'_>) -> Bytes {
        self.clone()
    }
}

impl Page for &'static str {
    fn render(&self, _request: &PageRequest<'_>) -> Bytes {
        Bytes::from_static(self.as_bytes())
    }
}

impl Page for String {
    fn render(&self, _request: &PageRequest<'_>) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl<F> Page for F
where
    F: Fn(&PageRequest<'_>) -> String + Send + Sync + 'static,
{
    fn render(&self, request: &PageRequest<'_>) -> Bytes {
        self(request).into()
    }
}

/// A page of one's own with placeholders: `{price}` with the token's symbol, `{base_units}` without, the addresses
/// `{receiver}`, `{contract}` and `{token}`, and the [`{offer}`](PageRequest::offer) for a script.
///
/// A command to be copied has the base units: a token may call itself `'; rm`. All but the offer are escaped for text and for attributes in quotes. The offer belongs into
/// `<script type="application/json" id="offer">{offer}</script>`, and nowhere else.
#[derive(Debug, Clone)]
pub struct Template(String);

impl Template {
    /// Takes the page as it stands in a file.
    pub fn new(html: impl Into<String>) -> Self {
        Self(html.into())
    }
}

impl Page for Template {
    fn render(&self, request: &PageRequest<'_>) -> Bytes {
        let price = denomination::format(request.price, request.symbol, request.decimals);
        let Seller {
            receiver,
            contract,
            token,
            ..
        } = request.seller;
        let filled = fill(
            &self.0,
            &[
                ("{price}", escape(price.trim())),
                ("{base_units}", request.price.to_string()),
                ("{receiver}", receiver.to_string()),
                ("{contract}", contract.to_string()),
                ("{token}", token.to_string()),
                ("{offer}", request.offer()),
            ],
        );
        filled.into()
    }
}

/// The page of those who have none of their own, which pays from a wallet in the browser; without a script it
/// tells what the resource costs, who is paid, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuiltIn;

impl Page for BuiltIn {
    fn render(&self, request: &PageRequest<'_>) -> Bytes {
        static PAGE: LazyLock<Template> = LazyLock::new(|| Template::new(files::index()));
        PAGE.render(request)
    }

    fn headers(&self) -> HeaderMap {
        protection()
    }
}

/// What keeps others out of our pages: they load from here alone, nobody may lay a frame over a button that
/// pays, and no address of a page is told on. Forms go here too: a page that answers one is loaded again with what
/// was filled in.
fn protection() -> HeaderMap {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    HeaderMap::from_iter([
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ])
}

/// Puts values in the place of placeholders. What a value holds is left as it is: a token may call itself `{offer}`.
fn fill(page: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = values
            .iter()
            .find_map(|(name, value)| Some((value.as_str(), rest.strip_prefix(name)?)));
        let (value, behind) = found.unwrap_or(rest.split_at(1));
        filled.push_str(value);
        rest = behind;
    }
    filled + rest
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests;
