//! A run: everything that happens to one receiver, from one seed.

use crate::customers::Purses;
use crate::faults::Spells;
use crate::life::Program;
use crate::senders::{After, weighted};
use crate::stage::{Stage, Terms};
use crate::verdict;
use alloy_primitives::{Address, U256};
use fastrand::Rng;
use microraiden_protocol::ChannelId;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The time from block to block.
const SLOT: Duration = Duration::from_secs(12);
/// A stale close is disputed in so many slots without trouble.
pub(crate) const REACTION: usize = 11;

/// After so many slots without trouble the programs know all that is stored.
const RESTED: usize = 4;

/// How long a close that is on chain could be answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Challenge {
    settle_block: u32,
    /// Slots without trouble, up to now and at most.
    run: usize,
    pub(crate) longest: usize,
}

pub(crate) struct World {
    pub(crate) stage: Arc<Stage>,
    pub(crate) rng: Rng,
    /// In which slot a program starts when it does not run, by its place.
    pub(crate) starts: Vec<usize>,
    /// How many lives there were.
    lives: u64,
    /// Customers on their ways.
    pub(crate) visits: JoinSet<()>,
    /// The places of the programs that nothing has happened to in this slot.
    pub(crate) steady: BTreeSet<usize>,
    pub(crate) slot: usize,
    slot_ends: Instant,
    pub(crate) spells: Spells,
    /// What accounts own from the next block on.
    pub(crate) ether: Vec<(Address, U256)>,
    pub(crate) purses: Purses,
    /// The channel that was topped up last.
    pub(crate) newest: Option<ChannelId>,
    pub(crate) afterwards: BTreeMap<ChannelId, After>,
    pub(crate) challenges: BTreeMap<ChannelId, Challenge>,
    /// Slots without trouble at the end.
    rested: usize,
}

/// What a run has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The hash of all that has happened, and how many things these were.
    pub(crate) digest: (u64, u64),
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Lets each run see the panics of its own tasks, which all are on its thread.
fn watch_for_panics() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            usual(panic);
        }));
    });
    PANICS.set(0);
}

/// Plays the run of a seed; what is wrong with it, if anything is. Loud, it prints what happens.
pub(crate) fn run(seed: u64, loud: bool) -> Result<Summary, String> {
    watch_for_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, loud);
        tokio::spawn(world.stage.clone().settle_always());
        let outcome = world.play().await;
        world.stage.note(format_args!("{outcome:?}"));
        // They hold the stage that holds them.
        world.stage.programs().clear();
        outcome?;
        let counts = world.stage.witness().counts.clone();
        Ok(Summary {
            digest: world.stage.digest(),
            counts,
        })
    })
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Shop,
    Open,
    TopUp,
    StaleClose,
    HonestClose,
    Agree,
    ForceClose,
    Withdraw,
}

const ACTS: &[(u32, Act)] = &[
    (60, Act::Shop),
    (10, Act::Open),
    (4, Act::TopUp),
    (4, Act::StaleClose),
    (2, Act::HonestClose),
    (3, Act::Agree),
    (3, Act::ForceClose),
    (2, Act::Withdraw),
];

impl World {
    fn new(seed: u64, loud: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let terms = Terms::draw(&mut rng);
        let stage = Stage::new(terms, loud);
        stage.note(format_args!("{terms:?}"));
        Self {
            stage,
            rng,
            starts: vec![0; terms.instances.max(1)],
            lives: 0,
            visits: JoinSet::new(),
            steady: BTreeSet::new(),
            slot: 0,
            slot_ends: Instant::now() + SLOT,
            spells: Spells::default(),
            ether: Vec::new(),
            purses: Purses::default(),
            newest: None,
            afterwards: BTreeMap::new(),
            challenges: BTreeMap::new(),
            rested: 0,
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.stage.terms.first_blocks {
            self.stage.chain().mine(&[]);
        }
        while self.is_troubled() {
            self.change_weather();
            self.troubled_slot().await?;
        }
        self.clear_up();
        for program in self.stage.programs().iter().flatten() {
            program.life.die_after(u64::MAX);
            program.life.break_after(u64::MAX);
        }
        self.quiet().await?;
        self.still_sells().await?;
        verdict::check(self)
    }

    fn is_troubled(&self) -> bool {
        self.slot < self.stage.terms.slots
    }

    /// A slot in which anything can happen.
    async fn troubled_slot(&mut self) -> Result<(), String> {
        self.start().await;
        if self.rng.bool() {
            self.resume().await;
        }
        for _ in 0..self.rng.u8(..6) {
            sleep(Duration::from_millis(self.rng.u64(..2400))).await;
            self.act();
            self.disturb();
        }
        // Most of them where something has just happened.
        let is_eventful = !self.stage.chain().head().receipts.is_empty();
        if self.rng.u8(..if is_eventful { 4 } else { 20 }) == 0 {
            self.reorganise();
        }
        self.end_slot().await;
        let blocks = weighted(&mut self.rng, &[(1, 0), (17, 1), (1, 2), (1, 4)]);
        self.mine(blocks);
        self.look()
    }

    fn act(&mut self) {
        match weighted(&mut self.rng, ACTS) {
            Act::Shop => self.shop(),
            Act::Open => self.open_channel(),
            Act::TopUp => {
                if let Some(channel) = self.existing() {
                    self.top_up(channel);
                }
            }
            Act::StaleClose => self.close(false),
            Act::HonestClose => self.close(true),
            Act::Agree => self.agree(),
            Act::ForceClose => self.force_close(None),
            Act::Withdraw => self.withdraw(),
        }
    }

    /// A slot without trouble.
    pub(crate) async fn quiet_slot(&mut self) -> Result<(), String> {
        self.start().await;
        self.end_slot().await;
        self.rested += 1;
        if self.rested > RESTED {
            verdict::memory_is_what_is_stored(self)?;
        }
        self.mine(1);
        self.look()
    }

    async fn start(&mut self) {
        let mut starting = JoinSet::new();
        for place in 0..self.starts.len() {
            let found = self.stage.programs()[place].clone();
            if found.as_ref().is_some_and(|program| !program.life.is_alive()) {
                self.bury(place);
            } else if found.is_some() {
                continue;
            }
            if self.slot >= self.starts[place] {
                let dies = self.is_troubled() && self.rng.u8(..8) == 0;
                let dies_after = dies.then(|| self.rng.u64(..3));
                self.lives += 1;
                let start = Program::start(self.stage.clone(), self.lives, self.rng.fork(), dies_after);
                starting.spawn(async move { (place, start.await) });
            }
        }
        while let Some(started) = starting.join_next().await {
            let (place, program) = started.unwrap();
            self.stage.programs()[place] = program;
        }
        let programs = self.stage.programs();
        let running = programs
            .iter()
            .enumerate()
            .filter(|(_, program)| program.is_some());
        self.steady = running.map(|(place, _)| place).collect();
    }

    /// The operator lets the selling go on.
    pub(crate) async fn resume(&mut self) {
        let place = self.rng.usize(..self.starts.len());
        if let Some(program) = self.stage.program(place) {
            let resumed = timeout(SLOT, program.manager.resume_selling()).await;
            self.stage
                .note(format_args!("the operator resumes the selling: {resumed:?}"));
        }
    }

    async fn end_slot(&mut self) {
        sleep_until(self.slot_ends).await;
        self.slot_ends = Instant::now() + SLOT;
        self.slot += 1;
    }

    fn mine(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.settle_due();
            let ether = std::mem::take(&mut self.ether);
            self.stage.chain().mine(&ether);
        }
        let head = self.stage.chain().head().clone();
        self.stage.note(format_args!(
            "block {} {}: {} receipts",
            head.number,
            head.hash,
            head.receipts.len()
        ));
    }

    /// Has anything gone wrong? And could closes be answered in this slot?
    fn look(&mut self) -> Result<(), String> {
        let running: Vec<_> = self.stage.programs().iter().flatten().cloned().collect();
        for program in running {
            let mut requests = program.requests.lock().unwrap();
            while let Some(ended) = requests.try_join_next() {
                ended.map_err(|error| format!("a request has failed: {error}"))?;
            }
        }
        while let Some(ended) = self.visits.try_join_next() {
            ended.map_err(|error| format!("a customer has failed: {error}"))?;
        }
        if PANICS.get() > 0 {
            return Err("something has panicked".to_owned());
        }
        if let Some(complaint) = self.stage.witness().complaint() {
            return Err(complaint.clone());
        }
        let fine = self.spells.is_fine() && !self.steady.is_empty();
        let chain = self.stage.chain();
        let confirmed = chain
            .head()
            .number
            .saturating_sub(self.stage.terms.n_confirmations);
        for (channel, found) in &chain.contract().channels {
            let Some((_, settle_block)) = found.closing else {
                continue;
            };
            let challenge = self.challenges.entry(*channel).or_default();
            if challenge.settle_block != settle_block {
                *challenge = Challenge {
                    settle_block,
                    ..Challenge::default()
                };
            }
            let requested = u64::from(settle_block - self.stage.terms.challenge_period);
            let counts = fine && requested <= confirmed && chain.head().number < u64::from(settle_block);
            challenge.run = if counts { challenge.run + 1 } else { 0 };
            challenge.longest = challenge.longest.max(challenge.run);
        }
        Ok(())
    }
}
