//! The channel manager against a scripted chain, its store and its customers, all under one seed. In many runs two or
//! three of it share a store.
//!
//! `SEED=7` replays one seed and prints all that happens; `SEEDS=10000` plays so many. Best with
//! `cargo test --release -p microraiden-manager --test simulation every_seed -- --nocapture`.
//!
//! In reading order: [`world`] (a run), [`customers`], [`senders`] and [`faults`] (what happens in it),
//! [`visits`] (customers on their ways to the programs), [`witness`], [`doubts`] and [`verdict`] (what must hold
//! during it and at its end), [`expectations`], [`life`], [`disk`], [`alone`], [`shared`] and [`weather`] (the
//! program between its store, which others may write too, and its node), [`chain`], [`rpc`], [`contract`] and
//! [`token`] (the scripted chain), [`agreement`] (with the real contract).

#![allow(clippy::unwrap_used, reason = "a test")]

mod agreement;
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
mod seeds;
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

use microraiden_test_postgres::{Options, Server};

/// How many seeds are played unless told otherwise.
const SEEDS: u64 = 200;
/// How many of them with a real database.
const ON_POSTGRESQL: u64 = 8;
/// What so many seeds must have met, or they show nothing.
const MET: [&str; 35] = [
    "permits",
    "already-spent",
    "asked again after no answer",
    "asked again after nothing for now",
    "challenged",
    "charged for nothing: the customer had gone",
    "clocks that stand",
    "close-promised",
    "closes agreed",
    "closes agreed at followers",
    "closes forced",
    "conflicts",
    "connections that break",
    "deaf programs",
    "deaths",
    "deaths of all programs",
    "deposed leaders refused",
    "given back without a permit",
    "hangs",
    "holds for the chain",
    "impaired",
    "lost batches",
    "reorganisations beyond the confirmations",
    "settled after an honest close",
    "spells away",
    "stale closes answered",
    "stopped in order",
    "takeovers",
    "top-up-unconfirmed",
    "turns",
    "unavailable",
    "unknown outcomes: in the air",
    "unknown outcomes: lost",
    "unknown outcomes: stored",
    "unknown outcomes: stored later, if at all",
];

#[test]
fn every_seed_ends_well() {
    let (loud, all) = match (seeds::number("SEED"), seeds::number("SEEDS")) {
        (Some(seed), _) => (true, seed..seed + 1),
        (None, count) => (false, 0..count.unwrap_or(SEEDS)),
    };
    let is_much = all.end - all.start >= SEEDS;
    let played = seeds::play(all, |seed| world::run(seed, loud));
    let (count, time, counts) = (played.seeds, played.time, played.counts);
    println!("{count} seeds in {time:?}: {counts:#?}");
    assert!(played.failures.is_empty(), "{}", played.failures.join("\n"));
    let missed: Vec<_> = MET
        .iter()
        .filter(|what| is_much && !counts.contains_key(**what))
        .collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

#[test]
fn some_seeds_end_well_on_postgresql() {
    // What is lost when its machine fails is no matter here.
    let options = Options {
        fsync: false,
        ..Options::default()
    };
    database::use_server(Server::start(options));
    let (mut instances, mut loads) = (0, 0);
    for seed in 0..ON_POSTGRESQL {
        let summary = world::run(seed, false).unwrap();
        instances += summary.counts.get("takeovers").copied().unwrap_or_default();
        loads += summary.counts.get("deaths").copied().unwrap_or_default();
    }
    assert!(instances > 0 && loads > 0, "{instances} {loads}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let run = || world::run(seed, false).map(|summary| summary.digest);
        assert_eq!(run(), run(), "seed {seed}");
    }
}
