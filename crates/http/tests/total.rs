//! Reading is total, for arbitrary bytes and for what was nearly right: the checks of the fuzz
//! targets, on ten thousand cases each.

#[expect(unreachable_pub, reason = "a crate of its own for the fuzz targets")]
#[path = "../../../fuzz/src/lib.rs"]
mod checks;

use http::HeaderMap;
use microraiden_http::headers::ALL;
use microraiden_http::{PaymentHeaders, Receipt};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// The seeds of a fuzz target: whole and right.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let files = fs::read_dir(folder).expect("the seeds are there");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// What is done to a right text.
#[derive(Debug, Clone)]
enum Change {
    /// One byte becomes another.
    Byte(usize, u8),
    /// One bit is turned.
    Bit(usize, u8),
    /// A stretch is taken out.
    Cut(usize, usize),
    /// A stretch is there twice.
    Twice(usize, usize),
    /// Something is put in.
    Put(usize, Vec<u8>),
}

impl Change {
    fn apply(self, text: &mut Vec<u8>) {
        let place = |at: usize| at % text.len().max(1);
        let stretch = |at: usize, length: usize| {
            let from = place(at);
            from..(from + length).min(text.len())
        };
        match self {
            _ if text.is_empty() => {}
            Self::Byte(at, byte) => {
                let at = place(at);
                text[at] = byte;
            }
            Self::Bit(at, bit) => {
                let at = place(at);
                text[at] ^= 1 << (bit % 8);
            }
            Self::Cut(at, length) => {
                let range = stretch(at, length);
                text.drain(range);
            }
            Self::Twice(at, length) => {
                let copy = text[stretch(at, length)].to_vec();
                let at = place(at);
                text.splice(at..at, copy);
            }
            Self::Put(at, bytes) => {
                let at = place(at);
                text.splice(at..at, bytes);
            }
        }
    }
}

/// Words that mean something on the wire, or nearly.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let name = (0..ALL.len()).prop_map(|name| format!("\n{}: ", ALL[name]).into_bytes());
    let value = prop::sample::select(vec![
        "",
        "0",
        "1",
        "-1",
        "+5",
        "0x",
        " ",
        "\t",
        "\r\n",
        "\u{e9}",
        ",",
        ";",
        "\"",
        "{",
        "}",
        "[",
        "1e3",
        "null",
        "6277101735386680763835789423207666416102355444464034512895",
        "6277101735386680763835789423207666416102355444464034512896",
        "4294967295",
        "4294967296",
        "0x0000000000000000000000000000000000000000",
    ]);
    prop_oneof![
        name,
        value.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8)
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Change::Bit(at, bit)),
        (any::<usize>(), 1..80usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<usize>(), 1..80usize).prop_map(|(at, length)| Change::Twice(at, length)),
        (any::<usize>(), word()).prop_map(|(at, bytes)| Change::Put(at, bytes)),
    ]
}

/// A seed with a few changes.
fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seed = prop::sample::select(seeds(target));
    (seed, prop::collection::vec(change(), 0..5)).prop_map(|(mut text, changes)| {
        changes.into_iter().for_each(|change| change.apply(&mut text));
        text
    })
}

/// Lines whose names are right and whose values are anything.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = (0..ALL.len(), word(), word()).prop_map(|(name, first, second)| {
        [ALL[name].as_str().as_bytes(), b":", &first, &second, b"\n"].concat()
    });
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.concat())
}

#[test]
fn every_seed_is_right() {
    for seed in seeds("request") {
        let read = PaymentHeaders::read(&checks::headers(&seed));
        assert!(matches!(read, Ok(Some(payment)) if payment.signature.is_ok()));
        checks::request(&seed);
    }
    for seed in seeds("challenge") {
        let headers: HeaderMap = checks::headers(&seed);
        let receipt = Receipt::read(&headers).expect("well-formed");
        assert!(receipt.is_some() || microraiden_http::Challenge::read(&headers).is_ok());
        checks::challenge(&seed);
    }
    seeds("close").iter().for_each(|seed| checks::close(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn requests_are_read_whatever_they_are(bytes in prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600), 2 => lines(), 4 => changed("request")
    ]) {
        checks::request(&bytes);
    }

    #[test]
    fn answers_are_read_whatever_they_are(bytes in prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600), 2 => lines(), 4 => changed("challenge")
    ]) {
        checks::challenge(&bytes);
    }

    #[test]
    fn bodies_are_read_whatever_they_are(bytes in prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600), 4 => changed("close")
    ]) {
        checks::close(&bytes);
    }
}
