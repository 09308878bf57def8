//! A page as a list of what is to be done, in its order.

/// What a page has for the machine.
#[derive(Debug)]
pub(crate) enum Item {
    /// Commands that the page needs and a reader does not: `<!-- setup … -->`.
    Setup {
        line: usize,
        commands: String,
    },
    Block(Block),
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of its fence.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    pub(crate) steering: Vec<Steering>,
}

/// What a comment right before a block says about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Steering {
    /// `<!-- skip: REASON -->`: it needs what a test does not have.
    Skip(String),
    /// `<!-- fails -->`: its last command is shown because it fails.
    Fails,
    /// `<!-- serves -->`: its commands go on, and listen.
    Serves,
    /// `<!-- ends: PROGRAM -->`: before it the reader presses Ctrl-C where this serves.
    Ends(String),
    /// `<!-- browser -->`: a script for a browser, which is only checked.
    Browser,
    /// `<!-- file: NAME -->`: it is what a file holds.
    File(String),
    /// `<!-- type: WORDS -->`: what is typed wherever a command asks for something.
    Type(String),
}

/// Why a block may be skipped.
pub(crate) const REASONS: [&str; 6] = [
    "public network",
    "containers",
    "geth",
    "systemd",
    "second host",
    "database",
];

impl Block {
    /// Commands that stand in a comment.
    pub(crate) fn setup(line: usize, commands: &str) -> Self {
        let mut text = String::new();
        for line in commands.lines() {
            let prompt = if text.ends_with("\\\n") { "" } else { "$ " };
            text = format!("{text}{prompt}{line}\n");
        }
        Self {
            line,
            language: "console".to_owned(),
            text,
            steering: Vec::new(),
        }
    }

    pub(crate) fn has(&self, wanted: &Steering) -> bool {
        self.steering.contains(wanted)
    }

    pub(crate) fn skipped(&self) -> Option<&str> {
        self.steering.iter().find_map(|steering| match steering {
            Steering::Skip(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    pub(crate) fn file(&self) -> Option<&str> {
        self.steering.iter().find_map(|steering| match steering {
            Steering::File(name) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(crate) fn typed(&self) -> Option<&str> {
        self.steering.iter().find_map(|steering| match steering {
            Steering::Type(words) => Some(words.as_str()),
            _ => None,
        })
    }
}

/// Reads a page.
///
/// # Errors
/// When a comment before a block says what is not understood, or steers nothing.
pub(crate) fn items(markdown: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut steering = Vec::new();
    let mut unknown = None;
    let mut lines = markdown
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        let content = line.trim_start();
        if content.starts_with("<!--") {
            let mut comment = content.to_owned();
            while !comment.contains("-->") {
                let (_, next) = lines
                    .next()
                    .ok_or(format!("line {number}: a comment without an end"))?;
                comment = format!("{comment}\n{next}");
            }
            match read(
                comment
                    .trim_start_matches("<!--")
                    .trim_end()
                    .trim_end_matches("-->")
                    .trim(),
            ) {
                Read::Setup(commands) => items.push(Item::Setup {
                    line: number,
                    commands,
                }),
                Read::Steering(known) => steering.push(known),
                Read::Unknown(comment) => unknown = Some((number, comment)),
            }
        } else if let Some(info) = content.strip_prefix("```") {
            if let Some((number, comment)) = unknown {
                return Err(format!(
                    "line {number}: the comment `{comment}` before a block says nothing that is known"
                ));
            }
            let indent = line.len() - content.len();
            let mut text = String::new();
            loop {
                let (_, next) = lines
                    .next()
                    .ok_or(format!("line {number}: a block without an end"))?;
                if next.trim() == "```" {
                    break;
                }
                text = text + next.get(indent..).unwrap_or(next.trim_start()) + "\n";
            }
            let language = info.split([',', ' ']).next().unwrap_or_default().to_owned();
            let steering = std::mem::take(&mut steering);
            items.push(Item::Block(Block {
                line: number,
                language,
                text,
                steering,
            }));
        } else if !content.is_empty() {
            if !steering.is_empty() {
                return Err(format!(
                    "line {number}: no block follows what steers one: {steering:?}"
                ));
            }
            unknown = None;
        }
    }
    Ok(items)
}

enum Read {
    Setup(String),
    Steering(Steering),
    Unknown(String),
}

fn read(comment: &str) -> Read {
    let (word, rest) = comment.split_once([':', '\n']).unwrap_or((comment, ""));
    let rest = rest.trim();
    Read::Steering(match word.trim() {
        "setup" => return Read::Setup(rest.to_owned()),
        "skip" if REASONS.contains(&rest) => Steering::Skip(rest.to_owned()),
        "fails" => Steering::Fails,
        "serves" => Steering::Serves,
        "ends" => Steering::Ends(rest.to_owned()),
        "browser" => Steering::Browser,
        "file" => Steering::File(rest.to_owned()),
        "type" => Steering::Type(rest.to_owned()),
        _ => return Read::Unknown(comment.lines().next().unwrap_or_default().to_owned()),
    })
}
