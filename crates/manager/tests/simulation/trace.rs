//! What has happened in a run, as a hash, and as lines for who wants to read it.

use std::fmt::{self, Arguments, Write};
use std::hash::{DefaultHasher, Hasher};
use tokio::time::Instant;

/// Everything that happens is noted here, in its order.
pub(crate) struct Trace {
    started: Instant,
    hasher: DefaultHasher,
    notes: u64,
    /// Whether the lines are printed.
    loud: bool,
}

struct Hashing<'a>(&'a mut DefaultHasher);

impl Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(loud: bool) -> Self {
        Self {
            started: Instant::now(),
            hasher: DefaultHasher::new(),
            notes: 0,
            loud,
        }
    }

    pub(crate) fn note(&mut self, what: Arguments<'_>) {
        let time = self.started.elapsed().as_millis();
        writeln!(Hashing(&mut self.hasher), "{time} {what}").unwrap();
        self.notes += 1;
        if self.loud {
            println!("{:>9.3} {what}", self.started.elapsed().as_secs_f64());
        }
    }

    /// The hash of all notes, and how many there were.
    pub(crate) fn digest(&self) -> (u64, u64) {
        (self.hasher.finish(), self.notes)
    }
}
