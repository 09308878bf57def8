//! One instance follows the chain.

use super::{Instances, head, next, opened, put, rows};
use crate::channels::{Channel, batch, block, event};
use microraiden_protocol::{Amount, BlockNumber, ChainUpdate, ChannelChange};
use microraiden_store::{
    Batch, Bid, Halt, HaltChange, HaltKind, LEASE, Leadership, Purpose, SharedStore, StoreError, Task,
    TaskChange, TaskKind, Word,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

const WORD: Word = Word {
    head: BlockNumber(u32::MAX as u64 + 7),
    head_time: u32::MAX as u64 + 99,
    node_age: Some(Duration::from_millis(3_500)),
    gas_short: true,
};

async fn bid(store: &Arc<dyn SharedStore>, bid: Bid) -> Leadership {
    store.bid(bid).await.unwrap()
}

fn who(seen: Leadership) -> (bool, bool) {
    (seen.is_ours, seen.is_held)
}

pub(super) async fn one_leads_until_it_resigns([first, second, third]: Instances) {
    let none = bid(&first, Bid::Look).await;
    assert_eq!((who(none), none.word), ((false, false), None));
    // Nothing to give up.
    assert_eq!(who(bid(&second, Bid::Resign).await), (false, false));

    let began = bid(&first, Bid::Lead(WORD)).await;
    assert_eq!(who(began), (true, true));
    let refused = bid(&second, Bid::Lead(Word::default())).await;
    assert_eq!((who(refused), refused.fence), ((false, true), began.fence));
    assert_eq!(who(bid(&third, Bid::Look).await), (false, true));
    // Only its own lead.
    assert_eq!(who(bid(&second, Bid::Resign).await), (false, true));
    let kept = bid(&first, Bid::Lead(WORD)).await;
    assert_eq!((who(kept), kept.fence), ((true, true), began.fence));
    assert_eq!(who(bid(&first, Bid::Look).await), (true, true));

    assert_eq!(who(bid(&first, Bid::Resign).await), (false, false));
    let free = bid(&third, Bid::Look).await;
    assert_eq!(who(free), (false, false));
    assert_eq!(free.word.unwrap().head, WORD.head);
    let taken = bid(&second, Bid::Lead(Word::default())).await;
    assert_eq!(who(taken), (true, true));
    assert!(taken.fence > began.fence);
    assert_eq!(who(bid(&first, Bid::Lead(WORD)).await), (false, true));
}

pub(super) async fn of_many_who_bid_at_once_one_leads([first, second, third]: Instances) {
    let mut fence = 0;
    for _ in 0..20 {
        let word = Bid::Lead(Word::default());
        let (one, two, three) = tokio::join!(bid(&first, word), bid(&second, word), bid(&third, word));
        let all = [(&first, one), (&second, two), (&third, three)];
        let leaders: Vec<_> = all.iter().filter(|(_, seen)| seen.is_ours).collect();
        let [(leader, seen)] = leaders.as_slice() else {
            panic!("{} lead", leaders.len());
        };
        assert!(seen.fence > fence);
        fence = seen.fence;
        bid(leader, Bid::Resign).await;
    }
}

pub(super) async fn the_word_is_told_with_its_age([first, second, _]: Instances) {
    let said = Instant::now();
    bid(&first, Bid::Lead(WORD)).await;
    for pause in [0, 300] {
        sleep(Duration::from_millis(pause)).await;
        let word = bid(&second, Bid::Look).await.word.unwrap();
        let (age, first_age) = (word.node_age.unwrap(), WORD.node_age.unwrap());
        // As exact as milliseconds.
        let least = first_age + Duration::from_millis(pause.saturating_sub(2));
        let most = first_age + said.elapsed() + Duration::from_millis(2);
        assert!(
            least <= age && age <= most,
            "{age:?} is not in {least:?}..={most:?}"
        );
        let node_age = WORD.node_age;
        assert_eq!(Word { node_age, ..word }, WORD);
    }
    let never_read = Word::default();
    bid(&first, Bid::Lead(never_read)).await;
    assert_eq!(bid(&second, Bid::Look).await.word, Some(never_read));
}

/// A batch with a chain update, and everything else that there may be in it.
fn everything(channel: &mut Channel, number: u64) -> Batch {
    let added = Amount::from(number);
    Batch {
        transitions: vec![channel.touch()],
        chain: Some(ChainUpdate {
            blocks: vec![block(number)],
            events: vec![event(channel.id(), number, 0, ChannelChange::ToppedUp { added })],
            rewind_to: None,
        }),
        tasks: vec![TaskChange::Put(Task {
            channel: channel.id(),
            kind: TaskKind::Dispute,
            transaction: None,
            not_before: BlockNumber(number),
        })],
        halts: vec![HaltChange::Set(Halt {
            kind: HaltKind::Reorganised,
            block: Some(BlockNumber(number)),
        })],
    }
}

/// It is not written, nor anything that is with it; what is not of the chain needs no lead.
async fn is_refused(store: &Arc<dyn SharedStore>, channel: &mut Channel) {
    let before = store.load().await.unwrap();
    let refused = everything(channel, 1_000);
    let result = put(store, refused.clone()).await;
    assert!(matches!(result, Err(StoreError::NotLeading)), "{result:?}");
    let held = store.hold(vec![channel.id()], Purpose::Chain).await.unwrap();
    let result = held.hold.commit(refused.clone()).await;
    assert!(matches!(result, Err(StoreError::NotLeading)), "{result:?}");
    let after = store.load().await.unwrap();
    assert_eq!((after.accounts, after.blocks), (before.accounts, before.blocks));
    assert_eq!((after.events, after.tasks), (before.events, before.tasks));
    assert_eq!(after.halts, before.halts);
    // The channel goes on from there, and the account is not held.
    let chain = None;
    put(store, Batch { chain, ..refused }).await.unwrap();
}

pub(super) async fn who_does_not_lead_writes_nothing_of_the_chain([first, second, _]: Instances) {
    let [mut channel] = opened(&first).await;
    is_refused(&first, &mut channel).await;
    bid(&second, Bid::Lead(WORD)).await;
    is_refused(&first, &mut channel).await;
    put(&second, everything(&mut channel, 1)).await.unwrap();
    let held = second.hold(vec![channel.id()], Purpose::Chain).await.unwrap();
    held.hold.commit(everything(&mut channel, 2)).await.unwrap();
    // Who has given it up; others who are refused are not in the way of those who share a commit with them.
    bid(&second, Bid::Resign).await;
    is_refused(&second, &mut channel).await;
    let refused = second.commit(head(3)).unwrap();
    let change = second.commit(batch([channel.touch()])).unwrap();
    assert!(matches!(refused.await, Err(StoreError::NotLeading)));
    change.await.unwrap();
    let stored = first.load().await.unwrap();
    assert_eq!(stored.blocks, [block(1), block(2)]);
    assert_eq!(stored.accounts, [channel.account().clone()]);
}

/// The one check that takes as long as a lease.
pub(super) async fn another_takes_over_after_a_silence([first, second, third]: Instances) {
    let [mut channel] = opened(&first).await;
    bid(&first, Bid::Lead(WORD)).await;
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let last = bid(&first, Bid::Lead(WORD)).await;
    // Only to look is no word.
    sleep_until(began + LEASE - Duration::from_millis(500)).await;
    assert_eq!(who(bid(&first, Bid::Look).await), (true, true));
    assert_eq!(who(bid(&second, Bid::Lead(Word::default())).await), (false, true));
    put(&first, everything(&mut channel, 1)).await.unwrap();

    sleep_until(began + LEASE + Duration::from_millis(500)).await;
    assert_eq!(who(bid(&first, Bid::Look).await), (false, false));
    is_refused(&first, &mut channel).await;
    let taken = bid(&second, Bid::Lead(Word::default())).await;
    assert_eq!(who(taken), (true, true));
    assert!(taken.fence > last.fence);
    assert_eq!(who(bid(&first, Bid::Lead(WORD)).await), (false, true));
    assert_eq!(who(bid(&third, Bid::Look).await), (false, true));
    is_refused(&first, &mut channel).await;
    put(&second, everything(&mut channel, 2)).await.unwrap();
    // It still sells.
    let row = &rows(&first).await[&channel.id()];
    put(&first, batch([next(row, 1)])).await.unwrap();
}
