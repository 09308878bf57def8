//! The files of the built-in page, below `/js/microraiden/`.
//!
//! All have one version, by what is in them. Pages refer to them with it, and then they are kept by browsers for
//! good; by another address they are asked for anew each time.

use super::{Page, Template, protection};
use crate::layer::Paywall;
use axum::body::Body;
use axum::extract::{Path, State};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use microraiden_http::accepts_gzip;
use microraiden_protocol::{Price, hex, keccak256};
use std::io::{self, Write};
use std::sync::{LazyLock, OnceLock};

/// Where they are.
pub(crate) const PATTERN: &str = "/js/microraiden/{*file}";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The page itself, which comes with a 402 only.
const INDEX: &str = include_str!("../../page/index.html");

/// The names of the others, their types and what is in them.
const SOURCES: [(&str, &str, &str); 6] = [
    ("paywall.js", SCRIPT, include_str!("../../page/paywall.js")),
    ("paywall.css", CSS, include_str!("../../page/paywall.css")),
    ("client.js", SCRIPT, include_str!("../../page/client.js")),
    (FOR_DEVELOPMENT, SCRIPT, include_str!("../../page/throwaway.js")),
    ("licences.txt", TEXT, include_str!("../../page/licences.txt")),
    ("tokens.js", SCRIPT, include_str!("../../page/tokens.js")),
];

/// The page to buy test tokens, which is filled for whoever asks.
const TOKENS: &str = "tokens.html";
const TOKENS_PAGE: &str = include_str!("../../page/tokens.html");

/// What is there only with a development chain.
const FOR_DEVELOPMENT: &str = "throwaway.js";

/// What stands for the version in a page.
const VERSION_PLACEHOLDER: &str = "{version}";

/// One version for all files, which changes when any of them does.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let contents: Vec<&str> = SOURCES.iter().map(|(_, _, text)| *text).collect();
    let hash = keccak256(contents.join("\0"));
    hex::encode(&hash[..8])
});

static FILES: LazyLock<[File; SOURCES.len()]> = LazyLock::new(|| {
    SOURCES.map(|(name, content_type, text)| File {
        name,
        content_type,
        plain: with_version(text).into(),
        gzip: OnceLock::new(),
    })
});

struct File {
    name: &'static str,
    content_type: &'static str,
    plain: Bytes,
    /// Made when it is first asked for; `None` when that does not make it shorter.
    gzip: OnceLock<Option<Bytes>>,
}

/// The page of a 402, with the version of its files.
pub(super) fn index() -> String {
    with_version(INDEX)
}

fn with_version(text: &str) -> String {
    text.replace(VERSION_PLACEHOLDER, &VERSION)
}

/// `GET /js/microraiden/{file}`.
pub(crate) async fn serve(
    State(paywall): State<Paywall>,
    Path(name): Path<String>,
    parts: Parts,
) -> Response<Body> {
    match name == TOKENS {
        true => tokens(&paywall, &parts),
        false => answer(
            &name,
            parts.uri.query(),
            &parts.headers,
            paywall.offers_dev_chain(),
        ),
    }
}

/// The page to buy test tokens.
fn tokens(paywall: &Paywall, parts: &Parts) -> Response<Body> {
    static PAGE: LazyLock<Template> = LazyLock::new(|| Template::new(with_version(TOKENS_PAGE)));
    let none = HeaderMap::new();
    let page = PAGE.render(&paywall.page_request(parts, Price::ZERO, &none));
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.extend(protection());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answer(name: &str, query: Option<&str>, request: &HeaderMap, with_development: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let is_there = name != FOR_DEVELOPMENT || with_development;
    let Some(file) = FILES.iter().find(|file| file.name == name && is_there) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let gzip = file.gzip().filter(|_| accepts_gzip(request));
    let tag = match gzip {
        Some(_) => format!("\"{}-gzip\"", *VERSION),
        None => format!("\"{}\"", *VERSION),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching(query));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let is_known = knows(request, &tag);
    if let Ok(tag) = tag.try_into() {
        headers.insert(header::ETAG, tag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if gzip.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *response.body_mut() = gzip.unwrap_or(&file.plain).clone().into();
    response
}

/// For good when it is asked for by its version. By any other query too, and what stands before us could be
/// made to keep a file of today for one of tomorrow.
fn caching(query: Option<&str>) -> HeaderValue {
    let version = query.and_then(|query| query.strip_prefix("v="));
    HeaderValue::from_static(match version == Some(VERSION.as_str()) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    })
}

/// Whether the client has what is tagged so (RFC 9110, 13.1.2).
fn knows(request: &HeaderMap, tag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

impl File {
    fn gzip(&self) -> Option<&Bytes> {
        let gzip = self.gzip.get_or_init(|| {
            let gzip = compress(&self.plain).ok()?;
            (gzip.len() < self.plain.len()).then(|| gzip.into())
        });
        gzip.as_ref()
    }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn asked(name: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Response<Body> {
        let headers = headers.iter().map(|(name, value)| {
            let (name, value): (header::HeaderName, HeaderValue) =
                (name.parse().unwrap(), value.parse().unwrap());
            (name, value)
        });
        answer(name, query, &headers.collect(), false)
    }

    async fn body(response: Response<Body>) -> Vec<u8> {
        to_bytes(response.into_body(), 10 << 20).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn every_file_is_served_as_what_it_is() {
        for file in FILES.iter() {
            let served = answer(file.name, None, &HeaderMap::new(), true);
            assert_eq!(served.status(), StatusCode::OK, "{}", file.name);
            let headers = served.headers().clone();
            let kind = match file.name.rsplit_once('.').unwrap().1 {
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "txt" => "text/plain; charset=utf-8",
                other => panic!("{other}"),
            };
            assert_eq!(headers["content-type"], kind);
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(body(served).await, file.plain);
        }
        for name in [
            "",
            "index.html",
            "paywall.js/",
            "../page/index.html",
            "nothing.js",
        ] {
            assert_eq!(asked(name, None, &[]).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn the_throw_away_wallet_is_there_on_development_chains_only() {
        let with = |development| answer(FOR_DEVELOPMENT, None, &HeaderMap::new(), development).status();
        assert_eq!(with(true), StatusCode::OK);
        assert_eq!(with(false), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn who_accepts_gzip_gets_less_to_read() {
        let file = FILES.iter().find(|file| file.name == "paywall.css").unwrap();
        let plain = asked(file.name, None, &[("accept-encoding", "br")]);
        let zipped = asked(file.name, None, &[("accept-encoding", "gzip, br")]);
        assert!(!plain.headers().contains_key("content-encoding"));
        assert_eq!(zipped.headers()["content-encoding"], "gzip");
        assert_ne!(plain.headers()["etag"], zipped.headers()["etag"]);
        for answer in [&plain, &zipped] {
            assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        }
        let bytes = body(zipped).await;
        assert!(bytes.len() < file.plain.len());
        let mut text = Vec::new();
        GzDecoder::new(&*bytes).read_to_end(&mut text).unwrap();
        assert_eq!(text, file.plain);
        assert_eq!(body(plain).await, text);
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = asked("paywall.js", None, &[]);
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let tag = first.headers()["etag"].to_str().unwrap();
        for known in [
            tag.to_owned(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let again = asked("paywall.js", None, &[("if-none-match", &known)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(again.headers()["etag"], tag);
            assert_eq!(again.headers()["cache-control"], "no-cache");
            assert!(!again.headers().contains_key("content-type"));
        }
        for other in ["\"other\"", "", &tag.replace('"', "")] {
            let whole = asked("paywall.js", None, &[("if-none-match", other)]);
            assert_eq!(whole.status(), StatusCode::OK, "{other}");
        }
    }

    #[test]
    fn only_by_its_version_a_file_is_kept_for_good() {
        let caching = |query: &str| {
            let answer = asked("paywall.js", Some(query), &[]);
            answer.headers()["cache-control"].to_str().unwrap().to_owned()
        };
        let version = format!("v={}", *VERSION);
        assert_eq!(caching(&version), "public, max-age=31536000, immutable");
        for other in ["", "v=", "v=0123456789abcdef", &format!("{version}&x"), &VERSION] {
            assert_eq!(caching(other), "no-cache", "{other}");
        }
    }

    /// A file that a page refers to without it would be asked for anew with every page.
    #[test]
    fn pages_name_files_that_there_are_with_their_version() {
        for page in [INDEX, TOKENS_PAGE] {
            let mut found = 0;
            for attribute in ["src=\"", "href=\""] {
                for (at, _) in page.match_indices(attribute) {
                    let (address, _) = page[at + attribute.len()..].split_once('"').unwrap();
                    let (path, query) = address.split_once('?').unwrap_or((address, ""));
                    if !path.ends_with(".js") && !path.ends_with(".css") {
                        continue;
                    }
                    let name = path.strip_prefix("/js/microraiden/").expect(address);
                    assert!(SOURCES.iter().any(|(known, ..)| *known == name), "{address}");
                    assert_eq!(query, "v={version}", "{address}");
                    found += 1;
                }
            }
            assert!(found >= 2, "a script and a style:\n{page}");
        }
    }
}
