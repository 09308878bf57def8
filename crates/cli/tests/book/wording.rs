//! Commands and what they print, as a page shows them.

/// A command, and what stands below it.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
}

/// Reads a block of a terminal: `$ ` begins a command, `> ` or a backslash before it goes on with it.
///
/// # Errors
/// When it begins with something else.
pub(crate) fn commands(block: &str) -> Result<Vec<Shown>, String> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            shown.push(Shown {
                command: command.to_owned(),
                output: Vec::new(),
            });
            continue;
        }
        let Some(last) = shown.last_mut() else {
            return Err(format!("`{line}` stands before the first `$ `"));
        };
        let goes_on = last.command.ends_with('\\') && last.output.is_empty();
        match line.strip_prefix("> ") {
            None if goes_on => last.command = format!("{}\n{line}", last.command),
            Some(rest) if last.output.is_empty() => last.command = format!("{}\n{rest}", last.command),
            _ if line == ">" && last.output.is_empty() => last.command.push('\n'),
            _ => last.output.push(line.trim_end().to_owned()),
        }
    }
    Ok(shown)
}

/// Whether the lines of a page fit what was printed: `…` or `[..]` stands for anything within a line, and alone for any
/// number of lines.
pub(crate) fn fits(page: &[String], printed: &[String]) -> bool {
    let Some((line, rest)) = page.split_first() else {
        return printed.iter().all(|line| line.is_empty());
    };
    if is_any(line) {
        return (0..=printed.len()).any(|skipped| fits(rest, printed.get(skipped..).unwrap_or_default()));
    }
    match printed.split_first() {
        Some((printed, others)) => line_fits(line, printed) && fits(rest, others),
        None => false,
    }
}

/// Whether the beginning of what was printed fits.
pub(crate) fn begins(page: &[String], printed: &[String]) -> bool {
    (0..=printed.len()).any(|length| fits(page, printed.get(..length).unwrap_or_default()))
}

fn is_any(line: &str) -> bool {
    matches!(line.trim(), "…" | "..." | "[..]")
}

fn line_fits(page: &str, printed: &str) -> bool {
    let page = page.replace("[..]", "…");
    let mut parts = page.split('…');
    let Some(mut left) = parts.next().and_then(|first| printed.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return left.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// The last lines, which say what was wrong.
pub(crate) fn tail(lines: &[String]) -> String {
    lines
        .get(lines.len().saturating_sub(40)..)
        .unwrap_or_default()
        .join("\n")
}

/// What a terminal shows at the end, line by line, without colours; what was written over is gone.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = vec![String::new()];
    // Where it writes, and whether it comes back to a line that is there.
    let (mut line, mut returns) = (0, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                let up = lines_up(&mut characters);
                line -= up.min(line);
                returns |= up > 0;
            }
            '\r' => returns = true,
            '\n' => {
                line += 1;
                returns = line < lines.len();
                lines.resize(lines.len().max(line + 1), String::new());
            }
            _ => {
                if std::mem::take(&mut returns) {
                    lines[line].clear();
                }
                lines[line].push(character);
            }
        }
    }
    lines
        .iter_mut()
        .for_each(|line| line.truncate(line.trim_end().len()));
    let length = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1);
    lines.truncate(length);
    lines
}

/// Passes over a control sequence, `[`, parameters, a letter; how many lines it goes up.
fn lines_up(characters: &mut std::str::Chars<'_>) -> usize {
    if characters.next() != Some('[') {
        return 0;
    }
    let mut parameters = String::new();
    match characters.find(|character| {
        parameters.push(*character);
        character.is_ascii_alphabetic()
    }) {
        Some('A') => parameters.trim_end_matches('A').parse().unwrap_or(1),
        _ => 0,
    }
}
