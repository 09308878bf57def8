//! Gas: what is worth it, what it may cost, and transactions that wait for their block.

use crate::world::{CHALLENGE_PERIOD, World, no_tasks, quick, row, stays, until};
use alloy_primitives::U256;
use microraiden_manager::{ChannelManager, Config, Denied, Receiver, Unavailable};
use microraiden_protocol::Amount;
use microraiden_protocol::ledger::Refusal;
use microraiden_store::{ChannelStore, TaskKind};
use std::path::Path;

const ETHER: u64 = 10_u64.pow(18);

/// What the receiver's wallet holds, in wei.
async fn held(world: &World) -> U256 {
    let receiver = world.receiver.address();
    world.contract.node().eth_balance(receiver).await.unwrap()
}

/// The base fee of the next block, in wei.
async fn next_base_fee(world: &World, wei: u64) {
    let answer = world
        .rpc("anvil_setNextBlockBaseFeePerGas", &format!(r#"["{wei:#x}"]"#))
        .await;
    assert!(answer.contains(r#""result""#), "{answer}");
}

#[tokio::test]
async fn a_stale_close_of_dust_costs_nothing_and_stops_nothing() {
    let world = World::start().await;
    let config = Config {
        min_claim: 50.into(),
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let (dust, other) = (world.open(100).await, world.open(100).await);
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, dust, 49, 49).await;
    let before = held(&world).await;
    world.close_at(&dust, 0).await;
    world.node.mine(u64::from(CHALLENGE_PERIOD));
    world.seen(&manager).await;
    world.buy(&manager, other, 10, 10).await;
    stays("the dust is left alone", async || {
        world.contract.channel_info(&dust).await.unwrap().is_some()
    })
    .await;
    assert_eq!(world.refusal(&manager, dust, 60).await, Refusal::Challenged);
    assert_eq!(row(&*store, &dust).await.promise, None);
    no_tasks(&*store).await;
    let sender = world.wallet(&world.sender);
    world.contract.settle(&sender, &dust).await.unwrap();
    world.buy(&manager, other, 20, 10).await;
    assert_eq!(held(&world).await, before);
}

#[tokio::test]
async fn a_close_that_is_stale_by_enough_is_disputed_and_dust_beside_it_is_not() {
    let world = World::start().await;
    let config = Config {
        min_claim: 50.into(),
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let (dust, stale) = (world.open(100).await, world.open(100).await);
    world.node.mine(1);
    world.seen(&manager).await;
    for (channel, claimed) in [(dust, 21), (stale, 20)] {
        world.buy(&manager, channel, 70, 70).await;
        world.close_at(&channel, claimed).await;
    }
    world.node.mine(1);
    world.settled(&stale).await;
    assert_eq!(world.earned().await, 70.into());
    assert_eq!(row(&*store, &dust).await.promise, None);
    world.node.mine(1);
    no_tasks(&*store).await;
    assert!(world.contract.channel_info(&dust).await.unwrap().is_some());
}

#[tokio::test]
async fn dust_stops_no_selling_for_lack_of_gas() {
    let world = World::start().await;
    let config = Config {
        min_claim: 50.into(),
        ..quick()
    };
    let manager = world.manager(world.memory(), config).await;
    let mut channels = Vec::new();
    for _ in 0..20 {
        channels.push(world.open(100).await);
    }
    world.node.mine(1);
    world.seen(&manager).await;
    for channel in &channels {
        world.buy(&manager, *channel, 40, 40).await;
    }
    let receiver = world.receiver.address();
    world.node.set_balance(receiver, U256::ZERO);
    stays("it sells", async || manager.readiness().is_ok()).await;
    world.buy(&manager, channels[0], 49, 9).await;
    stays("it still sells", async || manager.readiness().is_ok()).await;
    // One that is worth a transaction, which nobody could pay.
    world.buy(&manager, channels[0], 50, 1).await;
    until("selling stops", async || {
        manager.readiness() == Err(Unavailable::GasShort)
    })
    .await;
    let denied = world.pay(&manager, channels[1], 50, 10).await.unwrap_err();
    assert_eq!(denied, Denied::Unavailable(Unavailable::GasShort));
    world.node.set_balance(receiver, U256::from(ETHER));
    until("selling goes on", async || manager.readiness().is_ok()).await;
    world.buy(&manager, channels[1], 50, 10).await;
}

/// Whether the receiver has sent a transaction, mined or not.
async fn has_sent(world: &World) -> bool {
    first_sent(world).await.is_some()
}

#[tokio::test]
async fn nothing_is_sent_while_gas_costs_more_than_it_brings_in() {
    let world = World::start().await;
    // All 70 units are worth 10^13 wei, a hundred million for each unit of gas.
    let config = Config {
        token_value_wei: Some(10_u128.pow(13) * u128::from(ETHER) / 70),
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let channel = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    next_base_fee(&world, 100_000_000_000).await;
    world.node.mine(1);
    until("the dispute is promised", async || {
        let tasks = store.load().await.unwrap().tasks;
        tasks.iter().any(|task| task.kind == TaskKind::Dispute)
    })
    .await;
    let before = held(&world).await;
    stays("nothing is sent", async || !has_sent(&world).await).await;
    // It is never forgotten: as soon as gas is cheap, it goes.
    next_base_fee(&world, 1_000_000).await;
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    let cost = before - held(&world).await;
    assert!(cost > U256::ZERO && cost <= U256::from(10_u64.pow(13)), "{cost}");
}

/// A manager with a wallet of its own, as a program has it.
async fn opened(world: &World, path: &Path) -> ChannelManager {
    let receiver = Receiver {
        rpc: vec![world.node.url().parse().unwrap()],
        contract: world.contract.address(),
        key: world.receiver.clone(),
        store: path.to_owned().into(),
    };
    ChannelManager::open(receiver, quick()).await.unwrap()
}

/// The hash of the receiver's first transaction, mined or not.
async fn first_sent(world: &World) -> Option<String> {
    let of = format!(r#"["{}", "0x0"]"#, world.receiver.address());
    let answer = world.rpc("eth_getTransactionBySenderAndNonce", &of).await;
    let (_, hash) = answer.split_once(r#""hash":""#)?;
    Some(hash.split('"').next().unwrap().to_owned())
}

#[tokio::test]
async fn what_was_sent_before_a_restart_at_too_low_a_fee_holds_no_dispute_up() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let manager = opened(&world, &path).await;
    let channel = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    world.rpc("evm_setAutomine", "[false]").await;
    world.node.mine(1);
    until("the dispute is sent", async || first_sent(&world).await.is_some()).await;
    manager.stop().await;
    drop(manager);
    let old = first_sent(&world).await;
    // More than it offers: it is left out of every block.
    next_base_fee(&world, 50_000_000_000).await;
    world.node.mine(1);
    assert!(world.contract.channel_info(&channel).await.unwrap().is_some());

    let manager = opened(&world, &path).await;
    until("it is replaced", async || first_sent(&world).await != old).await;
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, Amount::from(70));
    manager.stop().await;
}
