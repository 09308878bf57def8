//! The documentation, executed: every block of every page, in order, as a reader would do it. The examples' own tests do
//! the same for their READMEs.
//!
//! `cargo test -p microraiden-cli --test book -- proxy.md` does this for the pages with such names. In reading order:
//! [`page`] (what a page has for the machine), [`blocks`] (what is done with it), [`wording`] (commands and their output),
//! [`terminal`] (where they run), [`place`] (a fresh machine for each page). CONTRIBUTING.md tells authors how to write.

mod blocks;
mod page;
mod place;
mod terminal;
mod wording;

use blocks::Outcome;
use page::{Block, Item};
use place::{Place, root};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A page that must fail at each of its blocks, so that we see that it can.
const BROKEN: &str = include_str!("broken.md");
/// Pages at a time.
const WORKERS: usize = 2;

/// How many blocks of a page have run, and how many could not.
#[derive(Default)]
struct Tally {
    ran: usize,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.ran += other.ran;
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let skipped: usize = self.skipped.values().sum();
        write!(formatter, "{} ran, {skipped} skipped", self.ran)?;
        for (index, (reason, count)) in self.skipped.iter().enumerate() {
            write!(
                formatter,
                "{}{reason}: {count}",
                if index == 0 { " (" } else { ", " }
            )?;
        }
        formatter.write_str(if skipped == 0 { "" } else { ")" })
    }
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut pages = pages(&root());
    pages.retain(|page| wanted.is_empty() || wanted.iter().any(|part| page.contains(part)));
    let apart = terminal::can_be_apart();
    if !apart {
        println!("no namespaces here: pages run one by one, on the ports of this machine");
    }
    let (next, all) = (AtomicUsize::new(0), Mutex::new((Tally::default(), 0, 0)));
    let work = || {
        while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let outcome = run(page, apart);
            let Ok(mut all) = all.lock() else { return };
            let time = began.elapsed().as_secs_f32();
            match outcome {
                Ok(tally) => {
                    println!("test {page} ... ok: {tally}, {time:.1} s");
                    all.0.add(tally);
                    all.1 += 1;
                }
                Err(failure) => {
                    println!("test {page} ... FAILED after {time:.1} s\n{page}:{failure}\n");
                    all.2 += 1;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..if apart { WORKERS } else { 1 } {
            scope.spawn(work);
        }
    });
    let unnoticed = broken(apart);
    unnoticed
        .iter()
        .for_each(|line| println!("test broken.md ... FAILED: {line}"));
    let Ok((tally, passed, failed)) = all.into_inner() else {
        return ExitCode::FAILURE;
    };
    println!("\nblocks of {passed} pages: {tally}");
    let failed = failed + unnoticed.len();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(failed > 0))
}

/// The pages, by their paths from the root.
fn pages(root: &Path) -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut folders = vec!["docs".to_owned(), "crates/devchain".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in root.join(&folder).read_dir().into_iter().flatten().flatten() {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            let is_folder = entry.path().is_dir();
            if is_folder
                && !["docs/decisions", "crates/devchain/src", "crates/devchain/tests"]
                    .contains(&path.as_str())
            {
                folders.push(path);
            } else if path.ends_with(".md") && !GENERATED.contains(&path.as_str()) {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Written by programs, and compared with what these write.
const GENERATED: [&str; 4] = [
    "docs/SUMMARY.md",
    "docs/contract-api.md",
    "docs/specification/command-line.md",
    "docs/specification/configuration.md",
];

/// Does all that a page says, and ends what it has started.
fn run(page: &str, apart: bool) -> Result<Tally, String> {
    let text = std::fs::read_to_string(root().join(page)).map_err(|error| error.to_string())?;
    let mut place = None;
    let tally = carry_out(page, &text, &mut place, apart);
    let left = place.map_or(Ok(()), Place::leave);
    let tally = tally?;
    left.map(|()| tally)
}

fn carry_out(page: &str, text: &str, place: &mut Option<Place>, apart: bool) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for item in page::items(text)? {
        let block = match item {
            Item::Block(block) => block,
            Item::Setup { line, commands } => {
                let block = Block::setup(line, &commands);
                let outcome = blocks::carry_out(page, &block, open(place, apart)?);
                outcome.map_err(|failure| format!("{line}: {failure}"))?;
                continue;
            }
        };
        if let Some(reason) = block.skipped() {
            *tally.skipped.entry(reason.to_owned()).or_default() += 1;
            continue;
        }
        match blocks::carry_out(page, &block, open(place, apart)?) {
            Ok(Outcome::Ran) => tally.ran += 1,
            Ok(Outcome::Picture) => {}
            Err(failure) => return Err(format!("{}: {failure}", block.line)),
        }
    }
    Ok(tally)
}

/// The page's place, made when it is needed.
fn open(place: &mut Option<Place>, apart: bool) -> Result<&mut Place, String> {
    match place {
        Some(place) => Ok(place),
        None => Ok(place.insert(Place::make(apart)?)),
    }
}

/// What of the broken page is not noticed.
fn broken(apart: bool) -> Vec<String> {
    let mut unnoticed = Vec::new();
    let mut place = None;
    let (good, bad) = BROKEN.split_once("\n---\n").unwrap_or_default();
    if page::items(bad).is_ok() {
        unnoticed.push("a comment that says nothing known".to_owned());
    }
    for item in page::items(good).unwrap_or_default() {
        let Item::Block(block) = item else { continue };
        let outcome = open(&mut place, apart).and_then(|place| blocks::carry_out("broken.md", &block, place));
        if outcome.is_ok() {
            unnoticed.push(format!("the block of {} in line {}", block.language, block.line));
        }
    }
    unnoticed
}
