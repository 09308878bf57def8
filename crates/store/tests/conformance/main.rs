//! What every store must do, run for each of them.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../channels/mod.rs"]
mod channels;
mod histories;
mod in_a_row;
mod shared;
mod stores;

use channels::{Channel, batch, block, branch_block, commit, event, load, open_facts, rows, submit, wait};
use histories::keeps_random_histories;
use in_a_row::keeps_what_it_took_among_payments_in_a_row;
use microraiden_protocol::ledger::{Account, Promise, Transition};
use microraiden_protocol::{
    Amount, B256, Balance, BlockNumber, BlockRef, ChainFacts, ChainUpdate, ChannelChange, ChannelEvent,
    Deposit, Phase,
};
use microraiden_store::{
    Batch, ChannelStore, Halt, HaltChange, HaltKind, KEPT_BLOCKS, StoreError, Task, TaskChange, TaskKind,
};
use std::collections::BTreeMap;
use stores::{in_memory, in_one_of, in_postgres, in_sqlite, memory_instances};

macro_rules! suite {
    ($($name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::in_memory(super::$name); })* }
        mod sqlite { $(#[test] fn $name() { super::in_sqlite(super::$name); })* }
        mod postgres { $(#[test] fn $name() { super::in_one_of(super::in_postgres, super::$name); })* }
        mod memory_instance { $(#[test] fn $name() { super::in_one_of(super::memory_instances, super::$name); })* }
    };
}

suite! {
    is_empty_at_first
    keeps_every_field_of_an_account
    keeps_every_phase
    keeps_every_event
    writes_in_the_order_handed_in
    writes_several_versions_in_one_batch
    refuses_what_was_decided_on_another_version
    keeps_what_it_took_among_payments_in_a_row
    writes_nothing_of_a_refused_batch
    forgets_what_a_reorganisation_took_away
    refuses_to_overwrite_the_chain
    keeps_the_newest_blocks_only
    keeps_tasks
    keeps_halts
    keeps_random_histories
}

fn is_empty_at_first(store: &dyn ChannelStore) {
    assert_eq!(load(store), microraiden_store::Snapshot::default());
}

/// Both ways round: what is read is what the ledger has, and each field has some contents.
fn keeps_every_field_of_an_account(store: &dyn ChannelStore) {
    let mut channel = Channel::new(1);
    let mut changes = vec![channel.open(Deposit::MAX)];
    // A gap at every second payment, and the last one released: the lowest intervals become refund.
    for number in 1..=33 {
        changes.push(channel.pay(number * 10, 3));
    }
    changes.push(channel.pay(500, 160));
    let spend = channel.spends.remove(0);
    let by = channel.writer();
    changes.push(channel.take(channel.account().release(&spend, by).unwrap()));
    changes.push(channel.pay(600, 1));
    let by = channel.writer();
    let withdrawal = channel.account().withdraw(by).unwrap().transition.unwrap();
    changes.push(channel.take(withdrawal));
    let facts = ChainFacts {
        lower_deposits: vec![700.into(), 900.into()],
        withdrawals: vec![100.into(), 600.into()],
        ..open_facts(Deposit::MAX)
    };
    changes.push(channel.observe(facts.clone()));
    changes.push(channel.pay(800, 1));
    changes.push(channel.pay(Balance::MAX, 1));
    let at = Balance::MAX.checked_sub(Amount::from(1)).unwrap();
    let (by, signature) = (channel.writer(), channel.sign(at));
    let close = channel.account().close_at(at, Some(signature), by).unwrap();
    changes.push(channel.take(close.transition.unwrap()));
    changes.push(channel.observe(ChainFacts {
        phase: Phase::Challenged {
            requested_at: BlockNumber(7),
            settle_block: BlockNumber(u64::MAX >> 1),
            closing_balance: Balance::MAX,
        },
        ..facts
    }));
    let by = channel.writer();
    let dispute = channel.account().dispute(by).unwrap();
    changes.push(channel.take(dispute.transition.unwrap()));

    let row = channel.row();
    assert!(!row.refund.is_zero() && row.unspent.intervals().len() > 1 && row.spends > 30);
    assert!(row.proofs.len() > 2 && !row.sent_withdrawals.is_empty());
    assert!(
        matches!(row.promise, Some(Promise::ClosingAndDispute(closing, Balance::MAX))
        if closing.sender_signature == Some(signature))
    );
    for transition in &changes {
        commit(store, batch([transition.clone()])).unwrap();
        let stored = rows(store).remove(&channel.id()).unwrap();
        assert_eq!(stored, *transition.after().row());
    }
    assert_eq!(rows(store), BTreeMap::from([(channel.id(), row)]));
}

fn keeps_every_phase(store: &dyn ChannelStore) {
    let phases = [
        Phase::Pending,
        Phase::Open,
        Phase::Challenged {
            requested_at: BlockNumber(0),
            settle_block: BlockNumber(0),
            closing_balance: Balance::ZERO,
        },
        Phase::Settled { at: BlockNumber(0) },
    ];
    let mut channel = Channel::new(1);
    commit(store, batch([channel.open(7)])).unwrap();
    for phase in phases {
        let facts = ChainFacts {
            phase,
            ..open_facts(9)
        };
        commit(store, batch([channel.observe(facts)])).unwrap();
        assert_eq!(rows(store)[&channel.id()], channel.row());
    }
}

fn keeps_every_event(store: &dyn ChannelStore) {
    let (first, second) = (Channel::new(1).id(), Channel::new(2).id());
    let events = vec![
        event(
            first,
            5,
            0,
            ChannelChange::Created {
                deposit: Deposit::MAX,
            },
        ),
        event(
            second,
            5,
            10,
            ChannelChange::Created {
                deposit: Deposit::ZERO,
            },
        ),
        event(first, 9, 2, ChannelChange::ToppedUp { added: Amount::MAX }),
        event(first, 10, 0, ChannelChange::Withdrawn { amount: Amount::MAX }),
        event(
            first,
            10,
            1,
            ChannelChange::CloseRequested {
                closing_balance: Balance::MAX,
            },
        ),
        event(
            second,
            u64::from(u32::MAX) + 1,
            0,
            ChannelChange::Settled {
                balance: 3.into(),
                receiver_tokens: Amount::MAX,
            },
        ),
    ];
    // In two looks at the chain; the order read is the chain's.
    for part in [&events[..3], &events[3..]] {
        let update = ChainUpdate {
            events: part.to_vec(),
            ..ChainUpdate::default()
        };
        commit(store, chain(update)).unwrap();
    }
    assert_eq!(load(store).events, events);
}

fn chain(update: ChainUpdate) -> Batch {
    Batch {
        chain: Some(update),
        ..Batch::default()
    }
}

fn writes_in_the_order_handed_in(store: &dyn ChannelStore) {
    let mut channel = Channel::new(1);
    let mut tickets = vec![submit(store, &channel.open(7))];
    tickets.extend((0..999).map(|_| submit(store, &channel.touch())));
    for ticket in tickets {
        wait(ticket).unwrap();
    }
    assert_eq!(rows(store)[&channel.id()].version.number, 1000);
}

fn writes_several_versions_in_one_batch(store: &dyn ChannelStore) {
    let mut channel = Channel::new(1);
    commit(
        store,
        batch([channel.open(7), channel.touch(), channel.pay(3, 3)]),
    )
    .unwrap();
    assert_eq!(rows(store)[&channel.id()], channel.row());
}

fn refuses_what_was_decided_on_another_version(store: &dyn ChannelStore) {
    let mut channel = Channel::new(1);
    let id = channel.id();
    let open = channel.open(7);
    let (second, third) = (channel.touch(), channel.touch());
    let refused = |transition: &Transition| {
        let before = rows(store);
        let result = commit(store, batch([transition.clone()]));
        assert!(matches!(result, Err(StoreError::Conflict { channel }) if channel == id));
        assert_eq!(rows(store), before);
    };
    refused(&second); // Not there yet.
    commit(store, batch([open.clone()])).unwrap();
    refused(&open); // There already.
    refused(&third); // One version is missing.
    // Another writer was faster: the same number, but not the same version.
    let other = Account::from_row(open.after().row().clone()).unwrap();
    let by = channel.writer();
    commit(store, batch([other.observe(open_facts(8), by)])).unwrap();
    refused(&third);
    refused(&second);
}

fn writes_nothing_of_a_refused_batch(store: &dyn ChannelStore) {
    let mut channels: Vec<Channel> = (1..=3).map(Channel::new).collect();
    let opened: Vec<_> = channels.iter_mut().map(|channel| channel.open(7)).collect();
    commit(store, batch([opened[0].clone()])).unwrap();
    let refused = Batch {
        transitions: vec![channels[0].touch(), opened[1].clone(), opened[0].clone()],
        chain: Some(ChainUpdate {
            blocks: vec![block(7)],
            events: vec![event(
                channels[0].id(),
                7,
                0,
                ChannelChange::ToppedUp { added: 1.into() },
            )],
            rewind_to: None,
        }),
        tasks: vec![TaskChange::Put(task(&channels[0], None))],
        halts: vec![HaltChange::Set(Halt {
            kind: HaltKind::Reorganised,
            block: Some(BlockNumber(1)),
        })],
    };
    // Handed in together, so that they may share a commit.
    let update = chain(ChainUpdate {
        blocks: vec![block(5)],
        ..ChainUpdate::default()
    });
    let tickets = [update, refused, batch([opened[2].clone()])].map(|batch| store.commit(batch).unwrap());
    let results = tickets.map(wait);
    assert!(matches!(
        results,
        [Ok(()), Err(StoreError::Conflict { channel }), Ok(())] if channel == channels[0].id()
    ));
    let snapshot = load(store);
    assert_eq!(snapshot.blocks, [block(5)]);
    assert_eq!((snapshot.events, snapshot.tasks), (vec![], vec![]));
    assert_eq!(snapshot.halts, []);
    let opened = [&opened[0], &opened[2]].map(|open| (*open.after().channel(), open.after().row().clone()));
    assert_eq!(rows(store), BTreeMap::from(opened));
}

fn topped_up(block: u64, log_index: u64) -> ChannelEvent {
    let added = Amount::from(block * 100 + log_index);
    event(
        Channel::new(1).id(),
        block,
        log_index,
        ChannelChange::ToppedUp { added },
    )
}

fn forgets_what_a_reorganisation_took_away(store: &dyn ChannelStore) {
    let mut channel = Channel::new(1);
    let first = Batch {
        transitions: vec![channel.open(7)],
        chain: Some(ChainUpdate {
            blocks: vec![block(1), block(2), block(4)],
            events: vec![topped_up(1, 0), topped_up(2, 0), topped_up(2, 1), topped_up(4, 0)],
            rewind_to: None,
        }),
        tasks: vec![],
        halts: vec![],
    };
    commit(store, first).unwrap();
    let second = ChainUpdate {
        rewind_to: Some(BlockNumber(2)),
        blocks: vec![branch_block(3, 1), branch_block(4, 1)],
        events: vec![topped_up(4, 0), topped_up(4, 7)],
    };
    commit(store, chain(second)).unwrap();
    let snapshot = load(store);
    assert_eq!(
        snapshot.blocks,
        [block(1), block(2), branch_block(3, 1), branch_block(4, 1)]
    );
    assert_eq!(
        snapshot.events,
        [
            topped_up(1, 0),
            topped_up(2, 0),
            topped_up(2, 1),
            topped_up(4, 0),
            topped_up(4, 7)
        ]
    );
    assert_eq!(rows(store)[&channel.id()], channel.row());
    let everything = ChainUpdate {
        rewind_to: Some(BlockNumber(0)),
        ..ChainUpdate::default()
    };
    commit(store, chain(everything)).unwrap();
    assert_eq!((load(store).blocks, load(store).events), (vec![], vec![]));
}

fn refuses_to_overwrite_the_chain(store: &dyn ChannelStore) {
    let update = |blocks: &[BlockRef], events: &[ChannelEvent]| {
        let update = ChainUpdate {
            blocks: blocks.to_vec(),
            events: events.to_vec(),
            rewind_to: None,
        };
        commit(store, chain(update))
    };
    update(&[block(5)], &[topped_up(5, 0)]).unwrap();
    let before = load(store);
    for (blocks, events) in [
        (vec![block(6)], vec![topped_up(6, 0), topped_up(5, 0)]),
        (vec![block(6)], vec![topped_up(6, 0), topped_up(6, 0)]),
        (vec![block(6), branch_block(5, 1)], vec![topped_up(6, 0)]),
        (vec![block(6), branch_block(6, 1)], vec![topped_up(6, 0)]),
    ] {
        let result = update(&blocks, &events);
        let (wrong_block, wrong_event) = (blocks.last().unwrap(), events.last().unwrap());
        assert!(
            matches!(result, Err(StoreError::ChainConflict { block })
                if block == wrong_block.number || block == wrong_event.block),
            "{result:?}"
        );
        assert_eq!(load(store), before);
    }
    // The head may be told again.
    update(&[block(5), block(6)], &[topped_up(6, 0)]).unwrap();
    assert_eq!(load(store).blocks, [block(5), block(6)]);
}

fn keeps_the_newest_blocks_only(store: &dyn ChannelStore) {
    let kept = u64::try_from(KEPT_BLOCKS).unwrap();
    let update = |first: u64, last: u64| {
        chain(ChainUpdate {
            blocks: (first..=last).map(|number| block(number * 2)).collect(),
            events: vec![topped_up(first * 2, 0)],
            rewind_to: None,
        })
    };
    commit(store, update(1, kept)).unwrap();
    assert_eq!(load(store).blocks.len(), KEPT_BLOCKS);
    commit(store, update(kept + 1, kept + 3)).unwrap();
    let expected: Vec<_> = (4..=kept + 3).map(|number| block(number * 2)).collect();
    assert_eq!(load(store).blocks, expected);
    // Events are kept for good.
    assert_eq!(load(store).events.len(), 2);
}

fn task(channel: &Channel, transaction: Option<B256>) -> Task {
    Task {
        channel: channel.id(),
        kind: TaskKind::Dispute,
        transaction,
        not_before: BlockNumber(0),
    }
}

fn keeps_tasks(store: &dyn ChannelStore) {
    let (first, mut second) = (Channel::new(1), Channel::new(2));
    let sent = Some(B256::repeat_byte(9));
    let with_the_head = Batch {
        transitions: vec![second.open(7)],
        chain: Some(ChainUpdate {
            blocks: vec![block(5)],
            events: vec![topped_up(5, 0)],
            rewind_to: None,
        }),
        tasks: vec![
            TaskChange::Put(task(&first, None)),
            TaskChange::Put(task(&second, None)),
        ],
        halts: vec![],
    };
    commit(store, with_the_head).unwrap();
    let change = |change| {
        let tasks = vec![change];
        commit(
            store,
            Batch {
                tasks,
                ..Batch::default()
            },
        )
        .unwrap();
        let mut tasks = load(store).tasks;
        tasks.sort_by_key(|task| task.channel);
        tasks
    };
    let mut expected = vec![task(&first, sent), task(&second, None)];
    expected.sort_by_key(|task| task.channel);
    assert_eq!(change(TaskChange::Put(task(&first, sent))), expected);
    let remove = TaskChange::Remove {
        channel: second.id(),
        kind: TaskKind::Dispute,
    };
    assert_eq!(change(remove), [task(&first, sent)]);
    assert_eq!(change(remove), [task(&first, sent)]);
    let close = Task {
        kind: TaskKind::Close,
        not_before: BlockNumber(u64::from(u32::MAX) + 1),
        ..task(&first, None)
    };
    let both = change(TaskChange::Put(close));
    // Put again, it is not put off; put for an earlier block, it is done earlier.
    let at = |number| Task {
        not_before: BlockNumber(number),
        ..close
    };
    assert_eq!(change(TaskChange::Put(at(u64::from(u32::MAX) + 2))), both);
    let close = at(9);
    let both = change(TaskChange::Put(close));
    assert_eq!(both.len(), 2);
    assert!(both.contains(&close) && both.contains(&task(&first, sent)));
    let remove = TaskChange::Remove {
        channel: first.id(),
        kind: TaskKind::Dispute,
    };
    assert_eq!(change(remove), [close]);
    // Removed in between, it begins anew.
    let (channel, kind) = (first.id(), TaskKind::Close);
    let in_turn = Batch {
        tasks: vec![
            TaskChange::Put(at(5)),
            TaskChange::Remove { channel, kind },
            TaskChange::Put(at(20)),
            TaskChange::Put(at(12)),
            TaskChange::Put(at(30)),
        ],
        ..Batch::default()
    };
    commit(store, in_turn).unwrap();
    assert_eq!(load(store).tasks, [at(12)]);
    let snapshot = load(store);
    assert_eq!(
        (snapshot.blocks, snapshot.events),
        (vec![block(5)], vec![topped_up(5, 0)])
    );
    assert_eq!(rows(store)[&second.id()], second.row());
}

fn keeps_halts(store: &dyn ChannelStore) {
    let change = |halts| {
        commit(
            store,
            Batch {
                halts,
                ..Batch::default()
            },
        )
        .unwrap();
        let mut halts = load(store).halts;
        halts.sort_by_key(|halt| halt.kind);
        halts
    };
    let halt = |kind, block: Option<u64>| Halt {
        kind,
        block: block.map(BlockNumber),
    };
    let restored = halt(HaltKind::Restored, None);
    assert_eq!(change(vec![HaltChange::Set(restored)]), [restored]);
    let (reorganised, dated) = (
        halt(HaltKind::Reorganised, Some(7)),
        halt(HaltKind::Restored, Some(1 << 40)),
    );
    assert_eq!(
        change(vec![HaltChange::Set(dated), HaltChange::Set(reorganised)]),
        [reorganised, dated]
    );
    let lift = HaltChange::Lift(HaltKind::Reorganised);
    assert_eq!(change(vec![lift]), [dated]);
    assert_eq!(change(vec![lift]), [dated]);
}
