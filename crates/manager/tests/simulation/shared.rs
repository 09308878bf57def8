//! The store that several lives of the receiver's program write: one connection to what they share.

use crate::disk::{Answer, Parcel};
use crate::life::Life;
use crate::stage::Stage;
use crate::weather::one_of;
use fastrand::Rng;
use microraiden_protocol::ChannelId;
use microraiden_store::{
    Batch, Bid, BoxFuture, Changes, ChannelStore, Held, Hold, Leadership, MemoryInstance, Purpose, Reading,
    SharedStore, Snapshot, StoreError, Ticket,
};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

/// How much later a statement that was lost sight of is carried out, in milliseconds.
const LATE: u64 = 3000;

/// What waits to be sent.
enum Waiting {
    Batch(Parcel),
    /// Resolves when everything before it was answered.
    Barrier(Answer),
}

/// What becomes of a batch at which the connection breaks.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Stored,
    Lost,
    Late,
}

/// A store behind a connection that may break, and that a program which hangs does not see to.
pub(crate) struct SharedFront {
    me: Weak<Self>,
    stage: Arc<Stage>,
    life: Arc<Life>,
    instance: Arc<MemoryInstance>,
    waiting: Mutex<VecDeque<Waiting>>,
    bell: Notify,
    rng: Mutex<Rng>,
    /// The lead as it was last told, if it is ours.
    lead: Mutex<Option<Leadership>>,
    /// Those who wait for an answer that never comes.
    lost: Mutex<Vec<Answer>>,
}

fn away() -> StoreError {
    let cause = Arc::new(io::Error::other("there is no connection"));
    StoreError::Away { cause }
}

fn unknown() -> StoreError {
    let cause = Arc::new(io::Error::other("the connection broke"));
    StoreError::Unknown { cause }
}

impl SharedFront {
    pub(crate) fn new(stage: Arc<Stage>, life: Arc<Life>, rng: Rng) -> Arc<Self> {
        let instance = Arc::new(stage.disk().store.instance());
        let front = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            stage,
            life,
            instance,
            waiting: Mutex::default(),
            bell: Notify::new(),
            rng: Mutex::new(rng),
            lead: Mutex::default(),
            lost: Mutex::default(),
        });
        tokio::spawn(front.clone().run());
        front
    }

    async fn travel(&self, most: u64) {
        let time = self.rng.lock().unwrap().u64(1..most);
        self.life.travel(Duration::from_millis(time)).await;
    }

    /// A way there or back.
    async fn reach(&self) -> Result<(), StoreError> {
        self.travel(20).await;
        match self.stage.is_away() {
            true => Err(away()),
            false => Ok(()),
        }
    }

    fn parcel(&self, batch: Batch) -> (Parcel, oneshot::Receiver<Result<(), StoreError>>) {
        let (answer, written) = oneshot::channel();
        let parcel = Parcel {
            batch,
            life: self.life.clone(),
            instance: self.instance.clone(),
            fence: self.lead.lock().unwrap().map(|lead| lead.fence),
            answer,
        };
        (parcel, written)
    }

    /// Whether the connection breaks at a batch, and what becomes of that.
    fn breaks(&self) -> Option<Outcome> {
        let breaking = self.stage.weather().breaking;
        let mut rng = self.rng.lock().unwrap();
        let mut breaks = one_of(&mut rng, breaking);
        if self.life.breaks_at_this_batch() {
            breaks = true;
            if rng.u8(..3) == 0 {
                self.stage.blink(Duration::from_millis(rng.u64(1..500)));
            }
        }
        let any = [Outcome::Stored, Outcome::Lost, Outcome::Late];
        breaks.then(|| *rng.choice(&any).unwrap())
    }

    fn lose_sight(&self, batch: &Batch, outcome: Outcome, send: impl FnOnce(&Stage) + Send + 'static) {
        self.stage.witness().lost_sight(batch, &self.life);
        self.stage.note(format_args!(
            "life {} loses sight of a batch: {outcome:?}",
            self.life.number
        ));
        let what = match outcome {
            Outcome::Stored => "unknown outcomes: stored",
            Outcome::Lost => "unknown outcomes: lost",
            Outcome::Late => "unknown outcomes: stored later, if at all",
        };
        self.stage.witness().met(what, 1);
        match outcome {
            Outcome::Stored => send(&self.stage),
            Outcome::Lost => {}
            Outcome::Late => {
                let late = Duration::from_millis(self.rng.lock().unwrap().u64(1..LATE));
                let stage = self.stage.clone();
                tokio::spawn(async move {
                    sleep(late).await;
                    send(&stage);
                });
            }
        }
    }

    /// Writes groups of what waits, until the program has died.
    async fn run(self: Arc<Self>) {
        loop {
            self.travel(25).await;
            let waiting = self.waiting.lock().unwrap().len();
            if waiting == 0 {
                self.bell.notified().await;
                continue;
            }
            let group = self.rng.lock().unwrap().usize(1..=waiting);
            self.write(group).await;
        }
    }

    async fn write(&self, count: usize) {
        let group: Vec<_> = self.waiting.lock().unwrap().drain(..count).collect();
        let (mut is_broken, mut sent) = (self.stage.is_away(), Vec::new());
        let (mut refused, mut doubted) = (Vec::new(), Vec::new());
        for next in group {
            match next {
                Waiting::Batch(Parcel { answer, .. }) | Waiting::Barrier(answer) if is_broken => {
                    refused.push(answer);
                }
                Waiting::Barrier(answer) => sent.push((None, answer)),
                Waiting::Batch(parcel) => {
                    let Parcel { batch, answer, .. } = parcel;
                    let (parcel, written) = self.parcel_of(batch, parcel.fence);
                    if let Some(outcome) = self.breaks() {
                        is_broken = true;
                        let shown = parcel.batch.clone();
                        self.lose_sight(&shown, outcome, |stage| stage.send_parcel(parcel));
                        doubted.push(answer);
                    } else {
                        self.stage.send_parcel(parcel);
                        sent.push((Some(written), answer));
                    }
                }
            }
        }
        if is_broken {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
            refused.extend(waiting.into_iter().map(|waiting| match waiting {
                Waiting::Batch(Parcel { answer, .. }) | Waiting::Barrier(answer) => answer,
            }));
        }
        for (written, answer) in sent {
            let Some(written) = written else {
                let _ = answer.send(Ok(()));
                continue;
            };
            let written = written.await.unwrap();
            self.tell(answer, written).await;
        }
        for answer in doubted {
            let _ = answer.send(Err(unknown()));
        }
        for answer in refused {
            let _ = answer.send(Err(away()));
        }
    }

    /// Brings an answer back, unless the connection is lost meanwhile.
    async fn tell(&self, answer: Answer, written: Result<(), StoreError>) {
        let reached = self.reach().await;
        let _ = answer.send(match reached {
            Ok(()) => written,
            Err(_) => {
                self.stage.witness().met("unknown outcomes: in the air", 1);
                Err(unknown())
            }
        });
    }

    /// The program has died: some of what waited is durable, in its order, and the rest is lost.
    pub(crate) fn crash(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        let durable = self.rng.lock().unwrap().usize(..=waiting.len());
        for (at, waiting) in waiting.into_iter().enumerate() {
            match waiting {
                Waiting::Batch(parcel) if at < durable => {
                    let Parcel {
                        batch, answer, fence, ..
                    } = parcel;
                    self.stage.send_parcel(self.parcel_of(batch, fence).0);
                    self.lost.lock().unwrap().push(answer);
                }
                Waiting::Batch(Parcel { answer, .. }) => {
                    self.stage.witness().met("lost batches", 1);
                    self.lost.lock().unwrap().push(answer);
                }
                Waiting::Barrier(answer) => self.lost.lock().unwrap().push(answer),
            }
        }
    }

    /// The same batch, answered to somebody else.
    fn parcel_of(
        &self,
        batch: Batch,
        fence: Option<u64>,
    ) -> (Parcel, oneshot::Receiver<Result<(), StoreError>>) {
        let (parcel, written) = self.parcel(batch);
        (Parcel { fence, ..parcel }, written)
    }

    /// Whether the store says that this program leads.
    pub(crate) fn leads(&self) -> bool {
        self.lead.lock().unwrap().is_some_and(|lead| lead.is_ours)
    }

    /// Counts a write; whether the program dies at it.
    fn dies(&self) -> bool {
        let dies = self.life.dies_at_this_write();
        if dies {
            self.stage
                .note(format_args!("life {} dies at this write", self.life.number));
            self.crash();
        }
        dies
    }

    async fn ask(&self, bid: Bid) -> Result<Leadership, StoreError> {
        let told = *self.lead.lock().unwrap();
        if let (Some(lead), Bid::Lead(_), true) = (told, bid, self.life.clock_stands()) {
            self.travel(20).await;
            return Ok(lead);
        }
        self.reach().await?;
        let lead = self.instance.bid(bid).await?;
        self.stage.led(&self.life, &lead);
        self.reach().await?;
        *self.lead.lock().unwrap() = Some(lead).filter(|lead| lead.is_ours);
        Ok(lead)
    }
}

impl ChannelStore for SharedFront {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            self.reach().await?;
            self.reach().await?;
            self.stage.settle();
            self.stage.told_of_halts(&self.life);
            let snapshot = self.instance.load().await?;
            Ok(self.stage.disk().loaded(snapshot))
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (parcel, written) = self.parcel(batch);
        if !self.life.is_alive() {
            self.lost.lock().unwrap().push(parcel.answer);
            return Ok(written.into());
        }
        let busy = self.stage.weather().busy;
        if one_of(&mut self.rng.lock().unwrap(), busy) {
            return Err(StoreError::Busy);
        }
        self.waiting.lock().unwrap().push_back(Waiting::Batch(parcel));
        self.bell.notify_one();
        self.dies();
        Ok(written.into())
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        Some(self)
    }
}

impl SharedStore for SharedFront {
    fn hold(&self, channels: Vec<ChannelId>, purpose: Purpose) -> BoxFuture<'_, Result<Held, StoreError>> {
        Box::pin(async move {
            let (answer, passed) = oneshot::channel();
            self.waiting.lock().unwrap().push_back(Waiting::Barrier(answer));
            self.bell.notify_one();
            match passed.await {
                Ok(passed) => passed?,
                // It has died.
                Err(_) => std::future::pending().await,
            }
            self.reach().await?;
            let Held { rows, hold } = self.instance.hold(channels.clone(), purpose).await?;
            self.stage.settle();
            let what = match purpose {
                Purpose::Sale => "turns",
                Purpose::Chain => "holds for the chain",
            };
            self.stage.witness().met(what, 1);
            self.reach().await?;
            self.stage.witness().looked(&channels, &self.life);
            let hold = Box::new(SharedHold {
                front: self.me.upgrade().unwrap(),
                hold,
            });
            Ok(Held { rows, hold })
        })
    }

    fn changes(&self, reading: Reading) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            self.reach().await?;
            self.reach().await?;
            if self.life.is_deaf() {
                return Err(away());
            }
            self.stage.settle();
            self.stage.told_of_halts(&self.life);
            self.instance.changes(reading).await
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.instance.changed().await;
            self.travel(20).await;
        })
    }

    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>> {
        Box::pin(self.ask(bid))
    }
}

/// Accounts that are held behind the connection.
struct SharedHold {
    front: Arc<SharedFront>,
    hold: Box<dyn Hold>,
}

impl Hold for SharedHold {
    fn commit(self: Box<Self>, batch: Batch) -> Ticket {
        let Self { front, hold } = *self;
        let (answer, ticket) = oneshot::channel();
        if !front.life.is_alive() {
            front.lost.lock().unwrap().push(answer);
            return ticket.into();
        }
        let (parcel, written) = front.parcel(batch);
        if front.dies() {
            front.lost.lock().unwrap().push(answer);
            if front.rng.lock().unwrap().bool() {
                front.stage.send_held(parcel, hold);
            }
            return ticket.into();
        }
        tokio::spawn({
            let front = front.clone();
            async move {
                if let Err(error) = front.reach().await {
                    drop(hold);
                    let _ = answer.send(Err(error));
                } else if let Some(outcome) = front.breaks() {
                    let shown = parcel.batch.clone();
                    front.lose_sight(&shown, outcome, |stage| stage.send_held(parcel, hold));
                    let _ = answer.send(Err(unknown()));
                } else {
                    front.stage.send_held(parcel, hold);
                    front.tell(answer, written.await.unwrap()).await;
                }
            }
        });
        ticket.into()
    }
}
