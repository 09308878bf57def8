use super::*;
use http::{HeaderName, HeaderValue};
use microraiden_http::headers;
use microraiden_protocol::Address;
use serde_json::{Value, json};

/// What a 402 carries here.
struct Asked {
    parts: Parts,
    seller: Seller,
    headers: HeaderMap,
    funder: Option<SecretKey>,
}

impl Asked {
    fn with(headers: &[(HeaderName, &'static str)]) -> Self {
        let (parts, ()) = http::Request::post("/x").body(()).unwrap().into_parts();
        let [receiver, contract, token] = [0xa1, 0xb2, 0xc3].map(Address::repeat_byte);
        let headers = headers.iter().cloned();
        Self {
            parts,
            seller: Seller::new(HeaderValue::from_static("/api/1"), receiver, contract, token),
            headers: headers
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect(),
            funder: None,
        }
    }

    fn request<'a>(&'a self, symbol: &'a str) -> PageRequest<'a> {
        PageRequest {
            parts: &self.parts,
            price: 1_500.into(),
            seller: &self.seller,
            chain_id: 31_337,
            symbol,
            decimals: 3,
            headers: &self.headers,
            funder: self.funder.as_ref(),
        }
    }
}

fn text(page: &impl Page, request: &PageRequest<'_>) -> String {
    String::from_utf8(page.render(request).to_vec()).unwrap()
}

/// What a browser finds in the element of the offer, which ends at the first thing that looks like its end.
fn offer_in(page: &str) -> Value {
    let (_, rest) = page
        .split_once(r#"<script type="application/json" id="offer">"#)
        .unwrap();
    let (offer, _) = rest.split_once("</script").unwrap();
    assert_eq!(offer.lines().count(), 1);
    serde_json::from_str(offer).unwrap()
}

#[test]
fn a_template_shows_the_price_and_escapes_what_a_token_calls_itself() {
    let asked = Asked::with(&[]);
    let request = asked.request("<b>T'{token}");
    let [receiver, contract] = [asked.seller.receiver, asked.seller.contract];
    let own = Template::new("<a title='{price}'>{price} {receiver} {other} {{contract}{");
    let shown = "1.5 &lt;b&gt;T&#39;{token}";
    assert_eq!(
        text(&own, &request),
        format!("<a title='{shown}'>{shown} {receiver} {{other}} {{{contract}{{")
    );
    assert_eq!(own.headers(), HeaderMap::new());
}

#[test]
fn the_offer_of_an_unpaid_request_has_what_it_takes_to_pay() {
    let asked = Asked::with(&[(headers::CREDIT, "0"), (headers::PRICE, "1500")]);
    let expected = json!({
        "price": "1500",
        "symbol": "TKN",
        "decimals": 3,
        "receiver": asked.seller.receiver.to_checksum(None),
        "contract": asked.seller.contract.to_checksum(None),
        "token": asked.seller.token.to_checksum(None),
        "gateway": "/api/1",
        "chainId": 31_337,
        "method": "POST",
        "credit": "0",
    });
    let page = text(&BuiltIn, &asked.request("TKN"));
    assert_eq!(offer_in(&page), expected);
    let own = Template::new(r#"<script type="application/json" id="offer">{offer}</script>"#);
    assert_eq!(offer_in(&text(&own, &asked.request("TKN"))), expected);
}

#[test]
fn a_page_knows_when_another_site_has_led_to_it() {
    let mut asked = Asked::with(&[]);
    for (site, is_other) in [
        ("cross-site", true),
        ("same-origin", false),
        ("same-site", false),
        ("none", false),
    ] {
        let headers = &mut asked.parts.headers;
        headers.insert("sec-fetch-site", HeaderValue::from_static(site));
        let offer: Value = serde_json::from_str(&asked.request("TKN").offer()).unwrap();
        assert_eq!(offer["crossSite"] == true, is_other, "{site}");
    }
}

#[test]
fn a_command_to_be_copied_has_nothing_of_what_a_token_calls_itself() {
    let asked = Asked::with(&[]);
    let page = text(&BuiltIn, &asked.request("'; rm -r ~; '"));
    let (_, command) = page.split_once("microraiden get").unwrap();
    let (command, _) = command.split_once("</code>").unwrap();
    assert!(command.contains("--max-price 1500"), "{command}");
    assert!(!command.contains("rm -r"), "{command}");
}

#[test]
fn the_offer_of_a_refused_one_says_why_and_what_is_owed() {
    let mut asked = Asked::with(&[
        (headers::ERROR, "decreasing-balance; sign a higher one"),
        (headers::INVALID_BALANCE_PROOF, "1"),
        (
            headers::SENDER_ADDRESS,
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        ),
        (
            headers::SENDER_BALANCE,
            "6277101735386680763835789423207666416102355444464034512895",
        ),
        (headers::BALANCE_SIGNATURE, "0x12"),
        (headers::CREDIT, "7"),
        (headers::REFUND, "9"),
    ]);
    asked.funder = Some(SecretKey::from_bytes(&[0x5a; 32]).unwrap());
    let offer = offer_in(&text(&BuiltIn, &asked.request("TKN")));
    for (field, value) in [
        ("error", "decreasing-balance"),
        ("flag", "RDN-Invalid-Balance-Proof"),
        ("senderAddress", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        (
            "senderBalance",
            "6277101735386680763835789423207666416102355444464034512895",
        ),
        ("balanceSignature", "0x12"),
        ("credit", "7"),
        ("refund", "9"),
    ] {
        assert_eq!(offer[field], value, "{field}");
    }
    let funder = format!("0x{}", "5a".repeat(32));
    let dev_chain = json!({"url": "/js/microraiden/chain", "funder": funder});
    assert_eq!(offer["devChain"], dev_chain);
}

#[test]
fn no_token_writes_into_the_page() {
    let asked = Asked::with(&[]);
    for symbol in [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "a&amp;b",
        "\"},{\"price\":\"0",
        "line\u{2028}and\u{2029}line\nand\r\0",
        "{price}{offer}{token}{version}",
        "'\"><img src=x onerror=alert(1)>",
        "",
    ] {
        let request = asked.request(symbol);
        let offer = request.offer();
        let dangerous = ['<', '>', '&', '\u{2028}', '\u{2029}', '\n', '\r'];
        assert!(!offer.contains(dangerous), "{offer}");
        assert_eq!(serde_json::from_str::<Value>(&offer).unwrap()["symbol"], symbol);
        let page = text(&BuiltIn, &request);
        assert_eq!(offer_in(&page)["symbol"], symbol);
        // As many elements as with a harmless one.
        let harmless = text(&BuiltIn, &asked.request("TKN"));
        assert_eq!(
            page.matches('<').count(),
            harmless.matches('<').count(),
            "{symbol:?}"
        );
    }
}

#[test]
fn the_built_in_page_says_everything_without_a_script() {
    let asked = Asked::with(&[]);
    let page = text(&BuiltIn, &asked.request("TKN"));
    let (before, rest) = page.split_once(r#"<script type="application/json""#).unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    let shown = format!("{before}{after}");
    let Seller {
        receiver,
        contract,
        token,
        ..
    } = asked.seller;
    for told in [
        "1.5 TKN".to_owned(),
        receiver.to_string(),
        contract.to_string(),
        token.to_string(),
    ] {
        assert!(shown.contains(&told), "{told} is missing:\n{shown}");
    }
    for left in [
        "{price}",
        "{receiver}",
        "{contract}",
        "{token}",
        "{offer}",
        "{version}",
    ] {
        assert!(!page.contains(left), "{left} is left:\n{page}");
    }
}

#[test]
fn the_built_in_page_is_protected() {
    let headers = BuiltIn.headers();
    let policy = headers["content-security-policy"].to_str().unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(
            policy.split("; ").any(|part| part == directive),
            "{directive}: {policy}"
        );
    }
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    // Which would forbid what stands in the page itself.
    let page = text(&BuiltIn, &Asked::with(&[]).request("TKN"));
    for inline in ["<style", " style=", "<script>", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "{inline} does nothing under the policy");
    }
}
