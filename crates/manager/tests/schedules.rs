//! Payments, releases, a close and the chain at once, in schedules that are explored rather than
//! only happen: every lock and atomic of the manager is a point where another may go on.
//!
//! Run by `cargo xtask test`, or alone:
//! `cargo test --release -p microraiden-manager --features shuttle --test schedules`. A failure
//! prints its schedule; `SHUTTLE_RANDOM_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Wallet};
use microraiden_devchain::DevChain;
use microraiden_manager::schedules::{Bug, plant};
use microraiden_manager::{Asker, ChannelManager, CloseError, CloseRequest, Config, Denied, Offer, Permit};
use microraiden_protocol::ledger::{Account, AccountRow, CloseRefusal, Payment, Promise, Refusal, Writer};
use microraiden_protocol::{
    Amount, Balance, ChainFacts, ChannelId, Deposit, Phase, Price, SecretKey, Signature,
};
use microraiden_store::{Batch, BoxFuture, ChannelStore, Snapshot, StoreError, Ticket};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

const SCHEDULES: usize = 4_000;
const PRICE: u64 = 5;
/// How many different balances are paid with: few, so that payers meet.
const BALANCES: usize = 8;

/// What every schedule begins with; made once, outside of all.
struct Stage {
    contract: Contract,
    wallet: Wallet,
    receiver: SecretKey,
    channel: ChannelId,
    /// The sender's for 5, 10, 15, …
    signatures: Vec<Signature>,
}

impl Stage {
    fn get() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(Self::set())
        })
    }

    async fn set() -> Self {
        let chain = DevChain::start(microraiden_devchain::Config::default())
            .await
            .unwrap();
        let key =
            |account: usize| SecretKey::from_bytes(chain.accounts()[account].secret_key.as_slice()).unwrap();
        let node = Node::connect(&chain.url().parse().unwrap()).await.unwrap();
        let deployer = Wallet::new(node.clone(), key(0));
        let params = TokenParams {
            supply: "1000000".parse().unwrap(),
            name: "TestToken".to_owned(),
            symbol: "TKN".to_owned(),
            decimals: 18,
        };
        let (token, _) = deploy::token(&deployer, params).await.unwrap();
        let (channels, _) = deploy::channels(&deployer, token, 500).await.unwrap();
        let contract = Contract::at(node.clone(), channels).await.unwrap();
        let (receiver, sender) = (key(1), key(2));
        let channel = ChannelId {
            sender: sender.address(),
            receiver: receiver.address(),
            open_block: 1,
        };
        let sign = |nth: usize| {
            let balance = Balance::from(nth as u64 * PRICE);
            contract
                .scheme()
                .sign_balance_proof(&sender, channel, balance)
                .signature
        };
        Self {
            signatures: (1..=BALANCES).map(sign).collect(),
            wallet: Wallet::new(node, receiver.clone()),
            contract,
            receiver,
            channel,
        }
    }

    fn signature(&self, balance: u64) -> Signature {
        self.signatures[usize::try_from(balance / PRICE).unwrap() - 1]
    }

    fn offer(&self, balance: u64) -> Offer {
        Offer {
            channel: self.channel,
            balance: balance.into(),
            signature: Ok(self.signature(balance)),
            payment: Payment::Stated(PRICE.into()),
        }
    }
}

/// A store whose writer takes what waits in groups, makes a group durable, and answers later.
struct Queue {
    state: Mutex<State>,
    bell: Condvar,
}

struct State {
    durable: AccountRow,
    waiting: VecDeque<(Batch, oneshot::Sender<Result<(), StoreError>>)>,
    closed: bool,
}

impl Queue {
    fn new(row: AccountRow) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                durable: row,
                waiting: VecDeque::new(),
                closed: false,
            }),
            bell: Condvar::new(),
        })
    }

    fn durable(&self) -> AccountRow {
        self.state.lock().unwrap().durable.clone()
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.bell.notify_one();
    }

    /// The writer's thread.
    fn write(&self) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.waiting.is_empty() {
                if state.closed {
                    return;
                }
                state = self.bell.wait(state).unwrap();
            }
            let size = thread_rng().gen_range(1..=state.waiting.len());
            let group: Vec<_> = state.waiting.drain(..size).collect();
            drop(state);
            {
                let mut state = self.state.lock().unwrap();
                for transition in group.iter().flat_map(|(batch, _)| &batch.transitions) {
                    let before = state.durable.version;
                    assert_eq!(transition.before(), Some(before), "decided on another version");
                    state.durable = transition.after().row().clone();
                }
            }
            for (_, answer) in group {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(()));
                thread::yield_now();
            }
        }
    }
}

impl ChannelStore for Queue {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async { Ok(Snapshot::default()) })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (answer, ticket) = oneshot::channel();
        self.state.lock().unwrap().waiting.push_back((batch, answer));
        self.bell.notify_one();
        Ok(ticket.into())
    }
}

/// Everything that the threads of one schedule share.
#[derive(Clone)]
struct Scene {
    stage: &'static Stage,
    manager: ChannelManager,
    store: Arc<Queue>,
    /// What was paid and not given back.
    kept: Arc<AtomicU64>,
    /// A closing signature has left.
    signed: Arc<AtomicBool>,
}

impl Scene {
    fn set() -> Self {
        let stage = Stage::get();
        let deposit = Deposit::from(1_000);
        let facts = ChainFacts {
            phase: Phase::Open,
            deposit,
            unconfirmed_deposit: deposit,
            ..ChainFacts::default()
        };
        let nobody = Writer {
            instance: 0,
            sequence: 0,
        };
        let account = Account::open(stage.channel, facts, nobody).into_after();
        let store = Queue::new(account.row().clone());
        let config = Config {
            // The time of the system does not count in a schedule.
            node_timeout: Duration::from_secs(100_000),
            ..Config::default()
        };
        let manager = ChannelManager::unfollowed(
            stage.contract.clone(),
            stage.wallet.clone(),
            stage.receiver.clone(),
            store.clone(),
            config,
            vec![account],
        );
        Self {
            stage,
            manager,
            store,
            kept: Arc::default(),
            signed: Arc::default(),
        }
    }

    fn keep(&self, cost: Amount) {
        let cost: u64 = cost.to_string().parse().unwrap();
        self.kept.fetch_add(cost, Ordering::SeqCst);
    }

    /// Pays twice, with whatever becomes of it.
    fn pay(&self) {
        for _ in 0..2 {
            let balance = thread_rng().gen_range(1..=BALANCES) as u64 * PRICE;
            let ended = self.signed.load(Ordering::SeqCst);
            let paying = self.manager.pay(self.stage.offer(balance), Price::from(PRICE));
            let result = if thread_rng().gen_ratio(1, 6) {
                // The client goes away while it waits for the disk.
                match pin!(paying).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        self.keep(PRICE.into());
                        continue;
                    }
                }
            } else {
                block_on(paying)
            };
            match result {
                Ok(permit) => {
                    assert!(!ended, "sold after the closing signature had left");
                    self.deliver(permit, balance);
                }
                Err(Denied::Refused(refusal, _)) => {
                    let close = refusal == Refusal::ClosePromised;
                    let taken = matches!(refusal, Refusal::AlreadySpent | Refusal::NotCovered);
                    assert!(close || taken && !ended, "{refusal:?}");
                }
                Err(Denied::Unavailable(why)) => panic!("{why}"),
            }
        }
    }

    fn deliver(&self, permit: Permit, balance: u64) {
        let durable = self.store.durable();
        let unit = Balance::from(balance);
        let is_sold = durable.balance >= unit && !durable.unspent.contains(unit);
        assert!(is_sold, "a permit for {unit} that is not durable: {durable:?}");
        assert_eq!(permit.receipt().cost, Amount::from(PRICE));
        match thread_rng().gen_range(0..5) {
            0 | 1 => self.keep(permit.charge().cost),
            2 => self.keep(block_on(permit.charge_partly(2.into())).cost),
            3 => self.keep(block_on(permit.release()).cost),
            _ => {
                self.keep(permit.receipt().cost);
                drop(permit);
            }
        }
    }

    /// Asks for a close at the balance, a few times or never.
    fn close(&self) {
        for _ in 0..thread_rng().gen_range(0..4) {
            let balance = self.manager.channel(&self.stage.channel).unwrap().balance;
            if balance.is_zero() {
                thread::yield_now();
                continue;
            }
            let balance: u64 = balance.to_string().parse().unwrap();
            let request = CloseRequest {
                channel: self.stage.channel,
                balance: balance.into(),
                asker: Asker::Sender {
                    signature: self.stage.signature(balance),
                    other: None,
                },
            };
            match block_on(self.manager.close(request)) {
                Ok(_) => {
                    let promise = self.store.durable().promise;
                    let at = promise
                        .as_ref()
                        .and_then(Promise::closing)
                        .map(|closing| closing.at);
                    assert_eq!(at, Some(balance.into()), "a promise that is not durable");
                    self.signed.store(true, Ordering::SeqCst);
                }
                Err(CloseError::Refused(CloseRefusal::WrongBalance | CloseRefusal::OtherPromise)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The chain shows top-ups.
    fn observe(&self) {
        for deposit in [2_000u64, 3_000] {
            let ticket = self.manager.observe(&self.stage.channel, |facts| {
                facts.deposit = deposit.into();
                facts.unconfirmed_deposit = deposit.into();
            });
            block_on(ticket.unwrap().unwrap()).unwrap();
        }
    }

    /// What must hold when everybody is done.
    fn check(&self) {
        let account = self.manager.account(&self.stage.channel).unwrap();
        let row = account.row();
        assert_eq!(*row, self.store.durable(), "memory and store differ");
        assert_eq!(account.in_flight(), 0);
        let spent = account.spent();
        let kept = Balance::from(self.kept.load(Ordering::SeqCst));
        assert_eq!(spent, kept, "what was kept is not what is spent: {row:?}");
        let sum = spent.checked_add(row.unspent.total()).unwrap();
        assert_eq!(sum.checked_add(row.refund), Some(row.balance), "{row:?}");
        if let Some(closing) = row.promise.as_ref().and_then(Promise::closing) {
            assert!(spent <= closing.at && closing.at <= row.balance, "{row:?}");
        }
    }
}

/// One schedule of everything.
fn play() -> Scene {
    let scene = Scene::set();
    let writer = {
        let store = scene.store.clone();
        thread::spawn(move || store.write())
    };
    let roles: [fn(&Scene); 6] = [
        Scene::pay,
        Scene::pay,
        Scene::pay,
        Scene::pay,
        Scene::close,
        Scene::observe,
    ];
    let threads: Vec<_> = roles
        .into_iter()
        .map(|role| {
            let scene = scene.clone();
            thread::spawn(move || role(&scene))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    scene.store.close();
    writer.join().unwrap();
    scene.check();
    scene
}

/// What came up in the schedules.
#[derive(Debug, Default)]
struct Seen {
    schedules: AtomicUsize,
    /// With a closing signature.
    closed: AtomicUsize,
    /// With credit left at the end.
    credit: AtomicUsize,
    /// With nothing left of what was sold.
    nothing: AtomicUsize,
}

impl Seen {
    fn note(&self, scene: &Scene) {
        let row = scene.store.durable();
        let count =
            |counter: &AtomicUsize, holds: bool| counter.fetch_add(usize::from(holds), Ordering::Relaxed);
        count(&self.closed, row.promise.is_some());
        count(&self.credit, !row.unspent.is_empty());
        count(&self.nothing, row.spent() == Some(Balance::ZERO));
    }
}

/// Plays schedules with a bug planted, or none.
fn explore(scheduler: impl Scheduler + 'static, bug: Option<Bug>, seen: &Arc<Seen>) {
    let mut config = shuttle::Config::new();
    config.stack_size = 512 << 10;
    config.silence_warnings = true;
    let seen = seen.clone();
    Stage::get();
    shuttle::Runner::new(scheduler, config).run(move || {
        seen.schedules.fetch_add(1, Ordering::Relaxed);
        plant(bug);
        seen.note(&play());
    });
}

#[test]
fn no_schedule_sells_twice_or_before_the_disk_or_after_the_promise() {
    for (what, pct) in [("at random", false), ("by priorities", true)] {
        let begin = std::time::Instant::now();
        let seen = Arc::new(Seen::default());
        if pct {
            explore(PctScheduler::new(3, SCHEDULES), None, &seen);
        } else {
            explore(RandomScheduler::new(SCHEDULES), None, &seen);
        }
        println!("{what}, in {:?}: {seen:?}", begin.elapsed());
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        assert_eq!(count(&seen.schedules), SCHEDULES);
        // What the checks are about did come up, and did not always.
        for counter in [&seen.closed, &seen.credit] {
            assert!((SCHEDULES / 20..SCHEDULES).contains(&count(counter)), "{seen:?}");
        }
    }
}

#[test]
fn bugs_that_are_planted_are_found() {
    for bug in [Bug::UnlocksBeforeInstall, Bug::PermitBeforeDurable] {
        let seen = Arc::new(Seen::default());
        let explore = || explore(RandomScheduler::new(SCHEDULES), Some(bug), &seen);
        let found = catch_unwind(AssertUnwindSafe(explore)).is_err();
        println!("{bug:?}: found after {:?} schedules", seen.schedules);
        assert!(found, "{bug:?} is not found");
    }
}
