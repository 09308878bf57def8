//! What a request would rather have: content negotiation by quality (RFC 9110, 12.5).

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName};

/// Whether `text/html` is preferred over `application/json`.
///
/// Higher quality wins; when both are the same, the one that is named more exactly. So a browser
/// gets a page, and who accepts anything (`*/*`, or no `Accept` at all) gets JSON.
pub fn prefers_html(request: &HeaderMap) -> bool {
    let (html, json) = (preference(request, "html"), preference(request, "json"));
    html.quality > 0 && html > json
}

/// Whether an answer may be compressed by gzip: only when that is named.
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    choices(request, &ACCEPT_ENCODING)
        .any(|(coding, quality)| coding.eq_ignore_ascii_case("gzip") && quality > 0)
}

/// How much a type is wanted: first by quality in thousandths, then by how exactly it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Preference {
    quality: u16,
    exactness: u8,
}

/// What the most exact range that matches says; ranges that cannot be read say nothing.
fn preference(request: &HeaderMap, wanted: &str) -> Preference {
    let full = match wanted {
        "html" => "text/html",
        _ => "application/json",
    };
    let class = full.split('/').next().unwrap_or_default();
    let exactness = |range: &str| {
        if range.eq_ignore_ascii_case(full) {
            Some(3)
        } else if range
            .strip_suffix("/*")
            .is_some_and(|start| start.eq_ignore_ascii_case(class))
        {
            Some(2)
        } else {
            (range == "*/*").then_some(1)
        }
    };
    choices(request, &ACCEPT)
        .filter_map(|(range, quality)| {
            let exactness = exactness(range)?;
            Some(Preference { quality, exactness })
        })
        .max_by_key(|preference| (preference.exactness, preference.quality))
        .unwrap_or_default()
}

/// What a header lists, each with its quality in thousandths; without those whose quality cannot be read.
fn choices<'a>(request: &'a HeaderMap, header: &HeaderName) -> impl Iterator<Item = (&'a str, u16)> {
    request
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            let name = parts.next()?;
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(Some(1000), thousandths)?;
            Some((name, quality))
        })
}

/// `0.5` is 500; at most three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_page_is_for_those_who_prefer_it() {
        for (accept, html) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/html"], true),
            (&["text/*"], true),
            (&["TEXT/HTML;charset=utf-8"], true),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                true,
            ),
            (&["text/html, */*"], true),
            (&["text/html;q=0.5,*/*"], false),
            (&["application/json,*/*"], false),
            (&["application/json, text/plain, */*"], false),
            (&["text/html, application/json"], false),
            (&["application/json;q=0.9, text/html"], true),
            (&["application/json", "text/html;q=0.1"], false),
            (&["text/html;q=0"], false),
            (&["text/html;q=0, */*"], false),
            (&["text/html;q=2"], false),
            (&["text/html;q=abc, text/*;q=0.1"], true),
            (&["image/png"], false),
            (&["text/html;q=0.0001, application/json;q=0.1"], false),
            (&[";;,,/;q=,text"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(prefers_html(&headers), html, "{accept:?}");
        }
        let mut odd = HeaderMap::new();
        odd.insert(ACCEPT, HeaderValue::from_bytes(b"text/html\xff").unwrap());
        assert!(!prefers_html(&odd));
    }

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for (accept, gzip) in [
            ("", false),
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1, GZip;q=0.5", true),
            ("gzip;q=0, br", false),
            ("gzip;q=0.000", false),
            ("gzip;q=x", false),
            ("*", false),
            ("identity", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(accepts_gzip(&headers), gzip, "{accept:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
