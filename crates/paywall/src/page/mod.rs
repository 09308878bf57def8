//! The page that a browser gets with a 402.

use bytes::Bytes;
use http::request::Parts;
use microraiden_http::Seller;
use microraiden_protocol::{Price, denomination};

/// What a page may show. The payment headers of the 402 come as cookies of the same names, for a
/// script in the page.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The request.
    pub parts: &'a Parts,
    /// What it costs.
    pub price: Price,
    /// Who sells, and through which contract.
    pub seller: &'a Seller,
    /// What the token's amounts are called; empty when the token does not say.
    pub symbol: &'a str,
    /// How many decimal digits of a token the base unit is.
    pub decimals: u8,
}

/// Makes the page of a 402: fixed bytes or text, or a closure over the [`PageRequest`].
///
/// It must not hold what is sold. What comes from the request must be escaped.
pub trait Page: Send + Sync + 'static {
    /// The page, HTML in UTF-8.
    fn render(&self, request: &PageRequest<'_>) -> Bytes;
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

/// A page of one's own with placeholders: `{price}` with the token's symbol, and the addresses
/// `{receiver}`, `{contract}` and `{token}`.
///
/// They are escaped for text and for attributes in quotes. Scripts read the cookies instead.
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
        fill(&self.0, request)
    }
}

/// The page of those who have none of their own: what it costs, who is paid, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainPage;

impl Page for PlainPage {
    fn render(&self, request: &PageRequest<'_>) -> Bytes {
        fill(PLAIN, request)
    }
}

/// Puts what a request is told in the place of the placeholders.
fn fill(page: &str, request: &PageRequest<'_>) -> Bytes {
    let price = denomination::format(request.price, request.symbol, request.decimals);
    let Seller {
        receiver,
        contract,
        token,
        ..
    } = request.seller;
    // The symbol is whatever the token says, so it comes last.
    page.replace("{receiver}", &receiver.to_string())
        .replace("{contract}", &contract.to_string())
        .replace("{token}", &token.to_string())
        .replace("{price}", &escape(price.trim()))
        .into()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

const PLAIN: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payment required</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 10vh auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .75rem; }
code { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid; border-radius: .4rem; }
</style>
</head>
<body>
<main>
<h1>This page costs {price}</h1>
<p>It is sold for micropayments by µRaiden. A client that pays by itself gets it with one command:</p>
<pre><code>microraiden get URL --private-key sender.key \
  --channel-manager-address {contract} \
  --max-price '{price}'</code></pre>
<dl>
<dt>Paid to</dt><dd><code>{receiver}</code></dd>
<dt>Through the channel contract</dt><dd><code>{contract}</code></dd>
<dt>In the token</dt><dd><code>{token}</code></dd>
</dl>
</main>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use microraiden_protocol::Address;

    #[test]
    fn the_plain_page_shows_the_price_and_escapes_what_a_token_calls_itself() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let [receiver, contract, token] = [1, 2, 3].map(Address::repeat_byte);
        let seller = Seller::new(HeaderValue::from_static("/api/1"), receiver, contract, token);
        let request = PageRequest {
            parts: &parts,
            price: 1_500.into(),
            seller: &seller,
            symbol: "<b>T'{token}",
            decimals: 3,
        };
        let own = Template::new("<a title='{price}'>{price} {receiver} {other} {").render(&request);
        let shown = "1.5 &lt;b&gt;T&#39;{token}";
        assert_eq!(own, format!("<a title='{shown}'>{shown} {receiver} {{other}} {{"));
        let page = PlainPage.render(&request);
        let page = std::str::from_utf8(&page).unwrap();
        assert!(page.contains(&format!("This page costs {shown}<")), "{page}");
        assert!(page.contains(&receiver.to_string()) && page.contains(&contract.to_string()));
        assert!(!page.contains('{') || !page.contains("{price}"), "{page}");
    }
}
