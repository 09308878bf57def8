//! A session against servers on a real connection, with channels on a real chain: an honest
//! receiver whose answers get lost, and servers that lie.

mod book;
mod honest;
mod liars;
mod program;
mod random;
mod receiver;
mod server;
mod stage;
