//! A state file that was lost and restored from a backup: what the receiver still has, and still does.

use crate::world::{CHALLENGE_PERIOD, World, no_tasks, quick, row, stays, until};
use microraiden_manager::{ChannelManager, CloseError, Config};
use microraiden_protocol::ledger::{CloseRefusal, Refusal};
use microraiden_protocol::{Balance, ChannelId, Phase};
use microraiden_store::{ChannelStore, HaltKind, SqliteStore, backup, inspect, restore};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A receiver whose state is backed up, used on, lost, and restored.
struct Receiver {
    world: World,
    folder: TempDir,
}

impl Receiver {
    async fn new() -> Self {
        Self {
            world: World::start().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A manager that sells on a channel with a deposit of 100, and was paid 40.
    async fn paid_forty(&self) -> (ChannelManager, ChannelId) {
        let store = self.world.file(&self.path("state"));
        let (manager, channel) = self.world.selling(store, 100).await;
        self.world.buy(&manager, channel, 40, 40).await;
        (manager, channel)
    }

    /// Beside the manager that uses the state.
    fn back_up(&self) {
        backup(&self.path("state"), &self.path("backup"), false).unwrap();
    }

    /// Ends the manager, loses its state, and restores the backup in its place.
    async fn lose_and_restore(&self, manager: ChannelManager) -> Arc<SqliteStore> {
        manager.stop().await;
        drop(manager);
        let path = self.path("state");
        fs::remove_file(&path).unwrap();
        restore(&self.path("backup"), &path).unwrap();
        self.world.file(&path)
    }
}

async fn is_marked(store: &dyn ChannelStore) -> bool {
    let halts = store.load().await.unwrap().halts;
    halts.iter().any(|halt| halt.kind == HaltKind::Restored)
}

#[tokio::test]
async fn a_stale_close_is_disputed_with_what_the_backup_has() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, channel) = receiver.paid_forty().await;
    receiver.back_up();
    world.buy(&manager, channel, 70, 30).await;
    let store = receiver.lose_and_restore(manager).await;
    // Meanwhile the chain goes on.
    world.close_at(&channel, 20).await;
    world.node.mine(3);
    let manager = world.manager(store.clone(), quick()).await;
    world.settled(&channel).await;
    // The payment of 30 is lost, and nothing else.
    assert_eq!(world.earned().await, 40.into());
    world.node.mine(1);
    no_tasks(&*store).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::ClosingOnly);
    assert!(is_marked(&*store).await);
    // The mark stays until the operator speaks.
    manager.stop().await;
    drop((manager, store));
    assert!(is_marked(&*world.file(&receiver.path("state"))).await);
}

#[tokio::test]
async fn a_promise_in_the_backup_is_kept() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, channel) = receiver.paid_forty().await;
    let signature = manager.close(world.close_request(channel, 40)).await.unwrap();
    receiver.back_up();
    let store = receiver.lose_and_restore(manager).await;
    let manager = world.manager(store.clone(), quick()).await;
    assert_eq!(world.refusal(&manager, channel, 50).await, Refusal::ClosingOnly);
    assert_eq!(manager.resume_selling().await, Ok(vec![HaltKind::Restored]));
    // A promise is no risk that one could accept.
    assert_eq!(world.refusal(&manager, channel, 50).await, Refusal::ClosePromised);
    let other = manager.close(world.close_request(channel, 39)).await;
    assert!(matches!(
        other,
        Err(CloseError::Refused(
            CloseRefusal::OtherPromise | CloseRefusal::WrongBalance
        ))
    ));
    let again = manager.close(world.close_request(channel, 40)).await;
    assert_eq!(again, Ok(signature));
}

#[tokio::test]
async fn a_dispute_in_the_backup_goes_on() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, channel) = receiver.paid_forty().await;
    let address = world.receiver.address();
    world.node.set_balance(address, "0".parse().unwrap());
    world.close_at(&channel, 0).await;
    world.node.mine(1);
    until("the dispute is durable", async || {
        !inspect(&receiver.path("state"))
            .unwrap()
            .snapshot
            .tasks
            .is_empty()
    })
    .await;
    receiver.back_up();
    let store = receiver.lose_and_restore(manager).await;
    assert_eq!(store.load().await.unwrap().tasks.len(), 1);
    assert_eq!(
        row(&*store, &channel).await.promise.unwrap().dispute(),
        Some(Balance::from(40))
    );
    let ether = 10_u64.pow(18).to_string();
    world.node.set_balance(address, ether.parse().unwrap());
    let _manager = world.manager(store, quick()).await;
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 40.into());
}

/// What was promised after the backup binds all the same: the sender has the signature.
#[tokio::test]
async fn a_promise_that_was_lost_is_no_obstacle_to_the_sender() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, channel) = receiver.paid_forty().await;
    receiver.back_up();
    world.buy(&manager, channel, 70, 30).await;
    let signature = manager.close(world.close_request(channel, 70)).await.unwrap();
    let store = receiver.lose_and_restore(manager).await;
    let manager = world.manager(store.clone(), quick()).await;
    assert_eq!(row(&*store, &channel).await.promise, None);

    let wallet = world.wallet(&world.sender);
    let proof = world.signature(&world.sender, channel, 70);
    let closed = world
        .contract
        .cooperative_close(&wallet, &channel, 70.into(), &proof, &signature);
    closed.await.unwrap();
    assert_eq!(world.earned().await, 70.into());
    world.node.mine(1);
    world.seen(&manager).await;
    let phase = row(&*store, &channel).await.facts.phase;
    assert!(matches!(phase, Phase::Settled { .. }), "{phase:?}");
    no_tasks(&*store).await;
}

/// It claims more than the restored state knows, so it is honest, and is left alone.
#[tokio::test]
async fn a_close_above_what_the_backup_has_is_not_disputed() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, channel) = receiver.paid_forty().await;
    receiver.back_up();
    world.buy(&manager, channel, 70, 30).await;
    let store = receiver.lose_and_restore(manager).await;
    let manager = world.manager(store.clone(), quick()).await;
    world.close_at(&channel, 70).await;
    world.node.mine(2);
    world.seen(&manager).await;
    stays("nothing is signed", async || {
        let promise = row(&*store, &channel).await.promise;
        promise.is_none() && store.load().await.unwrap().tasks.is_empty()
    })
    .await;
    world.node.mine(u64::from(CHALLENGE_PERIOD));
    let sender = world.wallet(&world.sender);
    let receiver = world.receiver.address();
    world.contract.settle(&sender, &channel).await.unwrap();
    assert_eq!(world.contract.token_balance(receiver).await.unwrap(), 70.into());
}

#[tokio::test]
async fn a_restored_state_sells_on_new_channels_only_until_the_operator_accepts_the_risk() {
    let receiver = Receiver::new().await;
    let world = &receiver.world;
    let (manager, old) = receiver.paid_forty().await;
    receiver.back_up();
    world.buy(&manager, old, 70, 30).await;
    // The backup knows nothing of this one, but what is restored may have sold on it.
    let between = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, between, 10, 10).await;
    let store = receiver.lose_and_restore(manager).await;
    let manager = world.manager(store.clone(), quick()).await;
    let new = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    for closed in [old, between] {
        assert_eq!(world.refusal(&manager, closed, 71).await, Refusal::ClosingOnly);
    }
    world.buy(&manager, new, 10, 10).await;
    manager.stop().await;
    drop((manager, store));

    // A restart accepts nothing, unless it is told to.
    let path = receiver.path("state");
    let manager = world.manager(world.file(&path), quick()).await;
    assert_eq!(world.refusal(&manager, old, 71).await, Refusal::ClosingOnly);
    manager.stop().await;
    drop(manager);
    let resuming = Config {
        resumes_selling: true,
        ..quick()
    };
    let manager = world.manager(world.file(&path), resuming).await;
    assert_eq!(manager.halts(), []);
    // The risk: the proof that was lost pays again.
    world.buy(&manager, old, 70, 30).await;
    manager.stop().await;
    drop(manager);
    assert!(!is_marked(&*world.file(&path)).await);
}
