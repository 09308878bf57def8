//! Two decisions on one account: who is too late decides again, or holds the account.

use super::{Instances, next, opened, put, rows, waits};
use crate::channels::{Channel, batch};
use microraiden_protocol::ChannelId;
use microraiden_store::{Purpose, SharedStore, StoreError};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) async fn the_second_of_two_decisions_is_refused([first, second, _]: Instances) {
    let [channel] = opened(&first).await;
    let (ours, theirs) = (next(&channel.row(), 1), next(&channel.row(), 2));
    put(&first, batch([ours.clone()])).await.unwrap();
    // Nor does it go on from a version that has the same number.
    let on_theirs = next(theirs.after().row(), 2);
    for change in [theirs, on_theirs] {
        let refused = put(&second, batch([change])).await;
        assert!(matches!(refused, Err(StoreError::Conflict { channel: of }) if of == channel.id()));
    }
    assert_eq!(rows(&second).await[&channel.id()], *ours.after().row());
    let again = next(ours.after().row(), 2);
    put(&second, batch([again.clone()])).await.unwrap();
    assert_eq!(rows(&first).await[&channel.id()], *again.after().row());
}

/// Changes an account so many times, deciding again as often as another was faster.
async fn decide(store: Arc<dyn SharedStore>, channel: ChannelId, instance: u64, times: u32) {
    for _ in 0..times {
        loop {
            let change = next(&rows(&store).await[&channel], instance);
            match put(&store, batch([change])).await {
                Ok(()) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

pub(super) async fn no_change_is_lost_between_two_who_decide_again([first, second, third]: Instances) {
    let [channel] = opened(&first).await;
    let id = channel.id();
    tokio::join!(
        decide(first, id, 1, 25),
        decide(second, id, 2, 25),
        decide(third.clone(), id, 3, 25)
    );
    assert_eq!(rows(&third).await[&id].version.number, 1 + 3 * 25);
}

pub(super) async fn a_hold_shows_what_was_committed_before([first, second, _]: Instances) {
    let [mut channel, other] = opened(&first).await;
    // Also what was only handed in.
    let changes = [(); 50].map(|()| channel.touch());
    let tickets = changes.map(|change| first.commit(batch([change])).unwrap());
    for (store, purpose) in [(&first, Purpose::Sale), (&second, Purpose::Chain)] {
        let asked = vec![other.id(), channel.id(), channel.id()];
        let mut rows = store.hold(asked, purpose).await.unwrap().rows;
        rows.sort_by_key(|row| row.channel);
        let mut expected = [channel.row(), other.row()];
        expected.sort_by_key(|row| row.channel);
        assert_eq!(rows, expected);
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
}

pub(super) async fn a_hold_keeps_others_out([first, second, third]: Instances) {
    for purpose in [Purpose::Sale, Purpose::Chain] {
        let mut channel = Channel::new(1 + u32::from(purpose == Purpose::Chain));
        put(&first, batch([channel.open(7)])).await.unwrap();
        let late = next(&channel.row(), 1);
        let held = second.hold(vec![channel.id()], purpose).await.unwrap();
        assert_eq!(held.rows, [channel.row()]);
        let mut commit = first.commit(batch([late])).unwrap();
        let mut hold = third.hold(vec![channel.id()], Purpose::Sale);
        assert!(waits(&mut commit).await && waits(&mut hold).await);

        held.hold.commit(batch([channel.touch()])).await.unwrap();
        // Whoever is refused may be told so only after the next hold.
        let next_hold = async {
            let held = hold.await.unwrap();
            assert_eq!(held.rows, [channel.row()]);
            held.hold.commit(batch([channel.touch()])).await.unwrap();
        };
        let (refused, ()) = tokio::join!(commit, next_hold);
        assert!(matches!(refused, Err(StoreError::Conflict { channel: of }) if of == channel.id()));
        assert_eq!(rows(&first).await[&channel.id()], channel.row());
    }
}

pub(super) async fn a_hold_keeps_nobody_from_other_accounts([first, second, _]: Instances) {
    let [one, mut two, three] = opened(&first).await;
    let held = first.hold(vec![one.id()], Purpose::Sale).await.unwrap();
    put(&second, batch([two.touch()])).await.unwrap();
    let others = second
        .hold(vec![two.id(), three.id()], Purpose::Sale)
        .await
        .unwrap();
    // Nor from reading.
    assert_eq!(rows(&second).await[&one.id()], one.row());
    drop((held, others));
}

/// Holds both accounts and changes them, so many times.
async fn hold_both(store: Arc<dyn SharedStore>, asked: [ChannelId; 2], instance: u64, times: u32) {
    for round in 0..times {
        let purpose = [Purpose::Sale, Purpose::Chain][usize::from(round % 5 == 0)];
        let held = store.hold(asked.to_vec(), purpose).await.unwrap();
        let changes = [0, 1].map(|at| next(&held.rows[at], instance));
        held.hold.commit(batch(changes)).await.unwrap();
    }
}

/// In both orders, and among others who do not hold.
pub(super) async fn what_is_held_is_committed_without_conflict([first, second, third]: Instances) {
    let [one, two] = opened(&first).await;
    let (one, two) = (one.id(), two.id());
    let mut tasks = JoinSet::new();
    tasks.spawn(hold_both(first.clone(), [one, two], 1, 20));
    tasks.spawn(hold_both(second.clone(), [two, one], 2, 20));
    tasks.spawn(hold_both(third.clone(), [one, two], 3, 20));
    tasks.spawn(decide(second, one, 4, 20));
    tasks.spawn(decide(third, two, 5, 20));
    tasks.join_all().await;
    let rows = rows(&first).await;
    assert_eq!([one, two].map(|id| rows[&id].version.number), [1 + 80, 1 + 80]);
}

pub(super) async fn a_hold_that_is_dropped_lets_go([first, second, third]: Instances) {
    let [mut channel] = opened(&first).await;
    let before = channel.row();
    let held = first.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    let mut commit = second.commit(batch([channel.touch()])).unwrap();
    assert!(waits(&mut commit).await);
    assert_eq!(rows(&third).await[&channel.id()], before);
    drop(held);
    commit.await.unwrap();
    assert_eq!(rows(&third).await[&channel.id()], channel.row());
}

pub(super) async fn who_waits_no_longer_is_in_nobodys_way([first, second, third]: Instances) {
    let [mut channel] = opened(&first).await;
    let held = first.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    let mut given_up = second.hold(vec![channel.id()], Purpose::Sale);
    assert!(waits(&mut given_up).await);
    drop(given_up);
    held.hold.commit(batch([channel.touch()])).await.unwrap();
    let held = third.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    assert_eq!(held.rows, [channel.row()]);
    held.hold.commit(batch([channel.touch()])).await.unwrap();
    put(&second, batch([channel.touch()])).await.unwrap();
}

pub(super) async fn a_hold_leaves_out_channels_without_an_account([first, second, _]: Instances) {
    let [channel] = opened(&first).await;
    let mut new = Channel::new(7);
    let asked = vec![new.id(), channel.id()];
    let held = first.hold(asked.clone(), Purpose::Chain).await.unwrap();
    assert_eq!(held.rows, [channel.row()]);
    held.hold.commit(batch([new.open(7)])).await.unwrap();
    assert_eq!(second.hold(asked, Purpose::Chain).await.unwrap().rows.len(), 2);
    let nothing = second
        .hold(vec![Channel::new(8).id()], Purpose::Sale)
        .await
        .unwrap();
    assert_eq!(nothing.rows, []);
}
