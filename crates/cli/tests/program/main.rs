//! The built program as its users run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod demo;
mod kill;
mod process;
