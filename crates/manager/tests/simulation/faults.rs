//! What goes wrong: spells of bad weather, reorganisations, and deaths of the program.

use crate::chain::{Content, Fate, TIP};
use crate::contract::Channel;
use crate::rpc::plenty;
use crate::senders::weighted;
use crate::weather::{Outage, Weather};
use crate::world::World;
use alloy_primitives::U256;
use fastrand::Rng;
use microraiden_protocol::ChannelId;
use std::collections::BTreeMap;
use std::time::Duration;

type Channels = BTreeMap<ChannelId, Channel>;

/// The most slots that a spell of trouble lasts.
const SPELL: usize = 8;
/// The least slots between two of them.
const REST: usize = 10;
/// How deep a reorganisation goes beyond the confirmations at most.
const BEYOND: usize = 4;

/// Trouble for a few slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Outage,
    Flaky,
    Late,
    Congestion,
    Dear,
    NoEther,
    BusyDisk,
    StoreAway,
    StoreBreaks,
}

/// When there is trouble, and whether there is.
#[derive(Debug, Default)]
pub(crate) struct Spells {
    /// The slot after the last one of it.
    ends: Option<usize>,
    /// Not before this slot.
    next: usize,
}

impl Spells {
    pub(crate) fn is_fine(&self) -> bool {
        self.ends.is_none()
    }
}

impl World {
    /// Begins a spell of trouble, or ends it.
    pub(crate) fn change_weather(&mut self) {
        if self.spells.ends.is_some_and(|ends| self.slot >= ends) {
            self.clear_up();
            self.spells.next = self.slot + REST + self.rng.usize(..8);
        }
        if self.spells.is_fine() && self.slot >= self.spells.next && self.rng.bool() {
            self.spells.ends = Some(self.slot + self.rng.usize(1..=SPELL));
            self.break_something();
        }
    }

    /// All is well again.
    pub(crate) fn clear_up(&mut self) {
        self.spells.ends = None;
        *self.stage.weather() = Weather::default();
        self.stage.chain().base_fee = TIP;
        self.ether.push((self.stage.receiver.address(), plenty()));
        self.stage.note(format_args!("all is well"));
    }

    fn break_something(&mut self) {
        let rng = &mut self.rng;
        let shared = u32::from(self.stage.terms.instances > 0);
        let trouble = weighted(
            rng,
            &[
                (shared, Trouble::StoreAway),
                (6 * shared, Trouble::StoreBreaks),
                (3, Trouble::Outage),
                (3, Trouble::Flaky),
                (2, Trouble::Late),
                (2, Trouble::Congestion),
                (2, Trouble::Dear),
                (2, Trouble::NoEther),
                (2, Trouble::BusyDisk),
            ],
        );
        let mut weather = Weather::default();
        match trouble {
            Trouble::Outage => weather.outage = rng.choice([Outage::Silent, Outage::Down, Outage::Limited]),
            Trouble::Flaky => (weather.failing, weather.losing) = (rng.u8(2..20), rng.u8(1..4)),
            Trouble::Late => weather.late = rng.u64(1..4),
            Trouble::Congestion => weather.delay = rng.u64(1..10),
            Trouble::Dear => self.stage.chain().base_fee = TIP * rng.u128(3..30),
            Trouble::NoEther => self.ether.push((self.stage.receiver.address(), U256::ZERO)),
            Trouble::BusyDisk => weather.busy = rng.u8(2..10),
            Trouble::StoreAway => weather.away = true,
            Trouble::StoreBreaks => weather.breaking = rng.u8(2..10),
        }
        self.stage.note(format_args!("trouble: {trouble:?}, {weather:?}"));
        self.stage.witness().met("spells of trouble", 1);
        *self.stage.weather() = weather;
    }

    /// The chain is reorganised, from one block to beyond the confirmations.
    pub(crate) fn reorganise(&mut self) {
        let confirmations = usize::try_from(self.stage.terms.n_confirmations).unwrap();
        let blocks = self.stage.chain().blocks().len() - 1;
        let deepest = (confirmations + BEYOND).min(blocks);
        if deepest == 0 {
            return;
        }
        let before = self.stage.chain().head().clone();
        let depth = match self.rng.u8(..6) {
            0 => self.stage.chain().return_to_branch(confirmations + BEYOND),
            kind => {
                let depth = if self.rng.bool() {
                    self.rng.usize(1..=deepest)
                } else {
                    1
                };
                let mut rng = self.rng.fork();
                self.stage
                    .chain()
                    .reorganise(depth, |content| fate(&mut rng, kind, content));
                Some(depth)
            }
        };
        let Some(depth) = depth else { return };
        self.stage.note(format_args!("reorganised {depth} blocks"));
        self.stage.witness().met("reorganisations", 1);
        let (before, fork) = (&before.state.contract.channels, before.number - depth as u64);
        if depth > confirmations {
            let mut witness = self.stage.witness();
            witness.met("reorganisations beyond the confirmations", 1);
            drop(witness);
            self.forget_closes(before, fork);
        }
        self.forget_what_changed(before, fork);
    }

    /// Where a settlement vanishes that was confirmed, the operator must close once more.
    fn forget_closes(&mut self, before: &Channels, fork: u64) {
        let chain = self.stage.chain();
        let Some(fork) = chain.block(fork) else { return };
        let kept = fork.state.contract.channels.keys();
        let mut witness = self.stage.witness();
        for channel in kept.filter(|channel| !before.contains_key(*channel)) {
            if let Some(book) = witness.books.get_mut(channel) {
                book.to_close = false;
            }
        }
    }

    /// The challenges that a reorganisation has touched begin again.
    fn forget_what_changed(&mut self, before: &Channels, fork: u64) {
        let chain = self.stage.chain();
        let Some(fork) = chain.block(fork) else { return };
        let kept = &fork.state.contract.channels;
        let now = &chain.contract().channels;
        self.challenges.retain(|channel, _| {
            kept.get(channel) == before.get(channel) && kept.get(channel) == now.get(channel)
        });
    }

    /// Something happens to one of the programs, or to the connection of all to their store.
    pub(crate) fn disturb(&mut self) {
        let place = self.rng.usize(..self.starts.len());
        self.maybe_die(place);
        if self.stage.terms.instances == 0 {
            return;
        }
        match self.rng.u8(..60) {
            0 => {
                let time = Duration::from_millis(self.rng.u64(50..6000));
                self.stage.note(format_args!("the store is away for {time:?}"));
                self.stage.witness().met("spells away", 1);
                self.stage.blink(time);
            }
            1 if self.rng.u8(..3) == 0 => {
                self.stage.note(format_args!("all programs die"));
                self.stage.witness().met("deaths of all programs", 1);
                (0..self.starts.len()).for_each(|place| self.bury(place));
            }
            2..4 => self.hang(place),
            4 => self.stop(place),
            5..9 => {
                if let Some(program) = self.stage.programs()[place].clone() {
                    self.stage.witness().met("connections that break", 1);
                    program.life.break_after(self.rng.u64(..4));
                }
            }
            _ => {}
        }
        if self.stage.terms.is_rush {
            self.disturb_connections();
        }
    }

    /// One of the connections of a program to the store that is shared breaks, or all of them for a moment.
    fn disturb_connections(&mut self) {
        let place = self.rng.usize(..self.starts.len());
        let Some(program) = self.stage.programs()[place].clone() else {
            return;
        };
        match self.rng.u8(..6) {
            0 | 1 => program.life.break_after(self.rng.u64(..3)),
            2 => {
                let time = Duration::from_millis(self.rng.u64(50..12_000));
                self.stage.note(format_args!(
                    "life {} does not hear for {time:?} what others write",
                    program.life.number
                ));
                self.stage.witness().met("deaf programs", 1);
                self.steady.remove(&place);
                program.life.deafen(time);
            }
            3 => self.stage.blink(Duration::from_millis(self.rng.u64(5..100))),
            _ => {}
        }
    }

    /// A program is stopped in order, and another one is started in its place at once.
    fn stop(&mut self, place: usize) {
        let program = self.stage.programs()[place].take();
        if let Some(program) = program {
            self.steady.remove(&place);
            self.stage
                .note(format_args!("life {} is stopped in order", program.life.number));
            self.stage.witness().met("stopped in order", 1);
            tokio::spawn(program.stop());
        }
    }

    /// A program hangs, or its clock does.
    fn hang(&mut self, place: usize) {
        let Some(program) = self.stage.programs()[place].clone() else {
            return;
        };
        self.steady.remove(&place);
        let time = Duration::from_millis(self.rng.u64(100..15_000));
        let life = &program.life;
        if self.rng.bool() {
            self.stage
                .note(format_args!("life {} hangs for {time:?}", life.number));
            self.stage.witness().met("hangs", 1);
            life.hang(time);
        } else if program.leads() {
            self.stage.note(format_args!(
                "life {} believes for {time:?} that it leads",
                life.number
            ));
            self.stage.witness().met("clocks that stand", 1);
            life.stop_clock(time);
        }
    }

    /// Lets a program die now, or at one of its next writes.
    fn maybe_die(&mut self, place: usize) {
        let Some(program) = self.stage.programs()[place].clone() else {
            return;
        };
        match self.rng.u8(..60) {
            0 => {
                self.stage.note(format_args!("life {} dies", program.life.number));
                self.bury(place);
            }
            1..4 => {
                program.life.die_after(self.rng.u64(..8));
                self.steady.remove(&place);
            }
            _ => {}
        }
    }

    /// Takes away a program that has died; it is started again, at once or later.
    pub(crate) fn bury(&mut self, place: usize) {
        self.steady.remove(&place);
        let program = self.stage.programs()[place].take();
        if let Some(program) = program {
            program.kill();
            self.stage.witness().met("deaths", 1);
            let later = if self.rng.u8(..3) == 0 {
                self.rng.usize(1..=3)
            } else {
                0
            };
            self.starts[place] = self.slot + later;
        }
    }
}

/// What becomes of the content of a dropped block, in a reorganisation of some kind.
fn fate(rng: &mut Rng, kind: u8, content: &Content) -> Fate {
    if let Content::Ether(..) = content {
        return Fate::Stays;
    }
    match kind {
        1 => Fate::Stays,
        2 => Fate::Moves(rng.usize(1..3)),
        3 => weighted(
            rng,
            &[
                (1, Fate::Stays),
                (1, Fate::Moves(1)),
                (1, Fate::Waits),
                (1, Fate::Vanishes),
            ],
        ),
        _ => Fate::Vanishes,
    }
}
