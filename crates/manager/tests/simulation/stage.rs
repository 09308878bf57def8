//! What all parts of a run share.

use crate::chain::{Chain, State};
use crate::contract::Contract;
use crate::disk::Disk;
use crate::life::Program;
use crate::rpc::plenty;
use crate::token::Token;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::witness::Witness;
use alloy_primitives::{Address, U256};
use fastrand::Rng;
use microraiden_protocol::{Balance, ChannelId, Escrow, ProofScheme, SecretKey, Signature};
use microraiden_store::Binding;
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const CHAIN_ID: u64 = 31_337;
const CONTRACT: Address = Address::repeat_byte(0xcc);
const TOKEN: Address = Address::repeat_byte(0x70);
/// What each sender owns at first, in base units.
const TOKENS: u64 = 1_000_000;

/// What distinguishes a run from others besides what happens in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) n_confirmations: u64,
    pub(crate) challenge_period: u32,
    pub(crate) min_claim: u64,
    pub(crate) senders: u8,
    /// Blocks before anything happens.
    pub(crate) first_blocks: u64,
    /// How many slots are full of trouble.
    pub(crate) slots: usize,
    /// How many programs share a state; 0 for one with a store of its own.
    pub(crate) instances: usize,
    /// Whether what concerns a channel comes to the same program, if that runs.
    pub(crate) affinity: bool,
    /// Whether customers come all at once, and the connections to a shared store break all the time.
    pub(crate) is_rush: bool,
}

impl Terms {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let terms = Self {
            n_confirmations: *rng.choice(&[0, 1, 1, 3, 3]).unwrap(),
            challenge_period: rng.u32(16..=60),
            min_claim: *rng.choice(&[1, 1, 5, 20]).unwrap(),
            senders: rng.u8(2..=4),
            first_blocks: rng.u64(0..100),
            slots: rng.usize(50..=110),
            instances: *rng.choice(&[0, 0, 0, 0, 1, 2, 2, 2, 3, 3]).unwrap(),
            affinity: rng.bool(),
            is_rush: false,
        };
        Self {
            // Drawn aside: what happens under the other terms stays as it was.
            is_rush: terms.instances > 0 && rng.clone().u8(..3) == 0,
            ..terms
        }
    }
}

/// The chain, the disk, and who watches.
pub(crate) struct Stage {
    pub(crate) terms: Terms,
    pub(crate) receiver: SecretKey,
    pub(crate) senders: Vec<SecretKey>,
    chain: Mutex<Chain>,
    disk: Mutex<Disk>,
    witness: Mutex<Witness>,
    weather: Mutex<Weather>,
    /// The shared store is away until then, whatever the weather.
    blinks: Mutex<Instant>,
    programs: Mutex<Vec<Option<Program>>>,
    trace: Mutex<Trace>,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).unwrap()
}

impl Stage {
    pub(crate) fn new(terms: Terms, loud: bool) -> Arc<Self> {
        let receiver = key(1);
        let senders: Vec<_> = (0..terms.senders).map(|number| key(10 + number)).collect();
        let everybody = senders.iter().chain([&receiver]).map(SecretKey::address);
        let tokens = senders.iter().map(|key| (key.address(), U256::from(TOKENS)));
        let state = State {
            nonces: BTreeMap::new(),
            ether: everybody.map(|owner| (owner, plenty())).collect(),
            contract: Contract {
                address: CONTRACT,
                challenge_period: terms.challenge_period,
                channels: BTreeMap::new(),
                withdrawn: BTreeMap::new(),
                token: Token::new(TOKEN, tokens.collect()),
            },
        };
        let binding = Binding {
            escrow: Escrow {
                chain_id: CHAIN_ID,
                contract: CONTRACT,
            },
            receiver: receiver.address(),
        };
        Arc::new(Self {
            terms,
            receiver,
            senders,
            chain: Mutex::new(Chain::new(CHAIN_ID, 0, state)),
            disk: Mutex::new(Disk::new(binding, terms.n_confirmations)),
            witness: Mutex::new(Witness::new(terms)),
            weather: Mutex::new(Weather::default()),
            blinks: Mutex::new(Instant::now()),
            programs: Mutex::new(vec![None; terms.instances.max(1)]),
            trace: Mutex::new(Trace::new(loud)),
        })
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(crate) fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap()
    }

    pub(crate) fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap()
    }

    /// The programs that run, each in its place.
    pub(crate) fn programs(&self) -> MutexGuard<'_, Vec<Option<Program>>> {
        self.programs.lock().unwrap()
    }

    /// The program in a place, or else the next one that runs.
    pub(crate) fn program(&self, place: usize) -> Option<Program> {
        let programs = self.programs();
        let (before, after) = programs.split_at(place % programs.len());
        after.iter().chain(before).flatten().next().cloned()
    }

    /// The store that is shared cannot be reached for a while.
    pub(crate) fn blink(&self, time: Duration) {
        *self.blinks.lock().unwrap() = Instant::now() + time;
    }

    pub(crate) fn is_away(&self) -> bool {
        self.weather().away || Instant::now() < *self.blinks.lock().unwrap()
    }

    pub(crate) fn note(&self, what: Arguments<'_>) {
        self.trace.lock().unwrap().note(what);
    }

    pub(crate) fn digest(&self) -> (u64, u64) {
        self.trace.lock().unwrap().digest()
    }

    pub(crate) fn scheme(&self) -> ProofScheme {
        ProofScheme::DraftTypedData { contract: CONTRACT }
    }

    pub(crate) fn contract(&self) -> Address {
        CONTRACT
    }

    pub(crate) fn token(&self) -> Address {
        TOKEN
    }

    pub(crate) fn key_of(&self, sender: Address) -> &SecretKey {
        self.senders.iter().find(|key| key.address() == sender).unwrap()
    }

    /// The sender's signature for a balance.
    pub(crate) fn proof(&self, channel: ChannelId, balance: u64) -> Signature {
        let (scheme, key) = (self.scheme(), self.key_of(channel.sender));
        scheme
            .sign_balance_proof(key, channel, Balance::from(balance))
            .signature
    }
}

/// Amounts in the simulation are small.
pub(crate) fn small(amount: impl Into<microraiden_protocol::Amount>) -> u64 {
    amount.into().base_units().to()
}
