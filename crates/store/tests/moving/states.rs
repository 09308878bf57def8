//! States to be moved.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{Channel, RECEIVER, binding, block, commit, event, load, open_facts, wait};
use microraiden_protocol::ledger::{Account, StoredProof, Writer};
use microraiden_protocol::{
    Address, Amount, B256, Balance, BlockNumber, ChainFacts, ChainUpdate, ChannelChange, ChannelId, Deposit,
    Phase, ProofScheme, SecretKey,
};
use microraiden_store::{
    Batch, ChannelStore, Halt, HaltChange, HaltKind, KEPT_BLOCKS, SqliteStore, Task, TaskChange, TaskKind,
};

/// The number of the channel that can be paid with. Random histories begin at 1.
pub(crate) const FIRST: u32 = 1001;

/// Channels of which each has something that the others have not.
pub(crate) struct State(Vec<Channel>);

impl State {
    /// With every kind of row, and the largest values that there are.
    pub(crate) fn with_everything() -> Self {
        Self((0..5).map(|index| Channel::new(FIRST + index)).collect())
    }

    /// One that can be paid with.
    pub(crate) fn channel(&mut self) -> &mut Channel {
        &mut self.0[0]
    }

    /// Writes all of it.
    pub(crate) fn write(&mut self, store: &dyn ChannelStore) {
        let highest = Balance::MAX;
        let [open, largest, closing, disputed, settled] = self.0.as_mut_slice() else {
            unreachable!("there are five")
        };
        let challenged = |closing_balance: u64| ChainFacts {
            phase: Phase::Challenged {
                requested_at: BlockNumber(7),
                settle_block: BlockNumber(507),
                closing_balance: closing_balance.into(),
            },
            ..open_facts(100)
        };
        let mut batch = Batch {
            // Units that are not spent, some of them given back.
            transitions: vec![open.open(100), open.pay(20, 5), open.pay(50, 10), open.pay(90, 1)],
            ..Batch::default()
        };
        let facts = ChainFacts {
            lower_deposits: vec![1.into(), Deposit::from(u64::MAX)],
            withdrawals: vec![3.into(), 5.into()],
            unconfirmed_deposit: Deposit::MAX,
            ..open_facts(Deposit::MAX)
        };
        batch.transitions.push(largest.open(Deposit::MAX));
        // Nobody gets there by payments.
        let mut row = largest.row();
        row.balance = highest;
        row.refund = 4.into();
        row.spends = i64::MAX as u64;
        row.proofs = vec![StoredProof {
            balance: highest,
            signature: largest.sign(highest),
        }];
        let by = largest.writer();
        let paid = Account::from_row(row).unwrap().observe(facts, by);
        batch.transitions.push(largest.take(paid));
        batch.transitions.extend([closing.open(100), closing.pay(40, 40)]);
        let (by, signature) = (closing.writer(), closing.sign(40.into()));
        let promise = closing
            .account()
            .close_at(40.into(), Some(signature), by)
            .unwrap();
        batch.transitions.push(closing.take(promise.transition.unwrap()));
        batch
            .transitions
            .extend([disputed.open(100), disputed.pay(60, 60)]);
        let by = disputed.writer();
        let withdrawn = disputed.account().withdraw(by).unwrap();
        batch
            .transitions
            .push(disputed.take(withdrawn.transition.unwrap()));
        batch.transitions.push(disputed.observe(challenged(1)));
        let by = disputed.writer();
        let promise = disputed.account().dispute(by).unwrap();
        batch.transitions.push(disputed.take(promise.transition.unwrap()));
        batch.transitions.push(settled.open(100));
        batch.transitions.push(settled.observe(ChainFacts {
            phase: Phase::Settled { at: BlockNumber(9) },
            ..open_facts(100)
        }));
        let ids = [open.id(), largest.id(), closing.id(), disputed.id(), settled.id()];
        batch.chain = Some(chain(&ids));
        batch.tasks = tasks(&ids);
        batch.halts = halts();
        commit(store, batch).unwrap();
        let stored = load(store);
        assert!(stored.accounts.iter().any(|account| account.balance() == highest));
    }
}

/// A full chain, and an event of each kind.
fn chain(ids: &[ChannelId]) -> ChainUpdate {
    let most = Amount::MAX;
    let settled = ChannelChange::Settled {
        balance: Balance::MAX,
        receiver_tokens: most,
    };
    let events = [
        ChannelChange::Created {
            deposit: Deposit::MAX,
        },
        ChannelChange::ToppedUp { added: most },
        ChannelChange::CloseRequested {
            closing_balance: Balance::MAX,
        },
        ChannelChange::Withdrawn { amount: 0.into() },
        settled,
    ];
    let events = events.into_iter().zip(ids).zip(0..);
    ChainUpdate {
        rewind_to: None,
        blocks: (1..=KEPT_BLOCKS as u64 + 5).map(block).collect(),
        events: events
            .map(|((change, id), index)| event(*id, 6, index, change))
            .collect(),
    }
}

fn tasks(ids: &[ChannelId]) -> Vec<TaskChange> {
    let kinds = [TaskKind::Dispute, TaskKind::Close, TaskKind::Withdraw];
    let tasks = kinds.into_iter().zip(ids).map(|(kind, channel)| Task {
        channel: *channel,
        kind,
        transaction: (kind != TaskKind::Close).then(|| B256::repeat_byte(0xab)),
        not_before: BlockNumber(if kind == TaskKind::Withdraw {
            0
        } else {
            i64::MAX as u64
        }),
    });
    tasks.map(TaskChange::Put).collect()
}

fn halts() -> Vec<HaltChange> {
    let halts = [
        (HaltKind::Reorganised, Some(BlockNumber(3))),
        (HaltKind::Restored, None),
    ];
    halts
        .map(|(kind, block)| HaltChange::Set(Halt { kind, block }))
        .into()
}

/// Writes accounts that were paid with once, each with its opening.
pub(crate) fn write_many(store: &SqliteStore, count: u32) {
    let key = SecretKey::from_bytes(&[1; 32]).unwrap();
    let scheme = ProofScheme::DraftTypedData {
        contract: binding().escrow.contract,
    };
    let channel = |number: u32| ChannelId {
        sender: Address::left_padding_from(&number.to_be_bytes()),
        receiver: RECEIVER,
        open_block: number,
    };
    // A signature that is none of theirs takes the same room.
    let proof = scheme.sign_balance_proof(&key, channel(0), 30.into());
    let proof = StoredProof {
        balance: proof.balance,
        signature: proof.signature,
    };
    let by = Writer {
        instance: 1,
        sequence: 1,
    };
    let numbers: Vec<u32> = (0..count).collect();
    for numbers in numbers.chunks(1000) {
        let mut batch = Batch::default();
        let mut update = ChainUpdate::default();
        for channel in numbers.iter().copied().map(channel) {
            let opened = Account::open(channel, open_facts(1000), by);
            let mut row = opened.after().row().clone();
            (row.balance, row.proofs, row.spends) = (proof.balance, vec![proof], 1);
            let paid = Account::from_row(row).unwrap().observe(open_facts(1000), by);
            batch.transitions.extend([opened, paid]);
            let created = ChannelChange::Created { deposit: 1000.into() };
            update
                .events
                .push(event(channel, channel.open_block.into(), 0, created));
        }
        batch.chain = Some(update);
        wait(store.commit(batch).unwrap()).unwrap();
    }
}
