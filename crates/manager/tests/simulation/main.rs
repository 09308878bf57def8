//! The channel manager against a scripted chain, its store and its customers, all under one seed.
//!
//! `SEED=7` replays one seed and prints all that happens; `SEEDS=10000` plays so many. Best with
//! `cargo test --release -p microraiden-manager --test simulation every_seed -- --nocapture`.
//!
//! In reading order: [`world`] (a run), [`customers`], [`senders`] and [`faults`] (what happens in it),
//! [`witness`] and [`verdict`] (what must hold during it and at its end), [`expectations`], [`life`],
//! [`disk`] and [`weather`] (the program between its store and its node), [`chain`], [`rpc`],
//! [`contract`] and [`token`] (the scripted chain), [`agreement`] (with the real contract).

#![allow(clippy::unwrap_used, reason = "a test")]

mod agreement;
mod bindings;
mod chain;
mod contract;
mod customers;
mod disk;
mod ending;
mod expectations;
mod faults;
mod life;
mod rpc;
mod seeds;
mod senders;
mod stage;
mod token;
mod trace;
mod transaction;
mod verdict;
mod weather;
mod witness;
mod world;

/// How many seeds are played unless told otherwise.
const SEEDS: u64 = 200;
/// What so many seeds must have met, or they show nothing.
const MET: [&str; 14] = [
    "permits",
    "already-spent",
    "challenged",
    "close-promised",
    "closes agreed",
    "closes forced",
    "deaths",
    "impaired",
    "lost batches",
    "reorganisations beyond the confirmations",
    "settled after an honest close",
    "stale closes answered",
    "top-up-unconfirmed",
    "unavailable",
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
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        let run = || world::run(seed, false).map(|summary| summary.digest);
        assert_eq!(run(), run(), "seed {seed}");
    }
}
