//! Does the simulation bite? Each planted mistake must be found.
//!
//! `cargo test --release -p microraiden-manager --features planted --test planted`; `BUG=DoneWhenMined` plants one alone.

#![allow(clippy::unwrap_used, reason = "a test")]

mod alone;
mod bindings;
mod chain;
mod contract;
mod customers;
mod database;
mod disk;
mod doubts;
mod ending;
mod expectations;
mod faults;
mod life;
mod rpc;
mod senders;
mod shared;
mod stage;
mod token;
mod trace;
mod transaction;
mod verdict;
mod visits;
mod weather;
mod witness;
mod world;

use microraiden_manager::planted::{Bug, plant};

/// In so many seeds at most every mistake is found.
const SEEDS: u64 = 200;

#[test]
fn every_planted_mistake_is_found() {
    let mut missed = Vec::new();
    let only = std::env::var("BUG").ok();
    for bug in Bug::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{bug:?}")) {
            continue;
        }
        plant(Some(bug));
        let found = (0..SEEDS).find_map(|seed| Some((seed, world::run(seed, false).err()?)));
        plant(None);
        match found {
            Some((seed, why)) => println!("{bug:?} is found in seed {seed}: {why}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
