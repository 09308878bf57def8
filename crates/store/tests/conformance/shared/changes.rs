//! What others wrote.

use super::{Instances, head, next, opened, put, rows};
use crate::channels::{Channel, batch};
use microraiden_protocol::ledger::AccountRow;
use microraiden_protocol::{BlockNumber, ChannelId};
use microraiden_store::{
    Batch, Bid, Changes, Halt, HaltChange, HaltKind, Purpose, Reading, SharedStore, Task, TaskChange,
    TaskKind, Word,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

async fn changes(store: &Arc<dyn SharedStore>, reading: Reading) -> Changes {
    store.changes(reading).await.unwrap()
}

const HALT: Halt = Halt {
    kind: HaltKind::Restored,
    block: Some(BlockNumber(7)),
};

fn task(channel: &Channel) -> Task {
    Task {
        channel: channel.id(),
        kind: TaskKind::Close,
        transaction: None,
        not_before: BlockNumber(9),
    }
}

pub(super) async fn what_others_wrote_is_told([first, second, third]: Instances) {
    let [mut one, mut two] = opened(&first).await;
    assert_eq!(second.load().await.unwrap().accounts.len(), 2);
    let everything = Batch {
        transitions: vec![one.touch(), one.pay(3, 3)],
        tasks: vec![TaskChange::Put(task(&one))],
        halts: vec![HaltChange::Set(HALT)],
        ..Batch::default()
    };
    put(&first, everything).await.unwrap();
    let told = changes(&second, Reading::Changed).await;
    assert!(told.accounts.contains(&one.row()), "{told:?}");
    assert_eq!(
        (told.tasks, told.halts),
        (Some(vec![task(&one)]), Some(vec![HALT]))
    );

    // From two of them, and from a hold.
    put(&third, batch([two.pay(5, 5)])).await.unwrap();
    let held = first.hold(vec![one.id()], Purpose::Sale).await.unwrap();
    held.hold.commit(batch([one.touch()])).await.unwrap();
    let told = changes(&second, Reading::TasksAndHalts).await;
    assert!(told.accounts.contains(&one.row()) && told.accounts.contains(&two.row()));
    // Asked for, they are told though they have not changed.
    assert_eq!(
        (told.tasks, told.halts),
        (Some(vec![task(&one)]), Some(vec![HALT]))
    );

    let (channel, kind) = (one.id(), TaskKind::Close);
    let nothing_left = Batch {
        tasks: vec![TaskChange::Remove { channel, kind }],
        halts: vec![HaltChange::Lift(HALT.kind)],
        ..Batch::default()
    };
    put(&third, nothing_left).await.unwrap();
    let told = changes(&second, Reading::Changed).await;
    assert_eq!((told.tasks, told.halts), (Some(vec![]), Some(vec![])));
    // Who has read nothing yet is told everything.
    let told = changes(&third, Reading::Changed).await;
    assert!(told.accounts.contains(&one.row()) && told.accounts.contains(&two.row()));
}

/// A change that was begun before a reading and ended after it.
pub(super) async fn what_was_held_meanwhile_is_told([first, second, reader]: Instances) {
    let [mut one, mut two] = opened(&first).await;
    reader.load().await.unwrap();
    for purpose in [Purpose::Sale, Purpose::Chain] {
        let held = first.hold(vec![one.id()], purpose).await.unwrap();
        put(&second, batch([two.touch()])).await.unwrap();
        let told = changes(&reader, Reading::Changed).await;
        assert!(told.accounts.contains(&two.row()));
        held.hold.commit(batch([one.touch()])).await.unwrap();
        let told = changes(&reader, Reading::Changed).await;
        assert!(told.accounts.contains(&one.row()));
    }
}

type Known = BTreeMap<ChannelId, AccountRow>;

fn learn(known: &mut Known, told: Changes) {
    for row in told.accounts {
        let is_newer = |known: &AccountRow| known.version.number < row.version.number;
        if known.get(&row.channel).is_none_or(is_newer) {
            known.insert(row.channel, row);
        }
    }
}

/// Changes some accounts again and again, several batches at a time.
async fn write(store: Arc<dyn SharedStore>, mut channels: Vec<Channel>) {
    let count = channels.len();
    for round in 0..40 {
        let mut tickets = Vec::new();
        for step in 0..5 {
            let mut both = |at: usize| channels[at % count].touch();
            let changes = batch([both(round + step), both(round + 2 * step + 1)]);
            tickets.push(store.commit(changes).unwrap());
        }
        for ticket in tickets {
            ticket.await.unwrap();
        }
        let held = store.hold(vec![channels[round % count].id()], Purpose::Sale);
        let held = held.await.unwrap();
        held.hold
            .commit(batch([channels[round % count].touch()]))
            .await
            .unwrap();
    }
}

pub(super) async fn nothing_is_missed_among_many_writers([first, second, reader]: Instances) {
    let mut known = Known::new();
    reader.load().await.unwrap();
    let mut channels = Vec::from(opened::<24>(&first).await);
    let mut writers = JoinSet::new();
    for number in 0..6 {
        let store = [&first, &second][number % 2].clone();
        writers.spawn(write(store, channels.split_off(channels.len() - 4)));
    }
    let writing = tokio::spawn(writers.join_all());
    loop {
        let is_last = writing.is_finished();
        learn(&mut known, changes(&reader, Reading::Changed).await);
        if is_last {
            break;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    writing.await.unwrap();
    assert_eq!(known.len(), 24);
    assert_eq!(known, rows(&first).await);
}

/// As a message may be lost, each time is tried a few times.
pub(super) async fn the_others_are_told_of_tasks_halts_and_the_chain([leader, second, third]: Instances) {
    let [channel] = opened(&leader).await;
    let change = |number: u64| {
        [
            head(number),
            Batch {
                tasks: vec![TaskChange::Put(task(&channel))],
                ..Batch::default()
            },
            Batch {
                halts: vec![HaltChange::Set(HALT)],
                ..Batch::default()
            },
        ]
    };
    for kind in 0..3 {
        let mut is_told = false;
        for attempt in 1..=10 {
            leader.bid(Bid::Lead(Word::default())).await.unwrap();
            let batch = change(kind * 100 + attempt)[usize::try_from(kind).unwrap()].clone();
            put(&leader, batch).await.unwrap();
            let second = timeout(Duration::from_secs(1), second.changed()).await;
            let third = timeout(Duration::from_secs(1), third.changed()).await;
            is_told = second.is_ok() && third.is_ok();
            if is_told {
                break;
            }
        }
        assert!(is_told, "change {kind}");
    }
    // Nothing is asked of the lead here.
    let mut row = channel.row();
    for _ in 0..3 {
        let change = next(&row, 2);
        row = change.after().row().clone();
        put(&second, batch([change])).await.unwrap();
    }
    let told = changes(&third, Reading::Changed).await;
    assert!(told.accounts.contains(&row));
}
