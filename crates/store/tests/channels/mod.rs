//! Channels with real signatures, and stores to put their accounts into.

#![allow(dead_code, reason = "each test program uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test")]

pub(crate) mod state;

use microraiden_protocol::ledger::{Account, AccountRow, Limits, Payment, Spend, Transition, Writer};
use microraiden_protocol::{
    Address, B256, Balance, BlockNumber, BlockRef, ChainFacts, ChainUpdate, ChannelChange, ChannelEvent,
    ChannelId, Deposit, Escrow, Phase, ProofScheme, SecretKey, Signature, VerifiedProof,
};
use microraiden_store::{Batch, Binding, ChannelStore, Snapshot, StoreError, Ticket};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tokio::runtime::{self, Runtime};

pub(crate) const CONTRACT: Address = Address::repeat_byte(0xcc);
pub(crate) const RECEIVER: Address = Address::repeat_byte(0xee);

pub(crate) fn binding() -> Binding {
    Binding {
        escrow: Escrow {
            chain_id: 1337,
            contract: CONTRACT,
        },
        receiver: RECEIVER,
    }
}

/// The program's runtime: what a store does by itself goes on between two calls.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut runtime = runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap()
    })
}

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

pub(crate) fn load(store: &dyn ChannelStore) -> Snapshot {
    wait(store.load()).unwrap()
}

/// The stored accounts by channel.
pub(crate) fn rows(store: &dyn ChannelStore) -> BTreeMap<ChannelId, AccountRow> {
    let accounts = load(store).accounts.into_iter();
    accounts
        .map(|account| (*account.channel(), account.row().clone()))
        .collect()
}

pub(crate) fn submit(store: &dyn ChannelStore, transition: &Transition) -> Ticket {
    store.commit(batch([transition.clone()])).unwrap()
}

pub(crate) fn commit(store: &dyn ChannelStore, batch: Batch) -> Result<(), StoreError> {
    wait(store.commit(batch).unwrap())
}

pub(crate) fn batch<const N: usize>(transitions: [Transition; N]) -> Batch {
    Batch {
        transitions: transitions.into(),
        ..Batch::default()
    }
}

pub(crate) fn block(number: u64) -> BlockRef {
    branch_block(number, 0)
}

/// The chain up to a block, and nothing else.
pub(crate) fn head(number: u64) -> Batch {
    let update = ChainUpdate {
        blocks: vec![block(number)],
        ..ChainUpdate::default()
    };
    Batch {
        chain: Some(update),
        ..Batch::default()
    }
}

/// A block of another branch has another hash.
pub(crate) fn branch_block(number: u64, branch: u8) -> BlockRef {
    let mut hash = B256::repeat_byte(branch);
    hash[..8].copy_from_slice(&number.to_be_bytes());
    BlockRef {
        number: BlockNumber(number),
        hash,
    }
}

pub(crate) fn event(channel: ChannelId, block: u64, log_index: u64, change: ChannelChange) -> ChannelEvent {
    ChannelEvent {
        channel,
        block: BlockNumber(block),
        log_index,
        change,
    }
}

pub(crate) fn open_facts(deposit: impl Into<Deposit>) -> ChainFacts {
    let deposit = deposit.into();
    ChainFacts {
        phase: Phase::Open,
        deposit,
        unconfirmed_deposit: deposit,
        ..ChainFacts::default()
    }
}

/// A channel of a sender whose key we hold, with its account as the ledger has it.
pub(crate) struct Channel {
    key: SecretKey,
    id: ChannelId,
    account: Option<Account>,
    sequence: u64,
    pub(crate) spends: Vec<Spend>,
}

impl Channel {
    /// Channels have different senders; numbers begin at 1.
    pub(crate) fn new(number: u32) -> Self {
        let mut key = [0; 32];
        key[28..].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_bytes(&key).unwrap();
        let id = ChannelId {
            sender: key.address(),
            receiver: RECEIVER,
            open_block: u32::MAX - number,
        };
        Self {
            key,
            id,
            account: None,
            sequence: 0,
            spends: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.id
    }

    pub(crate) fn account(&self) -> &Account {
        self.account.as_ref().unwrap()
    }

    pub(crate) fn row(&self) -> AccountRow {
        self.account().row().clone()
    }

    /// Goes on from a stored account.
    pub(crate) fn resume(&mut self, snapshot: &Snapshot) {
        let stored = snapshot
            .accounts
            .iter()
            .find(|account| *account.channel() == self.id);
        self.account = stored.cloned();
    }

    pub(crate) fn writer(&mut self) -> Writer {
        self.sequence += 1;
        Writer {
            instance: u64::MAX,
            sequence: self.sequence,
        }
    }

    pub(crate) fn take(&mut self, transition: Transition) -> Transition {
        self.account = Some(transition.after().clone());
        transition
    }

    pub(crate) fn open(&mut self, deposit: impl Into<Deposit>) -> Transition {
        let by = self.writer();
        self.take(Account::open(self.id, open_facts(deposit), by))
    }

    pub(crate) fn observe(&mut self, facts: ChainFacts) -> Transition {
        let by = self.writer();
        self.take(self.account().observe(facts, by))
    }

    /// The next version, with the same contents.
    pub(crate) fn touch(&mut self) -> Transition {
        self.observe(self.account().facts().clone())
    }

    /// Pays `price` with a proof for `top`.
    pub(crate) fn pay(&mut self, top: impl Into<Balance>, price: u64) -> Transition {
        self.try_pay(top.into(), price).unwrap()
    }

    pub(crate) fn try_pay(&mut self, top: Balance, price: u64) -> Option<Transition> {
        let (by, payment) = (self.writer(), Payment::Stated(price.into()));
        let proof = self.proof(top);
        let accepted = self
            .account()
            .accept(&proof, payment, price.into(), Limits::default(), by);
        let (transition, spend) = accepted.ok()?;
        self.spends.push(spend);
        Some(self.take(transition))
    }

    pub(crate) fn sign(&self, balance: Balance) -> Signature {
        self.proof(balance).signature()
    }

    fn proof(&self, balance: Balance) -> VerifiedProof {
        let scheme = ProofScheme::DraftTypedData { contract: CONTRACT };
        let proof = scheme.sign_balance_proof(&self.key, self.id, balance);
        proof.verify(&scheme).unwrap()
    }
}
