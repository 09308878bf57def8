//! The program `microraiden`.
fn main() {}
