//! Many seeds on all cores.

use crate::world::Summary;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The command for one seed.
const REPLAY: &str =
    "`cargo test --release -p microraiden-manager --test simulation every_seed -- --nocapture`";

/// What has come of many runs.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) seeds: u64,
    pub(crate) time: Duration,
    pub(crate) counts: BTreeMap<&'static str, usize>,
    pub(crate) failures: Vec<String>,
}

/// A number from the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {text}")),
    )
}

/// Plays all seeds.
pub(crate) fn play(seeds: Range<u64>, run: impl Fn(u64) -> Result<Summary, String> + Sync) -> Played {
    let (next, played) = (AtomicU64::new(seeds.start), Mutex::new(Played::default()));
    let started = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
            let mut played = played.lock().unwrap();
            played.seeds += 1;
            match outcome {
                Ok(summary) => {
                    for (what, times) in summary.counts {
                        *played.counts.entry(what).or_default() += times;
                    }
                }
                Err(why) => {
                    let replay = format!("seed {seed}: {why}; {REPLAY} with SEED={seed} replays it");
                    played.failures.push(replay);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut played = played.into_inner().unwrap();
    played.time = started.elapsed();
    played.failures.sort();
    played
}
