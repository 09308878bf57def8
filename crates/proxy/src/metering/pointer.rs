//! Where a value stands in JSON (RFC 6901).

use std::str::FromStr;

/// A JSON pointer, such as `/usage/total_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPointer {
    text: String,
    steps: Vec<String>,
}

/// Why a text is no JSON pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place in JSON is written as /usage/total_tokens, each name behind a slash, with ~1 for a slash and ~0 for a tilde in a name"
)]
pub struct NotAPointer;

impl FromStr for JsonPointer {
    type Err = NotAPointer;

    fn from_str(text: &str) -> Result<Self, NotAPointer> {
        let mut steps = text.split('/');
        // Before the first slash there is nothing; the empty pointer is the whole text.
        if steps.next() != Some("") {
            return Err(NotAPointer);
        }
        Ok(Self {
            text: text.to_owned(),
            steps: steps.map(unescape).collect::<Result<_, _>>()?,
        })
    }
}

impl JsonPointer {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names and indices on the way.
    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }
}

/// Whether a step means this element of an array: digits, without zeros in front.
pub(super) fn is_index(step: &str, index: usize) -> bool {
    step == index.to_string()
}

fn unescape(step: &str) -> Result<String, NotAPointer> {
    let mut parts = step.split('~');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tilde, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err(NotAPointer),
        };
        name.push(tilde);
        name.push_str(rest);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_has_a_name_behind_each_slash() {
        for (text, steps) in [
            ("", &[][..]),
            ("/", &[""]),
            ("/usage/total_tokens", &["usage", "total_tokens"]),
            ("/a~1b/~0c/~01", &["a/b", "~c", "~1"]),
            ("/x//0", &["x", "", "0"]),
        ] {
            let pointer: JsonPointer = text.parse().unwrap();
            assert_eq!(pointer.steps(), steps, "{text}");
            assert_eq!(pointer.as_str(), text);
        }
        for text in ["usage", "usage/total", "/a~", "/a~2", "#/a", " /a"] {
            assert_eq!(text.parse::<JsonPointer>(), Err(NotAPointer), "{text}");
        }
    }
}
