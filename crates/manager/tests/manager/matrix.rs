//! Reorganisations, case by case: whatever happens on chain vanishes, moves or comes back, while the manager
//! runs or is down, with and without confirmations. In the end it knows what a new one reads from the chain.

use crate::world::{World, quick, row};
use microraiden_chain::TransactionError;
use microraiden_manager::{ChannelManager, Config};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{ChainFacts, ChannelId, Phase, Signature};
use microraiden_store::{ChannelStore, MemoryStore};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Opening,
    TopUp,
    CloseRequest,
    Withdrawal,
    Settlement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Vanishes,
    /// To a later block.
    Moves,
    /// Into the block where it was.
    ComesBack,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    kind: Kind,
    fate: Fate,
    is_restarted: bool,
    n_confirmations: u64,
}

/// One case as it goes.
struct Play {
    case: Case,
    world: World,
    store: Arc<MemoryStore>,
    manager: Option<ChannelManager>,
    /// Opened and paid with before.
    channel: ChannelId,
    /// Given before, where it settles.
    closing: Option<Signature>,
}

impl Case {
    fn config(self) -> Config {
        Config {
            n_confirmations: self.n_confirmations,
            ..quick()
        }
    }

    /// Whether a channel's facts show what happened to it.
    fn is_shown(self, facts: &ChainFacts) -> bool {
        match self.kind {
            Kind::Opening => facts.phase == Phase::Open,
            Kind::TopUp => facts.deposit == 150.into(),
            Kind::CloseRequest => matches!(facts.phase, Phase::Challenged { .. }),
            Kind::Withdrawal => facts.withdrawals == [40.into()],
            Kind::Settlement => matches!(facts.phase, Phase::Settled { .. }),
        }
    }
}

impl Play {
    async fn begin(case: Case) -> Self {
        let world = World::start().await;
        let store = world.memory();
        let manager = world.manager(store.clone(), case.config()).await;
        let channel = world.open(100).await;
        world.node.mine(1);
        world.seen(&manager).await;
        world.buy(&manager, channel, 40, 40).await;
        let mut closing = None;
        if case.kind == Kind::Settlement {
            let request = world.close_request(channel, 40);
            closing = Some(manager.close(request).await.unwrap());
        }
        Self {
            case,
            world,
            store,
            manager: Some(manager),
            channel,
            closing,
        }
    }

    /// Does what the case is about; the channel that it happens to.
    async fn happen(&self) -> Result<ChannelId, TransactionError> {
        let (world, channel) = (&self.world, &self.channel);
        let proof = world.signature(&world.sender, *channel, 40);
        match self.case.kind {
            Kind::Opening => return Ok(world.open(60).await),
            Kind::TopUp => world.top_up(channel, 50).await,
            Kind::CloseRequest => world.close_at(channel, 40).await,
            Kind::Withdrawal => {
                let wallet = world.wallet(&world.receiver);
                let contract = &world.contract;
                contract.withdraw(&wallet, channel, 40.into(), &proof).await?;
            }
            Kind::Settlement => {
                let wallet = world.wallet(&world.stranger);
                let closing = self.closing.unwrap();
                let contract = &world.contract;
                let settling = contract.cooperative_close(&wallet, channel, 40.into(), &proof, &closing);
                settling.await?;
            }
        }
        Ok(*channel)
    }

    async fn stop(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.stop().await;
        }
    }

    /// The manager, started again if it is down, when it has seen everything; it may sell again.
    async fn caught_up(&mut self) -> ChannelManager {
        if self.manager.is_none() {
            let manager = self.world.manager(self.store.clone(), self.case.config());
            self.manager = Some(manager.await);
        }
        let manager = self.manager.clone().unwrap();
        self.world.seen(&manager).await;
        manager.resume_selling().await.unwrap();
        manager
    }

    /// Goes back before it happened, on another branch of some blocks, and remembers that place too.
    fn fork(&self, before: u64, blocks: u64) -> u64 {
        assert!(self.world.node.revert(before));
        let before = self.world.node.snapshot();
        self.world.node.mine(blocks);
        before
    }

    /// All accounts are as a manager that begins now reads them from the chain; proofs and promises are kept.
    async fn agrees(&self) {
        let fresh = self.world.memory();
        let reader = self.world.manager(fresh.clone(), self.case.config()).await;
        self.world.seen(&reader).await;
        reader.stop().await;
        let read = fresh.load().await.unwrap().accounts;
        assert!(!read.is_empty());
        let kept = self.store.load().await.unwrap().accounts;
        for account in &kept {
            let channel = account.channel();
            let found = read.iter().find(|found| found.channel() == channel);
            let facts = found.map(|found| found.facts().clone()).unwrap_or_default();
            assert_eq!(*account.facts(), facts, "{:?}", self.case);
        }
        let is_kept = |channel| kept.iter().any(|account| account.channel() == channel);
        assert!(read.iter().all(|found| is_kept(found.channel())));
        let account = row(&*self.store, &self.channel).await;
        assert_eq!(account.proofs.len(), 1, "{:?}", self.case);
        assert_eq!(account.balance, 40.into());
        let promised = account.promise.and_then(|promise| promise.closing().copied());
        assert_eq!(promised.is_some(), self.closing.is_some(), "{:?}", self.case);
    }

    /// What can be bought on a channel is what its facts allow.
    async fn sells_only_where_it_may(&self, manager: &ChannelManager, channel: ChannelId) {
        let kept = row(&*self.store, &channel).await;
        let refused = match kept.facts.phase {
            Phase::Challenged { .. } => Refusal::Challenged,
            _ if kept.promise.is_some() => Refusal::ClosePromised,
            Phase::Pending => Refusal::Unconfirmed,
            Phase::Settled { .. } => Refusal::Settled,
            Phase::Open => return,
        };
        assert_eq!(self.world.refusal(manager, channel, 50).await, refused);
    }
}

async fn play(case: Case) {
    let mut play = Play::begin(case).await;
    let before = play.world.node.snapshot();
    let mut channel = play.happen().await.unwrap();
    play.world.node.mine(1);
    let manager = play.caught_up().await;
    assert!(
        case.is_shown(&row(&*play.store, &channel).await.facts),
        "{case:?}"
    );
    play.sells_only_where_it_may(&manager, channel).await;
    if case.kind == Kind::Opening {
        play.world.buy(&manager, channel, 10, 10).await;
    }
    drop(manager);

    if case.is_restarted {
        play.stop().await;
    }
    match case.fate {
        Fate::Vanishes => _ = play.fork(before, 4),
        Fate::Moves => {
            play.fork(before, 2);
            let moved = play.happen().await.unwrap();
            assert_eq!(moved == channel, case.kind != Kind::Opening);
            if case.kind == Kind::Opening {
                // The one that was paid with is gone.
                let manager = play.caught_up().await;
                assert_eq!(row(&*play.store, &channel).await.facts, ChainFacts::default());
                play.sells_only_where_it_may(&manager, channel).await;
            }
            channel = moved;
            play.world.node.mine(4);
        }
        Fate::ComesBack => {
            let before = play.fork(before, 4);
            let manager = play.caught_up().await;
            let gone = row(&*play.store, &channel).await.facts;
            assert!(!case.is_shown(&gone), "{case:?}");
            play.sells_only_where_it_may(&manager, channel).await;
            drop(manager);
            if case.is_restarted {
                play.stop().await;
            }
            assert!(play.world.node.revert(before));
            assert_eq!(play.happen().await.unwrap(), channel);
            play.world.node.mine(8);
        }
    }

    let manager = play.caught_up().await;
    let facts = row(&*play.store, &channel).await.facts;
    let is_there = case.fate != Fate::Vanishes;
    assert_eq!(case.is_shown(&facts), is_there, "{case:?}: {facts:?}");
    play.sells_only_where_it_may(&manager, channel).await;
    play.agrees().await;
    if let Some(closing) = play.closing {
        let again = manager.close(play.world.close_request(channel, 40)).await;
        assert_eq!(again, Ok(closing), "{case:?}");
    } else if facts.phase == Phase::Open {
        play.world.buy(&manager, channel, 50, 10).await;
    }
}

async fn all(kind: Kind) {
    for fate in [Fate::Vanishes, Fate::Moves, Fate::ComesBack] {
        for is_restarted in [false, true] {
            for n_confirmations in [0, 1] {
                play(Case {
                    kind,
                    fate,
                    is_restarted,
                    n_confirmations,
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn openings() {
    all(Kind::Opening).await;
}

#[tokio::test]
async fn top_ups() {
    all(Kind::TopUp).await;
}

#[tokio::test]
async fn close_requests() {
    all(Kind::CloseRequest).await;
}

#[tokio::test]
async fn withdrawals() {
    all(Kind::Withdrawal).await;
}

#[tokio::test]
async fn settlements() {
    all(Kind::Settlement).await;
}
