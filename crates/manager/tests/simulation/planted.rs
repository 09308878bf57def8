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
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

/// In so many seeds at most every mistake is found. The rarest is in two of a hundred.
const SEEDS: u64 = 1000;

#[test]
fn every_planted_mistake_is_found() {
    let only = std::env::var("BUG").ok();
    let mut bugs = Bug::ALL.to_vec();
    bugs.retain(|bug| only.as_ref().is_none_or(|only| *only == format!("{bug:?}")));
    let (bugs, missed) = (Mutex::new(bugs), Mutex::new(Vec::new()));
    let look = || {
        loop {
            let Some(bug) = bugs.lock().unwrap().pop() else {
                break;
            };
            plant(Some(bug));
            let found = (0..SEEDS).find_map(|seed| Some((seed, world::run(seed, false).err()?)));
            match found {
                Some((seed, why)) => println!("{bug:?} is found in seed {seed}: {why}"),
                None => missed.lock().unwrap().push(bug),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(look);
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
