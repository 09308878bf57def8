//! What the operator wants done for all channels: withdrawals, and closing all of them.

use crate::shaky::Shaky;
use crate::world::{CHALLENGE_PERIOD, World, no_tasks, quick, row, stays, until};
use alloy_primitives::U256;
use microraiden_manager::{Begun, ChannelManager, Unavailable, Withdrawing};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Balance, ChannelId};
use microraiden_store::{ChannelStore, TaskKind};
use std::sync::Arc;

const ETHER: u64 = 10_u64.pow(18);

fn at_least(minimum: u64) -> Withdrawing {
    Withdrawing {
        minimum: minimum.into(),
        takes_credit: false,
    }
}

impl World {
    fn gas_money(&self, wei: u64) {
        self.node.set_balance(self.receiver.address(), U256::from(wei));
    }

    async fn has_earned(&self, amount: u64) {
        until("the receiver has its tokens", async || {
            self.earned().await == amount.into()
        })
        .await;
    }
}

/// A manager, and a confirmed channel for each balance that was bought on it; none is bought for zero.
async fn bought(
    world: &World,
    store: Arc<dyn ChannelStore>,
    balances: &[u64],
) -> (ChannelManager, Vec<ChannelId>) {
    let manager = world.manager(store, quick()).await;
    let mut channels = Vec::new();
    for _ in balances {
        channels.push(world.open(100).await);
    }
    world.node.mine(1);
    world.seen(&manager).await;
    for (channel, balance) in channels.iter().zip(balances) {
        if *balance > 0 {
            world.buy(&manager, *channel, *balance, *balance).await;
        }
    }
    (manager, channels)
}

#[tokio::test]
async fn a_withdrawal_leaves_what_is_too_little_and_the_senders_credit() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channels) = bought(&world, store.clone(), &[70, 10, 0, 0]).await;
    let metered = world.pay(&manager, channels[2], 60, 60).await.unwrap();
    metered.charge_partly(50.into()).await;
    let begun = manager.withdraw(at_least(20)).await.unwrap();
    let expected = Begun {
        channels: 1,
        amount: 70.into(),
        without_claim: 1,
        too_little: 1,
        too_little_amount: 10.into(),
        with_credit: 1,
    };
    assert_eq!(begun, expected);
    world.has_earned(70).await;
    world.node.mine(1);
    no_tasks(&*store).await;
    // The channel stays open.
    world.buy(&manager, channels[0], 80, 10).await;
    let takes_credit = Withdrawing {
        takes_credit: true,
        ..at_least(20)
    };
    let begun = manager.withdraw(takes_credit).await.unwrap();
    assert_eq!((begun.channels, begun.amount), (1, 60.into()));
    assert_eq!((begun.too_little, begun.too_little_amount), (2, 20.into()));
    world.has_earned(130).await;
    world.node.mine(1);
    no_tasks(&*store).await;
}

#[tokio::test]
async fn a_proof_that_was_withdrawn_with_buys_nothing_any_more() {
    let world = World::start().await;
    let (manager, channels) = bought(&world, world.memory(), &[60, 60]).await;
    let mut permits = Vec::new();
    for channel in &channels {
        permits.push(world.pay(&manager, *channel, 70, 10).await.unwrap());
    }
    // While it is in flight, it is sold, and no credit.
    let begun = manager.withdraw(at_least(70)).await.unwrap();
    assert_eq!((begun.channels, begun.amount), (2, 140.into()));
    world.has_earned(140).await;
    for permit in permits {
        permit.release().await;
    }
    for channel in channels {
        assert_eq!(world.refusal(&manager, channel, 70).await, Refusal::AlreadySpent);
        world.buy(&manager, channel, 80, 10).await;
    }
}

#[tokio::test]
async fn a_withdrawal_that_a_reorganisation_takes_back_is_sent_again() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channels) = bought(&world, store.clone(), &[70]).await;
    manager.withdraw(at_least(1)).await.unwrap();
    world.has_earned(70).await;
    world.node.mine(1);
    no_tasks(&*store).await;
    world.node.reorganise(2, false).unwrap();
    assert_eq!(world.earned().await, 0.into());
    world.has_earned(70).await;
    world.node.mine(1);
    no_tasks(&*store).await;
    assert_eq!(row(&*store, &channels[0]).await.sent_withdrawals, [70.into()]);
}

#[tokio::test]
async fn a_challenge_that_comes_before_the_withdrawal_is_answered_for_all_of_it() {
    for (claimed, earned) in [(0, 70), (70, 70)] {
        let world = World::start().await;
        let store = world.memory();
        let (manager, channels) = bought(&world, store.clone(), &[70]).await;
        world.gas_money(0);
        manager.withdraw(at_least(1)).await.unwrap();
        world.close_at(&channels[0], claimed).await;
        world.node.mine(1);
        world.seen(&manager).await;
        world.gas_money(ETHER);
        if claimed < 70 {
            world.settled(&channels[0]).await;
        } else {
            stays("the honest close is left to the sender", async || {
                world.earned().await == 0.into()
            })
            .await;
            world.node.mine(u64::from(CHALLENGE_PERIOD));
            let sender = world.wallet(&world.sender);
            world.contract.settle(&sender, &channels[0]).await.unwrap();
        }
        assert_eq!(world.earned().await, earned.into());
        world.node.mine(1);
        no_tasks(&*store).await;
    }
}

#[tokio::test]
async fn a_withdrawal_goes_on_after_a_restart() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = world.file(&path);
    let (manager, channels) = bought(&world, store.clone(), &[70]).await;
    world.gas_money(0);
    manager.withdraw(at_least(1)).await.unwrap();
    manager.stop().await;
    let tasks = store.load().await.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].kind, TaskKind::Withdraw);
    drop((manager, store));
    world.gas_money(ETHER);
    let store = world.file(&path);
    let manager = world.manager(store.clone(), quick()).await;
    world.has_earned(70).await;
    world.node.mine(1);
    no_tasks(&*store).await;
    world.buy(&manager, channels[0], 80, 10).await;
}

#[tokio::test]
async fn closing_all_leaves_dust_and_begins_nothing_twice() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channels) = bought(&world, store.clone(), &[70, 10, 0, 40]).await;
    world.gas_money(0);
    let begun = manager.close_all(20.into()).await.unwrap();
    let first = Begun {
        channels: 2,
        amount: 110.into(),
        without_claim: 1,
        too_little: 1,
        too_little_amount: 10.into(),
        with_credit: 0,
    };
    assert_eq!(begun, first);
    let again = Begun {
        channels: 0,
        amount: 0.into(),
        without_claim: 3,
        ..first
    };
    assert_eq!(manager.close_all(20.into()).await, Ok(again));
    for channel in [channels[0], channels[3]] {
        assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::ClosePromised);
    }
    assert_eq!(store.load().await.unwrap().tasks.len(), 2);
    world.gas_money(ETHER);
    until("selling goes on", async || manager.readiness().is_ok()).await;
    world.buy(&manager, channels[1], 12, 2).await;
    world.buy(&manager, channels[2], 5, 5).await;
    world.has_earned(110).await;
    world.finished(&*store).await;
}

#[tokio::test]
async fn closing_all_that_a_crash_has_stopped_goes_on_where_it_ended() {
    let world = World::start().await;
    let inner = world.memory();
    let (manager, channels) = bought(&world, inner.clone(), &[30, 31, 32, 33]).await;
    manager.stop().await;
    world.gas_money(0);
    let promised = async || {
        let accounts = inner.load().await.unwrap().accounts;
        accounts
            .iter()
            .filter(|account| account.promise().is_some())
            .count()
    };
    let (mut begun, mut was_in_the_middle) = (0, false);
    for commits in 0..40 {
        let store = Shaky::stopping_after(commits, inner.clone());
        let (contract, key) = (world.contract.clone(), world.receiver.clone());
        let wallet = world.wallet(&world.receiver);
        let Ok(manager) = ChannelManager::start(contract, wallet, key, store, quick()).await else {
            continue;
        };
        let closing = manager.close_all(1.into()).await;
        manager.stop().await;
        match closing {
            Ok(last) => {
                assert_eq!(usize::try_from(last.channels).unwrap(), 4 - begun);
                begun = 4;
                break;
            }
            Err(error) => assert_eq!(error, Unavailable::StoreStopped),
        }
        let now = promised().await;
        assert!(now >= begun, "a promise was lost");
        begun = now;
        was_in_the_middle |= (1..4).contains(&begun);
    }
    assert_eq!((begun, promised().await), (4, 4));
    assert!(was_in_the_middle);
    world.gas_money(ETHER);
    let _manager = world.manager(inner.clone(), quick()).await;
    for channel in &channels {
        world.settled(channel).await;
        let promise = row(&*inner, channel).await.promise.unwrap();
        assert!(promise.dispute() > Some(Balance::ZERO));
    }
    world.has_earned(30 + 31 + 32 + 33).await;
    world.finished(&*inner).await;
}
