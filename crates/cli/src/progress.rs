//! Progress on standard error: a spinner on a terminal, a line for each step otherwise.

use indicatif::{ProgressBar, ProgressStyle};

/// What is going on. Nothing runs beside it, as there may be a measurement: the spinner turns with each step only.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new_spinner().with_style(style))
    }

    /// A step.
    pub(crate) fn say(&self, text: &str) {
        self.count(text);
        if self.0.is_hidden() {
            eprintln!("{text}");
        }
    }

    /// How far a step is, for those who watch.
    pub(crate) fn count(&self, text: &str) {
        self.0.set_message(text.to_owned());
        self.0.tick();
    }

    /// Something to be read later as well.
    pub(crate) fn tell(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    pub(crate) fn done(&self) {
        self.0.finish_and_clear();
    }
}
