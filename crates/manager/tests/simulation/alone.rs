//! The store that one life of the receiver's program writes, where nobody else does.

use crate::disk::shown;
use crate::life::Life;
use crate::stage::Stage;
use crate::weather::one_of;
use fastrand::Rng;
use microraiden_store::{Batch, BoxFuture, ChannelStore, Snapshot, StoreError, Ticket};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

type Waiting = (Batch, oneshot::Sender<Result<(), StoreError>>);

/// A store that writes in groups and after a while, and loses what it has not written when its
/// program dies.
pub(crate) struct AloneFront {
    stage: Arc<Stage>,
    life: Arc<Life>,
    waiting: Mutex<VecDeque<Waiting>>,
    bell: Notify,
    rng: Mutex<Rng>,
    /// Those who wait for an answer that never comes.
    lost: Mutex<Vec<oneshot::Sender<Result<(), StoreError>>>>,
}

impl AloneFront {
    pub(crate) fn new(stage: Arc<Stage>, life: Arc<Life>, rng: Rng) -> Arc<Self> {
        let front = Arc::new(Self {
            stage,
            life,
            waiting: Mutex::default(),
            bell: Notify::new(),
            rng: Mutex::new(rng),
            lost: Mutex::default(),
        });
        tokio::spawn(front.clone().run());
        front
    }

    /// Writes groups of what waits, until the program has died.
    async fn run(self: Arc<Self>) {
        while self.life.is_alive() {
            let pause = self.rng.lock().unwrap().u64(1..25);
            sleep(Duration::from_millis(pause)).await;
            let waiting = self.waiting.lock().unwrap().len();
            if waiting == 0 {
                tokio::select! {
                    biased;
                    () = self.life.death() => {}
                    () = self.bell.notified() => {}
                }
                continue;
            }
            let group = self.rng.lock().unwrap().usize(1..=waiting);
            self.write(group, true);
        }
    }

    /// Writes the first so many, and answers them or not.
    fn write(&self, count: usize, answers: bool) {
        if answers && !self.life.is_alive() {
            return;
        }
        let group: Vec<_> = self.waiting.lock().unwrap().drain(..count).collect();
        self.stage
            .note(format_args!("{count} batches are durable, answered: {answers}"));
        for (batch, answer) in group {
            let written = self.stage.disk().write(batch);
            if let Err(error) = &written {
                let complaint = format!("the store refuses a batch: {error}");
                self.stage.witness().complain(complaint);
            }
            if answers {
                let _ = answer.send(written);
            } else {
                self.lost.lock().unwrap().push(answer);
            }
        }
    }

    /// The program has died: some of what waited is durable, in its order, and the rest is lost.
    pub(crate) fn crash(&self) {
        let waiting = self.waiting.lock().unwrap().len();
        let durable = self.rng.lock().unwrap().usize(..=waiting);
        self.write(durable, false);
        let lost = self
            .waiting
            .lock()
            .unwrap()
            .drain(..)
            .map(|(_, answer)| answer)
            .collect::<Vec<_>>();
        self.stage.witness().met("lost batches", lost.len());
        self.lost.lock().unwrap().extend(lost);
    }
}

impl ChannelStore for AloneFront {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            let store = self.stage.disk().store.clone();
            let snapshot = store.load().await?;
            Ok(self.stage.disk().loaded(snapshot))
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (answer, ticket) = oneshot::channel();
        if !self.life.is_alive() {
            self.lost.lock().unwrap().push(answer);
            return Ok(ticket.into());
        }
        let busy = self.stage.weather().busy;
        if one_of(&mut self.rng.lock().unwrap(), busy) {
            return Err(StoreError::Busy);
        }
        self.stage.note(format_args!("handed in: {}", shown(&batch)));
        self.stage.witness().handed_in(&batch, &self.life);
        self.waiting.lock().unwrap().push_back((batch, answer));
        self.bell.notify_one();
        if self.life.dies_at_this_write() {
            self.stage.note(format_args!("the program dies at this write"));
            self.crash();
        }
        Ok(ticket.into())
    }
}
