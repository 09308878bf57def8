//! What the instances of a state in memory do in time, and in which order.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::{Channel, batch, binding, block};
use microraiden_protocol::ChainUpdate;
use microraiden_protocol::ledger::Transition;
use microraiden_store::{
    Batch, Bid, Changes, ChannelStore, LEASE, MemoryInstance, MemoryStore, Purpose, Reading, SharedStore,
    StoreError, Ticket, Word,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, advance, sleep, timeout};

const MOMENT: Duration = Duration::from_millis(1);
const LONGEST_HOLD: Duration = Duration::from_secs(5);

fn instances() -> [MemoryInstance; 3] {
    let store = Arc::new(MemoryStore::new(binding()));
    [(); 3].map(|()| store.instance())
}

fn hand_in(store: &MemoryInstance, transition: Transition) -> Ticket {
    store.commit(batch([transition])).unwrap()
}

fn head(number: u64) -> Batch {
    let update = ChainUpdate {
        blocks: vec![block(number)],
        ..ChainUpdate::default()
    };
    Batch {
        chain: Some(update),
        ..Batch::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_lead_ends_to_the_moment_after_the_last_word() {
    let [first, second, _] = instances();
    let word = Word {
        node_age: Some(Duration::from_secs(1)),
        ..Word::default()
    };
    first.bid(Bid::Lead(Word::default())).await.unwrap();
    advance(LEASE - MOMENT).await;
    let began = first.bid(Bid::Lead(word)).await.unwrap();
    advance(LEASE - MOMENT).await;
    let seen = second.bid(Bid::Lead(Word::default())).await.unwrap();
    assert_eq!(
        (seen.is_ours, seen.is_held, seen.fence),
        (false, true, began.fence)
    );
    let age = seen.word.unwrap().node_age.unwrap();
    assert_eq!(age, Duration::from_secs(1) + LEASE - MOMENT);
    first.commit(head(1)).unwrap().await.unwrap();

    advance(MOMENT).await;
    let refused = first.commit(head(2)).unwrap().await;
    assert!(matches!(refused, Err(StoreError::NotLeading)));
    assert!(!first.bid(Bid::Look).await.unwrap().is_held);
    let taken = second.bid(Bid::Lead(Word::default())).await.unwrap();
    assert!(taken.is_ours && taken.fence > began.fence);
    second.commit(head(2)).unwrap().await.unwrap();
}

/// A process that is killed says nothing any more.
#[tokio::test(start_paused = true)]
async fn who_is_gone_leads_until_its_time_is_over() {
    let [first, second, _] = instances();
    first.bid(Bid::Lead(Word::default())).await.unwrap();
    drop(first);
    assert!(!second.bid(Bid::Lead(Word::default())).await.unwrap().is_ours);
    advance(LEASE).await;
    assert!(second.bid(Bid::Lead(Word::default())).await.unwrap().is_ours);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_for_too_long_is_let_go_and_its_commit_fails() {
    let [first, second, _] = instances();
    let mut channel = Channel::new(1);
    hand_in(&first, channel.open(7)).await.unwrap();
    let (change, next) = (channel.touch(), channel.touch());

    let began = Instant::now();
    let held = first.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    hand_in(&second, change.clone()).await.unwrap();
    assert!(
        began.elapsed() >= LONGEST_HOLD,
        "let go after {:?}",
        began.elapsed()
    );
    let late = held.hold.commit(batch([next.clone()])).await;
    assert!(matches!(late, Err(StoreError::Away { .. })), "{late:?}");
    assert_eq!(first.load().await.unwrap().accounts, [change.after().clone()]);

    // A hold that is over in time leaves nothing behind that would end a later one.
    drop(first.hold(vec![channel.id()], Purpose::Sale).await.unwrap());
    let held = first.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    sleep(LONGEST_HOLD - MOMENT).await;
    held.hold.commit(batch([next])).await.unwrap();
}

#[tokio::test]
async fn what_was_read_is_not_told_again() {
    let [first, second, third] = instances();
    let [mut one, mut two] = [1, 2].map(Channel::new);
    first
        .commit(batch([one.open(7), two.open(7)]))
        .unwrap()
        .await
        .unwrap();
    second.load().await.unwrap();
    assert_eq!(
        second.changes(Reading::Changed).await.unwrap(),
        Changes::default()
    );
    hand_in(&first, two.touch()).await.unwrap();
    for accounts in [vec![two.row()], vec![]] {
        let told = second.changes(Reading::Changed).await.unwrap();
        assert_eq!(told.accounts, accounts);
    }
    assert_eq!(third.changes(Reading::Changed).await.unwrap().accounts.len(), 2);
}

/// Two accounts, of which one is held: who waits for both keeps its place, and so do the batches of one instance.
#[tokio::test(start_paused = true)]
async fn nobody_is_overtaken() {
    let [first, second, third] = instances();
    let [mut one, mut two, mut three, mut four] = [1, 2, 3, 4].map(Channel::new);
    let opened = batch([one.open(7), two.open(7), three.open(7), four.open(7)]);
    first.commit(opened).unwrap().await.unwrap();
    let held = first.hold(vec![one.id()], Purpose::Sale).await.unwrap();

    let mut both = second.commit(batch([one.touch(), two.touch()])).unwrap();
    let mut behind = hand_in(&second, three.touch());
    let mut after = hand_in(&third, two.touch());
    let mut own = Box::pin(second.hold(vec![three.id()], Purpose::Chain));
    assert!(timeout(MOMENT, &mut both).await.is_err());
    assert!(timeout(MOMENT, &mut behind).await.is_err());
    assert!(timeout(MOMENT, &mut after).await.is_err());
    assert!(timeout(MOMENT, &mut own).await.is_err());
    // Others are not in its way.
    drop(third.hold(vec![four.id()], Purpose::Sale).await.unwrap());

    drop(held);
    both.await.unwrap();
    behind.await.unwrap();
    after.await.unwrap();
    assert_eq!(own.await.unwrap().rows, [three.row()]);
}

/// Who holds must not wait for others who hold.
#[tokio::test(start_paused = true)]
async fn what_another_holds_is_not_written() {
    let [first, second, _] = instances();
    let (mut one, mut two) = (Channel::new(1), Channel::new(2));
    let opened = batch([one.open(7), two.open(7)]);
    first.commit(opened).unwrap().await.unwrap();
    let ours = first.hold(vec![one.id()], Purpose::Sale).await.unwrap();
    let theirs = second.hold(vec![two.id()], Purpose::Sale).await.unwrap();
    let refused = ours.hold.commit(batch([one.touch(), two.touch()])).await;
    assert!(matches!(refused, Err(StoreError::Conflict { channel }) if channel == two.id()));
    assert_eq!(theirs.rows[0].version.number, 1);
    let accounts = first.load().await.unwrap().accounts;
    assert!(accounts.iter().all(|account| account.row().version.number == 1));
}
