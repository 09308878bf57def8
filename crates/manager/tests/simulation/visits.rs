//! The ways of customers to the programs, and what they get there.

use crate::customers::{Ending, Purses, Request};
use crate::life::Program;
use crate::stage::{Stage, small};
use crate::witness::Sale;
use crate::world::World;
use microraiden_manager::{ChannelManager, Denied, Permit};
use microraiden_protocol::{ChannelId, Price};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// How a customer asks.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// In which place first.
    place: usize,
    /// How often, where there is no answer, or nothing for now.
    tries: usize,
    pause: Duration,
    /// For how long the customer waits for a permit.
    patience: Option<Duration>,
}

impl World {
    /// The program that somebody comes to who asks about a channel.
    pub(crate) fn program_for(&mut self, channel: &ChannelId) -> Option<Program> {
        let place = self.place_for(channel);
        self.stage.program(place)
    }

    fn place_for(&mut self, channel: &ChannelId) -> usize {
        match self.stage.terms.affinity {
            true => channel.open_block as usize % self.starts.len(),
            false => self.rng.usize(..self.starts.len()),
        }
    }

    /// Sends a request on its way; sometimes twice, to two programs.
    pub(crate) fn send_customers(&mut self, request: Request, purses: &Purses) {
        let is_shared = self.stage.terms.instances > 0;
        let first = self.place_for(&request.offer.channel);
        let times = match is_shared && self.rng.u8(..8) == 0 {
            true => 2,
            false => 1,
        };
        for place in first..first + times {
            let manner = Manner {
                place,
                tries: if is_shared { self.rng.usize(1..=3) } else { 1 },
                pause: Duration::from_millis(self.rng.u64(..2000)),
                patience: (is_shared && self.rng.u8(..16) == 0)
                    .then(|| Duration::from_millis(self.rng.u64(..80))),
            };
            let visit = request.visit(self.stage.clone(), purses.clone(), manner);
            self.visits.spawn(visit);
        }
    }
}

impl Request {
    async fn visit(self, stage: Arc<Stage>, purses: Purses, manner: Manner) {
        sleep(self.way).await;
        for attempt in 0..manner.tries {
            if attempt > 0 {
                sleep(manner.pause).await;
            }
            let Some(program) = stage.program(manner.place + attempt) else {
                continue;
            };
            let (answer, answered) = oneshot::channel();
            let served = self.serve(stage.clone(), program.manager, purses.clone(), manner, answer);
            program.requests.lock().unwrap().spawn(served);
            match answered.await {
                Ok(true) => return,
                Ok(false) => stage.witness().met("asked again after nothing for now", 1),
                Err(_) => stage.witness().met("asked again after no answer", 1),
            }
        }
    }

    /// In the program; answers whether there is nothing to be asked for any more.
    async fn serve(
        self,
        stage: Arc<Stage>,
        manager: ChannelManager,
        purses: Purses,
        manner: Manner,
        answer: oneshot::Sender<bool>,
    ) {
        let (channel, price) = (self.offer.channel, self.price);
        let top = small(self.offer.balance);
        let paying = manager.pay(self.offer, Price::from(price));
        let paid = match manner.patience {
            None => paying.await,
            Some(patience) => match timeout(patience, paying).await {
                Ok(paid) => paid,
                Err(_) => {
                    stage.note(format_args!("who pays {price} at {top} on {channel} has gone"));
                    stage.witness().customer_gone(channel, top);
                    return;
                }
            },
        };
        let is_final = !matches!(paid, Err(Denied::Unavailable(_)));
        match paid {
            Ok(permit) => self.use_up(&stage, permit, &purses).await,
            Err(denied) => self.denied(&stage, &denied, &purses),
        }
        let _ = answer.send(is_final);
    }

    fn denied(self, stage: &Stage, denied: &Denied, purses: &Purses) {
        let (channel, price, top) = (self.offer.channel, self.price, self.offer.balance);
        stage.note(format_args!(
            "{price} at {top} on {channel} is denied: {denied:?}"
        ));
        if self.pays {
            let mut purses = purses.lock().unwrap();
            purses.entry(channel).or_default().repeated.push(self);
        }
        let mut witness = stage.witness();
        match denied {
            Denied::Refused(refusal, _) => witness.met(refusal.code(), 1),
            Denied::Unavailable(_) => witness.met("unavailable", 1),
        }
    }

    async fn use_up(self, stage: &Stage, permit: Permit, purses: &Purses) {
        let (channel, price) = (self.offer.channel, self.price);
        let sale = Sale {
            channel,
            top: small(self.offer.balance),
            price,
        };
        stage.note(format_args!("{price} at {} on {channel} is permitted", sale.top));
        if !self.pays {
            stage
                .witness()
                .complain(format!("channel {channel}: a permit for nothing, {self:?}"));
        }
        let taken = stage.permitted(sale);
        let seen = *permit.receipt();
        let credit = |credit| purses.lock().unwrap().entry(channel).or_default().credit = small(credit);
        credit(seen.credit);
        sleep(self.work).await;
        let (list, receipt) = match self.ending {
            Ending::Delivered => (false, permit.charge()),
            Ending::Dropped => {
                drop(permit);
                (false, seen)
            }
            Ending::Metered(cost) => {
                stage.given_back(sale, taken, cost);
                (cost == 0, permit.charge_partly(cost.into()).await)
            }
            Ending::Failed => {
                stage.given_back(sale, taken, 0);
                (true, permit.release().await)
            }
        };
        stage.note(format_args!(
            "charged {} at {} on {channel}",
            receipt.cost, sale.top
        ));
        credit(receipt.credit);
        let mut purses = purses.lock().unwrap();
        let purse = purses.entry(channel).or_default();
        let list = if list {
            &mut purse.repeated
        } else {
            &mut purse.served
        };
        list.push(self);
    }
}
