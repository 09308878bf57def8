//! What servers make of a path.

/// How many readings of a path are looked at, and how many bytes of them: who sends more gets nothing.
const MOST: usize = 64;
const MOST_BYTES: usize = 128 << 10;

type Habit = fn(&[u8]) -> Vec<u8>;

/// What a server may do to a path, also several of these, in any order, or one of them again.
const HABITS: [Habit; 7] = [
    percent_decoded,
    overlong_decoded,
    with_slashes,
    without_parameters,
    without_query,
    with_single_slashes,
    without_last_slash,
];

/// Everything that a path may be for some server: itself, and what is left of it when encodings are
/// decoded, once or again; backslashes are slashes; parameters behind a `;` are dropped; a `?` that was
/// encoded begins the query; slashes in a row are one; a slash at the end is none.
///
/// `None` when it has too many readings to look at them all.
pub(crate) fn readings(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut readings = vec![path.as_bytes().to_vec()];
    let has_one = !path.contains(['%', '\\', ';']) && !path.contains("//") && !path.ends_with('/');
    if has_one {
        return Some(readings);
    }
    let (mut next, mut length) = (0, path.len());
    while let Some(reading) = readings.get(next).cloned() {
        for habit in HABITS {
            let another = habit(&reading);
            if !readings.contains(&another) {
                length += another.len();
                readings.push(another);
            }
            if readings.len() > MOST || length > MOST_BYTES {
                return None;
            }
        }
        next += 1;
    }
    Some(readings)
}

fn percent_decoded(path: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(path).collect()
}

/// With ASCII characters in the place of sequences that stand for them only if UTF-8 is read
/// carelessly, in two to four bytes.
fn overlong_decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        let (high, tail) = match rest {
            [lead @ (0xc0 | 0xc1), tail @ ..]
            | [0xe0, lead @ (0x80 | 0x81), tail @ ..]
            | [0xf0, 0x80, lead @ (0x80 | 0x81), tail @ ..] => (lead & 1, tail),
            _ => {
                decoded.push(*first);
                rest = behind;
                continue;
            }
        };
        match tail {
            [low @ 0x80..=0xbf, tail @ ..] => {
                decoded.push(high << 6 | low & 0x3f);
                rest = tail;
            }
            _ => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    decoded
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(slash).collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .map(|segment| until(segment, b';'))
        .collect();
    names.join(&b'/')
}

fn without_query(path: &[u8]) -> Vec<u8> {
    until(path, b'?').to_vec()
}

fn with_single_slashes(path: &[u8]) -> Vec<u8> {
    let mut single = path.to_vec();
    single.dedup_by(|next, before| *next == b'/' && *before == b'/');
    single
}

fn without_last_slash(path: &[u8]) -> Vec<u8> {
    match path.strip_suffix(b"/") {
        Some(shorter) if !shorter.is_empty() => shorter.to_vec(),
        _ => path.to_vec(),
    }
}

fn until(text: &[u8], end: u8) -> &[u8] {
    text.split(|byte| *byte == end).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str) -> Vec<String> {
        let mut all: Vec<_> = readings(path)
            .unwrap()
            .into_iter()
            .map(|reading| String::from_utf8(reading).unwrap())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_plain_path_is_read_in_one_way() {
        for path in ["/", "/a/b-c.~_/ü", "/.../$&'()*+,=:@!"] {
            let first = readings(path).unwrap();
            assert_eq!(first[0], path.as_bytes());
            assert_eq!(first.len(), 1, "{path}");
        }
    }

    #[test]
    fn every_habit_is_looked_at_after_every_other() {
        assert_eq!(all("/a%2Fb"), ["/a%2Fb", "/a/b"]);
        assert_eq!(all("/a%252fb"), ["/a%252fb", "/a%2fb", "/a/b"]);
        assert_eq!(all("/a%5cb"), ["/a%5cb", "/a/b", "/a\\b"]);
        assert_eq!(all("/a//b/"), ["/a//b", "/a//b/", "/a/b", "/a/b/"]);
        assert_eq!(all("/a;x/b"), ["/a/b", "/a;x/b"]);
        assert_eq!(all("/a;%2fb"), ["/a", "/a/b", "/a;%2fb", "/a;/b"]);
        assert_eq!(all("/a%3fb/c"), ["/a", "/a%3fb/c", "/a?b/c"]);
        // Servers that decode from the left see one encoding after the other.
        assert_eq!(all("/%%36%31"), ["/%%36%31", "/%61", "/a"]);
    }

    #[test]
    fn overlong_sequences_stand_for_what_they_hide() {
        for (dot, slash) in [
            ("%c0%ae", "%C0%AF"),
            ("%e0%80%ae", "%e0%80%af"),
            ("%f0%80%80%ae", "%f0%80%80%af"),
        ] {
            let readings = readings(&format!("/a{slash}{dot}{dot}b%c1%a1%c3%a9")).unwrap();
            assert!(readings.contains(&"/a/..baé".as_bytes().to_vec()), "{readings:?}");
        }
        for whole in [
            &b"\xc0"[..],
            b"\xe0\x80",
            b"\xf0\x80\x80",
            b"\xc0x",
            b"\xe2\x80\xa6",
            b"\xc3\xa9",
        ] {
            assert_eq!(overlong_decoded(whole), whole);
        }
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        assert!(readings(&format!("/%{}41", "25".repeat(70))).is_none());
        let long = "a".repeat(40 << 10);
        assert_eq!(readings(&format!("/{long}%20b")).unwrap().len(), 2);
        assert!(readings(&format!("/{long}%2520//b")).is_none());
        assert!(readings(&format!("/{}", long.repeat(10))).is_some());
    }
}
