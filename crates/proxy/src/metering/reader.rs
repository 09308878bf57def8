//! Finding counts in the body of an answer, by its type.

use super::lines::{Events, Lines};
use super::search::find;
use super::{Count, JsonPointer, LONGEST_TEXT, Unreadable};
use http::{HeaderMap, HeaderValue, header};
use std::sync::Arc;

/// Reads a body piece by piece, and keeps what it says of the counts that are sought.
#[derive(Debug)]
pub(super) struct Reader {
    form: Form,
    sought: Sought,
}

/// How JSON texts stand in a body.
#[derive(Debug)]
enum Form {
    /// One, which is collected; `None` once it is too long.
    Whole(Option<Vec<u8>>),
    /// One in each event.
    Events(Events),
    /// One in each line.
    Lines(Lines),
}

/// What is sought, and the last that was said of it.
#[derive(Debug)]
struct Sought {
    pointers: Arc<[JsonPointer]>,
    counts: Vec<Count>,
    /// An event has said that nothing more will come.
    is_done: bool,
}

/// The event with which streams of language models end; a client may leave once it has it.
const DONE: &[u8] = b"[DONE]";

impl Reader {
    /// For an answer with this head.
    pub(super) fn new(head: &HeaderMap, pointers: Arc<[JsonPointer]>) -> Result<Self, Unreadable> {
        let form = form(head)?;
        let counts = vec![Err(Unreadable::Missing); pointers.len()];
        let sought = Sought {
            pointers,
            counts,
            is_done: false,
        };
        Ok(Self { form, sought })
    }

    /// Takes the next piece.
    pub(super) fn read(&mut self, piece: &[u8]) {
        let Self { form, sought } = self;
        match form {
            Form::Whole(text) => match text {
                Some(begun) if begun.len() + piece.len() <= LONGEST_TEXT => begun.extend_from_slice(piece),
                _ => *text = None,
            },
            Form::Events(events) => events.read(piece, |data| {
                sought.is_done |= data == Some(DONE);
                sought.one_of_many(data);
            }),
            Form::Lines(lines) => lines.read(piece, |line| sought.one_of_many(line)),
        }
    }

    /// What the body has said, once it has said that this was all.
    pub(super) fn done(&self) -> Option<&[Count]> {
        self.sought.is_done.then_some(&self.sought.counts)
    }

    /// What the whole body says, one count for each pointer.
    pub(super) fn finish(mut self) -> Vec<Count> {
        match self.form {
            Form::Whole(text) => self.sought.only(text.as_deref()),
            Form::Events(_) => {}
            Form::Lines(mut lines) => lines.finish(|line| self.sought.one_of_many(line)),
        }
        self.sought.counts
    }
}

impl Sought {
    /// The only text.
    fn only(&mut self, text: Option<&[u8]>) {
        let found = text
            .ok_or(Unreadable::TooLong)
            .and_then(|text| find(text, &self.pointers).map_err(|_| Unreadable::NotJson));
        match found {
            Ok(found) => self.take(found),
            Err(reason) => self.counts.fill(Err(reason)),
        }
    }

    /// One of several texts: the last that has a count decides it, and what is no JSON has none.
    fn one_of_many(&mut self, text: Option<&[u8]>) {
        let Some(text) = text else {
            self.counts.fill(Err(Unreadable::TooLong));
            return;
        };
        if let Ok(found) = find(text, &self.pointers) {
            self.take(found);
        }
    }

    fn take(&mut self, found: Vec<Option<Count>>) {
        for (count, found) in self.counts.iter_mut().zip(found) {
            *count = found.unwrap_or(*count);
        }
    }
}

/// The form of the type that the answer says to have.
fn form(head: &HeaderMap) -> Result<Form, Unreadable> {
    let plain = |value: &HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(Unreadable::Encoded);
    }
    let content_type = head
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Form::Whole(Some(Vec::new()))),
        "text/event-stream" => Ok(Form::Events(Events::default())),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
            Ok(Form::Lines(Lines::default()))
        }
        other if other.starts_with("application/") && other.ends_with("+json") => {
            Ok(Form::Whole(Some(Vec::new())))
        }
        _ => Err(Unreadable::OtherType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: &str = "text/event-stream";
    const LINES: &str = "application/x-ndjson";

    fn typed(content_type: &str) -> HeaderMap {
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        head
    }

    fn counts<'a>(content_type: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Count> {
        let pointers = ["/usage/n", "/m"].map(|pointer| pointer.parse().unwrap());
        let mut reader = Reader::new(&typed(content_type), Arc::from(pointers)).unwrap();
        for piece in pieces {
            reader.read(piece);
        }
        reader.finish()
    }

    fn count(content_type: &str, body: &str) -> Count {
        counts(content_type, [body.as_bytes()])[0]
    }

    #[test]
    fn the_type_decides_whatever_its_parameters() {
        for (content_type, body) in [
            ("application/json", r#"{"usage":{"n":3}}"#),
            ("Application/JSON ; charset=utf-8", r#"{"usage":{"n":3}}"#),
            ("application/vnd.api+json", r#" {"usage":{"n":3}} "#),
            (
                "text/event-stream; charset=utf-8",
                "data: {\"usage\":{\"n\":3}}\n\n",
            ),
            (LINES, "{\"usage\":{\"n\":3}}\n"),
            ("application/jsonl", "{\"usage\":{\"n\":3}}"),
        ] {
            assert_eq!(count(content_type, body), Ok(3), "{content_type}");
        }
        for content_type in [
            "text/plain",
            "application/jsonx",
            "image/x+json",
            "json",
            "text/html",
        ] {
            let reader = Reader::new(&typed(content_type), Arc::from([]));
            assert_eq!(reader.err(), Some(Unreadable::OtherType), "{content_type}");
        }
        assert_eq!(
            Reader::new(&HeaderMap::new(), Arc::from([])).err(),
            Some(Unreadable::OtherType)
        );
        for (encoding, reason) in [
            ("gzip", Some(Unreadable::Encoded)),
            ("identity, br", Some(Unreadable::Encoded)),
            ("Identity", None),
        ] {
            let mut head = typed("application/json");
            head.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            assert_eq!(Reader::new(&head, Arc::from([])).err(), reason, "{encoding}");
        }
    }

    #[test]
    fn of_many_texts_the_last_that_has_a_count_decides_it() {
        let stream = "data: {\"usage\":{\"n\":1},\"m\":7}\n\n: keep alive\n\ndata: {\"usage\":{\"n\":5}}\n\n\
            data: {\"usage\":null}\n\ndata: {\"usage\":{\"n\":9},\n\nevent: end\ndata: [DONE]\n\n";
        assert_eq!(counts(EVENTS, [stream.as_bytes()]), [Ok(5), Ok(7)]);
        let lines = "{\"m\":1}\r\n\nno JSON\n{\"m\":2,\"usage\":{\"n\":-1}}\n{\"x\":1}";
        let expected = [Err(Unreadable::NotACount), Ok(2)];
        assert_eq!(counts(LINES, [lines.as_bytes()]), expected);
        // A later word that cannot be read is no count, and the earlier one is none any more.
        let text = "data: {\"usage\":{\"n\":5}}\n\ndata: {\"usage\":{\"n\":\"6\"}}\n\n";
        assert_eq!(count(EVENTS, text), Err(Unreadable::NotACount));
        // An event over several lines.
        let split = "data: {\"usage\":\ndata: {\"n\":5}}\n\n";
        assert_eq!(count(EVENTS, split), Ok(5));
    }

    #[test]
    fn what_is_too_long_is_not_known_until_a_later_text_says_it() {
        let long = format!("{{\"usage\":{{\"n\":3}},\"x\":\"{}\"}}", "x".repeat(LONGEST_TEXT));
        assert_eq!(count("application/json", &long), Err(Unreadable::TooLong));
        let events = format!("data: {{\"usage\":{{\"n\":1}}}}\n\ndata: {long}\n\n");
        assert_eq!(count(EVENTS, &events), Err(Unreadable::TooLong));
        let then = events + "data: {\"usage\":{\"n\":2}}\n\n";
        assert_eq!(
            counts(EVENTS, [then.as_bytes()]),
            [Ok(2), Err(Unreadable::TooLong)]
        );
        let fits = format!(
            "{{\"usage\":{{\"n\":3}},\"x\":\"{}\"}}",
            "x".repeat(LONGEST_TEXT - 100)
        );
        assert_eq!(count("application/json", &fits), Ok(3));
    }

    /// A body that means something, or nearly.
    fn body() -> impl Strategy<Value = String> {
        let parts = [
            "data: ",
            "data:",
            "{\"usage\":{\"n\":5}}",
            "{\"usage\":",
            "{\"n\":7}}",
            "{\"m\":1}",
            "data: {\"usage\":\r\ndata: {\"n\":9}}\r\n\r\n",
            "{\"usage\":\r{\"n\":\n3}}",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            ": x",
            "[DONE]",
            "\u{feff}",
            "null",
            "é",
        ];
        proptest::collection::vec(prop::sample::select(parts.to_vec()), 0..40)
            .prop_map(|parts| parts.concat())
    }

    /// The same body in pieces.
    fn cut<'a>(body: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut rest = body;
        let mut pieces = Vec::new();
        for length in lengths {
            let (piece, next) = rest.split_at(*length.min(&rest.len()));
            pieces.push(piece);
            rest = next;
        }
        pieces.push(rest);
        pieces
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pieces_cut_anywhere_give_the_same_counts(
            body in body(),
            lengths in proptest::collection::vec(0..12_usize, 0..80),
        ) {
            for content_type in [EVENTS, LINES, "application/json"] {
                let pieces = cut(body.as_bytes(), &lengths);
                prop_assert_eq!(
                    counts(content_type, pieces),
                    counts(content_type, [body.as_bytes()]),
                    "{}", content_type
                );
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            body in proptest::collection::vec(any::<u8>(), 0..400),
            lengths in proptest::collection::vec(0..12_usize, 0..80),
        ) {
            for content_type in [EVENTS, LINES, "application/json"] {
                let pieces = cut(&body, &lengths);
                prop_assert_eq!(counts(content_type, pieces), counts(content_type, [&body[..]]));
            }
        }
    }
}
