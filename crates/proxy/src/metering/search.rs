//! Finding counts in one JSON text, without building what is not asked for.

use super::pointer::is_index;
use super::{Count, JsonPointer, Unreadable};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What stands at these places; `None` where there is nothing, or `null`.
///
/// # Errors
/// When it is no JSON text as a whole: then nothing that was found counts.
pub(super) fn find(text: &[u8], pointers: &[JsonPointer]) -> Result<Vec<Option<Count>>, serde_json::Error> {
    let mut found = vec![None; pointers.len()];
    let sought = pointers.iter().map(JsonPointer::steps).enumerate().collect();
    let mut json = serde_json::Deserializer::from_slice(text);
    Search {
        sought,
        found: &mut found,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(found)
}

/// Reads one value, of which some places are sought: which, and the rest of the way there.
struct Search<'a, 'f> {
    sought: Vec<(usize, &'a [String])>,
    found: &'f mut [Option<Count>],
}

impl<'a> Search<'a, '_> {
    /// Takes what stands here for those whose way ends here.
    fn here(&mut self, count: Count) {
        for (place, steps) in &self.sought {
            if steps.is_empty() {
                let slot = &mut self.found[*place];
                // Readers differ in which of two they take.
                *slot = Some(if slot.is_some() {
                    Err(Unreadable::Twice)
                } else {
                    count
                });
            }
        }
    }

    /// Those whose way goes on by this step; `None` when there are none.
    fn below(&mut self, step: impl Fn(&str) -> bool) -> Option<Search<'a, '_>> {
        let sought: Vec<_> = self
            .sought
            .iter()
            .filter_map(|(place, steps)| {
                let (first, rest) = steps.split_first()?;
                step(first).then_some((*place, rest))
            })
            .collect();
        (!sought.is_empty()).then_some(Search {
            sought,
            found: self.found,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_u64<E>(mut self, count: u64) -> Result<(), E> {
        self.here(Ok(count));
        Ok(())
    }

    fn visit_i64<E>(mut self, _: i64) -> Result<(), E> {
        self.here(Err(Unreadable::NotACount));
        Ok(())
    }

    fn visit_f64<E>(mut self, _: f64) -> Result<(), E> {
        self.here(Err(Unreadable::NotACount));
        Ok(())
    }

    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        self.here(Err(Unreadable::NotACount));
        Ok(())
    }

    fn visit_str<E>(mut self, _: &str) -> Result<(), E> {
        self.here(Err(Unreadable::NotACount));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.here(Err(Unreadable::NotACount));
        for index in 0.. {
            let more = match self.below(|step| is_index(step, index)) {
                Some(search) => elements.next_element_seed(search)?,
                None => elements.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.here(Err(Unreadable::NotACount));
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            match self.below(|step| step == name) {
                Some(search) => members.next_value_seed(search)?,
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, pointer: &str) -> Option<Count> {
        find(text.as_bytes(), &[pointer.parse().unwrap()]).unwrap()[0]
    }

    #[test]
    fn a_count_is_a_whole_number_in_digits() {
        for (number, count) in [
            ("0", Some(Ok(0))),
            ("12", Some(Ok(12))),
            ("18446744073709551615", Some(Ok(u64::MAX))),
            ("18446744073709551616", Some(Err(Unreadable::NotACount))),
            ("1e400", None),
            ("12.0", Some(Err(Unreadable::NotACount))),
            ("1e3", Some(Err(Unreadable::NotACount))),
            ("12.5", Some(Err(Unreadable::NotACount))),
            ("-0", Some(Err(Unreadable::NotACount))),
            ("-1", Some(Err(Unreadable::NotACount))),
            ("\"12\"", Some(Err(Unreadable::NotACount))),
            ("true", Some(Err(Unreadable::NotACount))),
            ("[12]", Some(Err(Unreadable::NotACount))),
            ("{\"n\":12}", Some(Err(Unreadable::NotACount))),
            ("null", None),
        ] {
            let text = format!(r#"{{"id":"x","usage":{{"n":{number}}}}}"#);
            let found = find(text.as_bytes(), &["/usage/n".parse().unwrap()]);
            assert_eq!(found.ok().and_then(|found| found[0]), count, "{number}");
        }
    }

    #[test]
    fn places_are_found_by_name_and_index() {
        assert_eq!(one("7", ""), Some(Ok(7)));
        assert_eq!(one(r#"{"a":[1,{"b/c":2}]}"#, "/a/1/b~1c"), Some(Ok(2)));
        assert_eq!(one("[1,2]", "/1"), Some(Ok(2)));
        assert_eq!(one(r#"{"\u0061":1}"#, "/a"), Some(Ok(1)));
        for (text, pointer) in [
            ("[1,2]", "/01"),
            ("[1,2]", "/2"),
            ("[1,2]", "/-"),
            ("{}", "/a"),
            (r#"{"a":1}"#, "/a/b"),
            (r#"{"a":null}"#, "/a/b"),
            // Text is never looked into.
            (r#"{"b":"{\"a\":1}","c":{"a":1}}"#, "/a"),
        ] {
            assert_eq!(one(text, pointer), None, "{pointer} in {text}");
        }
        let pointers = ["/u/a", "/u/b", "/u", "/u/a"].map(|pointer| pointer.parse().unwrap());
        let found = find(br#"{"u":{"b":2,"a":1}}"#, &pointers).unwrap();
        assert_eq!(
            found,
            [
                Some(Ok(1)),
                Some(Ok(2)),
                Some(Err(Unreadable::NotACount)),
                Some(Ok(1))
            ]
        );
    }

    #[test]
    fn what_stands_twice_is_not_known() {
        for text in [r#"{"a":{"b":1},"a":{"b":1}}"#, r#"{"a":{"b":1,"b":0}}"#] {
            assert_eq!(one(text, "/a/b"), Some(Err(Unreadable::Twice)), "{text}");
        }
    }

    #[test]
    fn half_a_text_says_nothing() {
        let pointers = ["/a".parse().unwrap()];
        for text in [
            "",
            r#"{"a":1"#,
            r#"{"a":1} {"a":2}"#,
            r#"{"a":1},"#,
            "\u{feff}{}",
            "data",
        ] {
            assert!(find(text.as_bytes(), &pointers).is_err(), "{text}");
        }
        let deep = [r#"{"a":1,"b":"#, &"[".repeat(100_000)].concat();
        assert!(find(deep.as_bytes(), &pointers).is_err());
    }
}
