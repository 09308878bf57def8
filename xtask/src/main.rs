//! The project's own checks and its test command.
fn main() {}
