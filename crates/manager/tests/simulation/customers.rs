//! The senders as customers: they pay, in every way that there is, and in some that there is not.

use crate::stage::Stage;
use crate::world::World;
use fastrand::Rng;
use microraiden_manager::Offer;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Payment;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What senders remember of their channels.
pub(crate) type Purses = Arc<Mutex<BTreeMap<ChannelId, Purse>>>;

#[derive(Debug, Default)]
pub(crate) struct Purse {
    /// The highest balance signed.
    signed: u64,
    /// What the receiver has said can be used up.
    pub(crate) credit: u64,
    /// Requests that were served, and those to be repeated: they were denied, or given back.
    pub(crate) served: Vec<Request>,
    pub(crate) repeated: Vec<Request>,
}

/// A request for content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) offer: Offer,
    pub(crate) price: u64,
    /// Whether it is a payment; a permit for anything else is a loss.
    pub(crate) pays: bool,
    pub(crate) ending: Ending,
    /// How long it takes to come, and the content to be made.
    pub(crate) way: Duration,
    pub(crate) work: Duration,
}

/// What becomes of the content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Delivered,
    Metered(u64),
    Failed,
    /// The client has gone.
    Dropped,
}

impl World {
    /// Some requests at once on one channel.
    pub(crate) fn shop(&mut self) {
        let Some(channel) = self.any_channel() else { return };
        let found = self.stage.chain().contract().channels.get(&channel).copied();
        let deposit = found.map_or(0, |found| found.deposit.to());
        let purses = self.purses.clone();
        let mut all = purses.lock().unwrap();
        let purse = all.entry(channel).or_default();
        let count = match self.stage.terms.is_rush {
            true => self.rng.usize(1..=12),
            false => *self.rng.choice(&[1, 1, 2, 3, 6]).unwrap(),
        };
        let requests: Vec<_> = (0..count)
            .map(|_| purse.request(&self.stage, channel, deposit, &mut self.rng))
            .collect();
        let is_used_up = found.is_some() && purse.signed + 20 > deposit;
        drop(all);
        for request in requests {
            self.send_customers(request, &purses);
        }
        if is_used_up && self.rng.bool() {
            self.top_up(channel);
        }
    }

    /// A channel of any sender, nearly always one that exists.
    fn any_channel(&mut self) -> Option<ChannelId> {
        if self.rng.u8(..20) == 0 {
            let purses = self.purses.lock().unwrap();
            return self.rng.choice(purses.keys()).copied();
        }
        if let Some(newest) = self.newest.filter(|_| self.rng.u8(..3) == 0) {
            return Some(newest);
        }
        self.existing()
    }
}

impl Purse {
    fn request(&mut self, stage: &Stage, channel: ChannelId, deposit: u64, rng: &mut Rng) -> Request {
        let again = |requests: &[Request], rng: &mut Rng| rng.choice(requests).copied();
        match rng.u8(..20) {
            0 | 1 => {
                // What was given back buys again.
                if let Some(again) = again(&self.repeated, rng) {
                    return again;
                }
            }
            2 => {
                if let Some(again) = again(&self.served, rng) {
                    return again;
                }
            }
            3 | 4 => return self.nonsense(stage, channel, deposit, rng),
            _ => {}
        }
        let price = rng.u64(1..=20);
        let raise = if self.credit > 0 && rng.bool() {
            let least = price.saturating_sub(self.credit).max(1);
            rng.u64(least..=price)
        } else {
            price
        };
        if self.signed + raise > deposit {
            // Nothing is left to pay with.
            return self.nonsense(stage, channel, deposit, rng);
        }
        self.signed += raise;
        let is_rush = stage.terms.is_rush;
        let payment = if raise == price && rng.u8(..4) == 0 {
            Payment::Increment
        } else {
            Payment::Stated(price.into())
        };
        Request {
            offer: offer(stage, channel, self.signed, payment),
            price,
            pays: true,
            ending: match rng.u8(..if is_rush { 4 } else { 8 }) {
                0 => Ending::Failed,
                1 => Ending::Metered(rng.u64(..=price)),
                2 => Ending::Dropped,
                _ => Ending::Delivered,
            },
            way: Duration::from_millis(rng.u64(..if is_rush { 150 } else { 3000 })),
            work: Duration::from_millis(match is_rush {
                true => rng.u64(..100),
                false => *rng.choice(&[0, 0, 5, 500, 20_000]).unwrap(),
            }),
        }
    }

    /// What must not buy anything, or not yet.
    fn nonsense(&self, stage: &Stage, channel: ChannelId, deposit: u64, rng: &mut Rng) -> Request {
        let (price, next) = (rng.u64(2..=20), self.signed + 5);
        let stated = |payment: u64| Payment::Stated(payment.into());
        let (kind, mut wrong) = (rng.u8(..4), offer(stage, channel, next, stated(price)));
        match kind {
            0 => wrong.payment = stated(price - 1),
            1 => wrong.payment = stated(0),
            2 => wrong.signature = Ok(stage.proof(channel, next + 1)),
            _ => wrong = offer(stage, channel, deposit.max(self.signed) + price, stated(price)),
        }
        Request {
            offer: wrong,
            price,
            // Where a top-up comes in time, the last kind is a payment after all.
            pays: kind == 3,
            ending: Ending::Delivered,
            way: Duration::from_millis(rng.u64(..3000)),
            work: Duration::ZERO,
        }
    }
}

fn offer(stage: &Stage, channel: ChannelId, balance: u64, payment: Payment) -> Offer {
    Offer {
        channel,
        balance: balance.into(),
        signature: Ok(stage.proof(channel, balance)),
        payment,
    }
}
