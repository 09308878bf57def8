//! What is charged for the answers of an upstream, for files and for pages: with the real paywall, over
//! real sockets, on a real chain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod files;
mod headers;
mod leaving;
mod page;
mod shop;
mod upstream;
