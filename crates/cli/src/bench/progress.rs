//! Progress on standard error: a spinner on a terminal, a line for each step otherwise.

use indicatif::{ProgressBar, ProgressStyle};

/// What is going on. Nothing runs beside a measurement: the spinner turns with each step only.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new_spinner().with_style(style))
    }

    pub(super) fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
        self.0.tick();
        if self.0.is_hidden() {
            eprintln!("{text}");
        }
    }

    /// Something to be read later as well.
    pub(super) fn tell(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }
}
