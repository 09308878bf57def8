//! What is sent: headers and body, from the command line, files and standard input.
//!
//! No error tells a header's value, since it may be a secret.

use super::args::ContentArgs;
use crate::Failure;
use crate::exit::Misuse;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use microraiden_http::is_payment_header;
use std::fs;
use std::io::Read;

/// Headers and body of a request.
pub(super) struct Content {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Content {
    /// Reads what the command line says.
    ///
    /// # Errors
    /// When a file cannot be read, or a header is not one.
    pub(super) fn read(args: &ContentArgs) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        for (number, text) in (1..).zip(&args.headers) {
            match text.strip_prefix('@') {
                None => add(&mut headers, text, &format!("--header number {number}"))?,
                Some(source) => {
                    let bytes = read(source)?;
                    let lines = String::from_utf8(bytes).map_err(|_| {
                        Misuse(format!("the file of --header number {number} is not UTF-8 text"))
                    })?;
                    for (line, text) in (1..)
                        .zip(lines.lines())
                        .filter(|(_, text)| !text.trim().is_empty())
                    {
                        add(
                            &mut headers,
                            text,
                            &format!("line {line} of the headers in {source}"),
                        )?;
                    }
                }
            }
        }
        let (body, media_type) = match &args.data_json {
            Some(text) => (read_value(text)?, Some("application/json")),
            None if args.data.is_empty() => (Vec::new(), None),
            None => {
                let parts: Vec<_> = args
                    .data
                    .iter()
                    .map(|text| read_value(text))
                    .collect::<Result<_, _>>()?;
                (parts.join(&b'&'), Some("application/x-www-form-urlencoded"))
            }
        };
        if let Some(media_type) = media_type {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(media_type));
        }
        if args.data_json.is_some() {
            headers
                .entry(ACCEPT)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        Ok(Self { headers, body })
    }
}

/// Adds what is written as `Name: value`.
fn add(headers: &mut HeaderMap, text: &str, place: &str) -> Result<(), Misuse> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name: HeaderName = name.trim().parse().ok()?;
        let value = HeaderValue::from_str(value.trim()).ok()?;
        Some((name, value))
    });
    let Some((name, mut value)) = parsed else {
        return Err(Misuse(format!("{place} is not written as 'Name: value'")));
    };
    if is_payment_header(&name) {
        return Err(Misuse(format!(
            "{place} is {name}, which the program writes by itself: leave it out"
        )));
    }
    value.set_sensitive(true);
    headers.append(name, value);
    Ok(())
}

/// A text, or what `@FILE` or `@-` names.
fn read_value(text: &str) -> Result<Vec<u8>, Failure> {
    match text.strip_prefix('@') {
        Some(source) => read(source),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// The bytes of a file, or of standard input for `-`.
fn read(source: &str) -> Result<Vec<u8>, Failure> {
    if source == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    Ok(fs::read(source).map_err(|error| format!("cannot read {source}: {error}"))?)
}
