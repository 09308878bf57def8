//! Whatever the chain does, running through, restarting all the time, and reading it for the first
//! time end in the same.

use crate::world::{World, quick};
use microraiden_chain::TransactionError;
use microraiden_manager::{ChannelManager, Config};
use microraiden_protocol::{ChainFacts, ChannelEvent, ChannelId};
use microraiden_store::{ChannelStore, Task};
use std::collections::BTreeMap;

/// A small generator of numbers that look random.
struct Dice(u64);

impl Dice {
    /// Below `faces`.
    fn roll(&mut self, faces: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % faces
    }
}

/// What a state says of the chain.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    facts: BTreeMap<ChannelId, ChainFacts>,
    events: Vec<ChannelEvent>,
    tasks: Vec<Task>,
}

async fn seen(store: &dyn ChannelStore) -> Seen {
    let snapshot = store.load().await.unwrap();
    let accounts = snapshot.accounts.iter();
    Seen {
        facts: accounts
            .map(|account| (*account.channel(), account.facts().clone()))
            // One that has vanished, and one that was never seen, are the same.
            .filter(|(_, facts)| *facts != ChainFacts::default())
            .collect(),
        events: snapshot.events,
        tasks: snapshot.tasks,
    }
}

fn config() -> Config {
    Config {
        n_confirmations: 3,
        final_after: 6,
        ..quick()
    }
}

/// Does something on chain. The contract may refuse it: a channel may have vanished.
async fn step(world: &World, dice: &mut Dice, channels: &mut Vec<ChannelId>) {
    let (sender, receiver) = (world.wallet(&world.sender), world.wallet(&world.receiver));
    let contract = &world.contract;
    let index = dice.roll(channels.len().try_into().unwrap());
    let channel = channels[usize::try_from(index).unwrap()];
    let balance = 1 + dice.roll(60);
    let proof = world.signature(&world.sender, channel, balance);
    let done: Result<_, TransactionError> = match dice.roll(12) {
        0 | 1 => {
            channels.push(world.open(100).await);
            return;
        }
        2 | 3 => contract.top_up(&sender, &channel, 10.into()).await.map(drop),
        4 => {
            let closed = contract.uncooperative_close(&sender, &channel, balance.into());
            closed.await.map(drop)
        }
        5 => {
            let closing = contract
                .scheme()
                .sign_closing(&world.receiver, &channel, balance.into());
            let closed = contract.cooperative_close(&sender, &channel, balance.into(), &proof, &closing);
            closed.await.map(drop)
        }
        6 => {
            let withdrawn = contract.withdraw(&receiver, &channel, balance.into(), &proof);
            withdrawn.await.map(drop)
        }
        7..10 => {
            let depth = 1 + dice.roll(8);
            let keep = dice.roll(2) == 0;
            world.node.reorganise(depth, keep).unwrap();
            return;
        }
        _ => {
            world.node.mine(1 + dice.roll(4));
            return;
        }
    };
    if let Err(error) = done {
        assert!(error.revert().is_some(), "{error}");
    }
}

async fn run(world: &World, seed: u64) -> u32 {
    let mut dice = Dice(seed);
    let mut channels = vec![world.open(100).await];
    // Only what comes after this may be dropped by a reorganisation.
    world.node.mine(10);
    let through = world.memory();
    let manager = world.manager(through.clone(), config()).await;
    let restarted = world.memory();
    let mut restarts = None::<ChannelManager>;
    let mut compared = 0;
    for _ in 0..50 {
        step(world, &mut dice, &mut channels).await;
        if dice.roll(3) > 0 {
            if let Some(before) = restarts.take() {
                before.stop().await;
            }
            restarts = Some(world.manager(restarted.clone(), config()).await);
            world.seen(&manager).await;
            let first = world.memory();
            world.manager(first.clone(), config()).await.stop().await;
            let expected = seen(&*first).await;
            assert_eq!(seen(&*through).await, expected, "running through, seed {seed}");
            assert_eq!(seen(&*restarted).await, expected, "restarting, seed {seed}");
            compared += 1;
        }
    }
    manager.stop().await;
    compared
}

#[tokio::test]
async fn all_ways_of_reading_a_chain_agree() {
    let world = World::start().await;
    for seed in 1..6 {
        assert!(run(&world, seed).await > 20);
    }
}
