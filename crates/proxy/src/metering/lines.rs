//! Cutting a body into lines, and lines into server-sent events, however its pieces are cut.

use super::LONGEST_TEXT;

/// Cuts a body into lines, which end with CR, LF or both.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// It is longer than is kept.
    too_long: bool,
    /// A line feed that comes next belongs to the line before.
    after_return: bool,
}

impl Lines {
    /// Takes the next piece, and gives each line that has ended; `None` for one that is too long.
    pub(super) fn read(&mut self, mut piece: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        if piece.is_empty() {
            return;
        }
        if std::mem::take(&mut self.after_return) {
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(at) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = piece.split_at(at);
            self.end(line, &mut each);
            piece = match rest.strip_prefix(b"\r") {
                Some([]) => {
                    self.after_return = true;
                    return;
                }
                Some(next) => next.strip_prefix(b"\n").unwrap_or(next),
                None => &rest[1..],
            };
        }
        self.begin(piece);
    }

    /// The last line, if no line's end stands behind it.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Option<&[u8]>)) {
        if self.too_long || !self.begun.is_empty() {
            self.end(&[], &mut each);
        }
    }

    fn begin(&mut self, piece: &[u8]) {
        if self.begun.len() + piece.len() > LONGEST_TEXT {
            self.too_long = true;
            self.begun = Vec::new();
        } else if !self.too_long {
            self.begun.extend_from_slice(piece);
        }
    }

    fn end(&mut self, line: &[u8], each: &mut impl FnMut(Option<&[u8]>)) {
        if self.begun.is_empty() && !self.too_long && line.len() <= LONGEST_TEXT {
            return each(Some(line));
        }
        self.begin(line);
        each((!self.too_long).then_some(&self.begun));
        self.begun.clear();
        self.too_long = false;
    }
}

/// Puts the data of server-sent events together.
#[derive(Debug, Default)]
pub(super) struct Events {
    lines: Lines,
    data: Vec<u8>,
    /// There was a line of data since the last event.
    has_data: bool,
    too_long: bool,
    /// The first line has been read.
    begun: bool,
}

impl Events {
    /// Takes the next piece, and gives the data of each event that has ended; `None` for one that is
    /// too long. An event that has no end is none.
    pub(super) fn read(&mut self, piece: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        let Self {
            lines,
            data,
            has_data,
            too_long,
            begun,
        } = self;
        lines.read(piece, |line| {
            let first = !std::mem::replace(begun, true);
            let Some(mut line) = line else {
                // Whatever it was, it may have been data.
                (*has_data, *too_long) = (true, true);
                return;
            };
            if first {
                line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
            }
            if line.is_empty() {
                if std::mem::take(has_data) {
                    // Without the line feed behind the last line.
                    let end = data.len().saturating_sub(1);
                    each((!*too_long).then_some(&data[..end]));
                }
                data.clear();
                *too_long = false;
            } else if let Some(value) = data_of(line) {
                *has_data = true;
                if data.len() + value.len() > LONGEST_TEXT {
                    *too_long = true;
                    *data = Vec::new();
                } else if !*too_long {
                    data.extend_from_slice(value);
                    data.push(b'\n');
                }
            }
        });
    }
}

/// The value of a field `data`; other fields and comments have none.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&str]) -> Vec<Option<String>> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in pieces {
            let owned = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
            events.read(piece.as_bytes(), |data| found.push(data.map(owned)));
        }
        found
    }

    #[test]
    fn events_are_cut_as_the_standard_says() {
        for (stream, data) in [
            ("data: a\n\ndata:b\n\n", &["a", "b"][..]),
            ("data: a\r\rdata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\ndata: b\rdata:  c\n\n", &["a\nb\n c"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data: a\n\n\u{feff}data: b\n\n", &["a"]),
            ("data\n\n", &[""]),
            ("data\ndata\n\n", &["\n"]),
            (": comment\nevent: x\nid: 1\nretry: 5\n\n", &[]),
            (
                "event: x\ndata: a\nid: 1\n:data: b\ndatax: c\n data: d\nData: e\n\n",
                &["a"],
            ),
            // What has no end is no event.
            ("data: a\n\ndata: b\n", &["a"]),
            ("data: a", &[]),
        ] {
            let data: Vec<_> = data.iter().map(|data| Some((*data).to_owned())).collect();
            assert_eq!(events(&[stream]), data, "{stream:?}");
            let bytes: Vec<&str> = stream.split_inclusive(|_: char| true).collect();
            assert_eq!(events(&bytes), data, "{stream:?} cut everywhere");
        }
    }

    #[test]
    fn what_is_too_long_is_told_and_not_kept() {
        let half = "x".repeat(LONGEST_TEXT / 2);
        let piece = format!("{half}\n");
        let long = ["data: ", &half, &half, &half, "\n\n", "data: a\n\n"];
        assert_eq!(events(&long), [None, Some("a".to_owned())]);
        let many = [
            "data:",
            &piece,
            "data:",
            &piece,
            "data:",
            &piece,
            "\n",
            "data: a\n\n",
        ];
        assert_eq!(events(&many), [None, Some("a".to_owned())]);
        let fits = ["data: ", &half, "\n\n"];
        assert_eq!(events(&fits), [Some(half.clone())]);

        let mut lines = Lines::default();
        let mut lengths = Vec::new();
        for piece in [&half, &half, &half, "\nab\r", "\n", "c"] {
            lines.read(piece.as_bytes(), |line| lengths.push(line.map(<[u8]>::len)));
        }
        lines.finish(|line| lengths.push(line.map(<[u8]>::len)));
        assert_eq!(lengths, [None, Some(2), Some(1)]);
    }
}
