//! What the sender remembers of a channel, and where on its line the next payment goes.
//!
//! The receiver sells each unit of the line once: a payment takes the unit of its balance and the
//! highest unsold ones below. So many payments may be in flight at a time when each raises the
//! balance by the whole price; one that is alone may raise it by less and use up credit.
//!
//! What was signed counts as gone: it is never taken back, whatever the receiver answers. Signing
//! again at or below it costs nothing more.

use microraiden_http::Receipt;
use microraiden_protocol::ledger::{Standing, StoredProof};
use microraiden_protocol::{Amount, Balance, BlockNumber, ChannelId, Deposit, Price};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// Where the channel is in its life, as far as the sender caused or saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// Payments can be made.
    Open,
    /// We asked for a close on chain; the challenge period runs.
    Settling,
    /// Settled on chain.
    Closed,
}

impl fmt::Display for ChannelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Settling => "settling",
            Self::Closed => "closed",
        })
    }
}

/// Everything that the sender must remember of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// The channel.
    pub channel: ChannelId,
    /// What the contract holds for it.
    pub deposit: Deposit,
    /// Where it is in its life.
    pub state: ChannelState,
    /// The highest balance that was ever signed, with its signature: the most that can be claimed.
    pub signed: Option<StoredProof>,
    /// The next payment raises the balance from here; below `signed` where a payment was refused.
    pub position: Balance,
    /// What the receiver says can be used up below the position.
    pub credit: Amount,
    /// What the receiver says counts at the close only.
    pub refund: Amount,
    /// What is owed for requests that were served, or whose answers are known to be lost.
    pub served: Balance,
    /// Balances of proofs that were sent and never answered, with what each pays.
    pub unanswered: BTreeMap<Balance, Amount>,
    /// Whether the receiver's balance is known; not for a channel that was only found on chain.
    pub synced: bool,
    /// The block at which deposit and state were last seen on chain.
    pub seen: BlockNumber,
    /// The receiver's signature for a close: it has promised to take this balance.
    pub agreed: Option<StoredProof>,
    /// The origin of the server that is paid with it, as a URL.
    pub server: Option<Url>,
}

impl ChannelRecord {
    /// A channel as the chain shows it at a block.
    pub fn found(channel: ChannelId, deposit: Deposit, seen: BlockNumber) -> Self {
        Self {
            channel,
            deposit,
            state: ChannelState::Open,
            signed: None,
            position: Balance::ZERO,
            credit: Amount::ZERO,
            refund: Amount::ZERO,
            served: Balance::ZERO,
            unanswered: BTreeMap::new(),
            synced: false,
            seen,
            agreed: None,
            server: None,
        }
    }

    /// The highest balance that was ever signed.
    pub fn signed_balance(&self) -> Balance {
        self.signed.map_or(Balance::ZERO, |proof| proof.balance)
    }

    /// What is left of the deposit for new payments.
    pub fn remaining(&self) -> Amount {
        self.deposit
            .limit()
            .checked_since(self.position)
            .unwrap_or_default()
    }

    /// What the receiver may have served: what it did, and what was never answered. Never more
    /// than was signed.
    pub fn owed(&self) -> Balance {
        let owed = self
            .unanswered
            .values()
            .try_fold(self.served, |owed, pays| owed.checked_add(*pays));
        owed.unwrap_or(Balance::MAX).min(self.signed_balance())
    }
}

/// A payment's place on the line, before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The cumulative balance to sign.
    pub(crate) top: Balance,
    /// What it pays.
    pub(crate) pays: Amount,
    /// By how much it raises the most that was ever signed, or is about to be.
    pub(crate) exposure: Amount,
    raise: Amount,
}

/// The deposit does not cover a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// By how much a payment raises the balance.
    pub(crate) needed: Amount,
}

/// A signed payment whose outcome is open.
#[derive(Debug)]
pub(crate) struct Pending {
    plan: Plan,
    /// Nothing else was in flight when it was signed.
    alone: bool,
    /// Its number among all signed on this channel.
    number: u64,
    /// The same proof was sent before and never answered.
    pub(crate) resent: bool,
}

/// The record with what only this process knows.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) record: ChannelRecord,
    in_flight: usize,
    numbers: u64,
    /// The highest place that is taken: signed already, or about to be.
    taken: Balance,
}

impl Line {
    pub(crate) fn new(record: ChannelRecord) -> Self {
        Self {
            record,
            in_flight: 0,
            numbers: 0,
            taken: Balance::ZERO,
        }
    }

    /// Where a payment of `price` goes. Only a receiver that knows what a payment states can be
    /// paid out of credit.
    pub(crate) fn plan(&self, price: Price, credit_allowed: bool) -> Result<Plan, Shortfall> {
        let record = &self.record;
        let pays = Amount::from(price);
        // At least one unit is new: the unit of the balance must be unsold.
        let most_credit = pays.checked_sub(Amount::from(1)).unwrap_or_default();
        let credit = if credit_allowed && self.in_flight == 0 {
            record.credit.min(most_credit)
        } else {
            Amount::ZERO
        };
        let raise = pays.checked_sub(credit).unwrap_or_default();
        if raise > record.remaining() {
            return Err(Shortfall { needed: raise });
        }
        let top = record.position.checked_add(raise).unwrap_or(Balance::MAX);
        let exposed = record.signed_balance().max(self.taken);
        let exposure = top.checked_since(exposed).unwrap_or_default();
        Ok(Plan {
            top,
            pays,
            exposure,
            raise,
        })
    }

    /// Takes a payment's place on the line. It counts as unanswered until its outcome is told.
    pub(crate) fn take(&mut self, plan: Plan) -> Pending {
        self.taken = self.taken.max(plan.top);
        let record = &mut self.record;
        record.position = plan.top;
        let used_credit = plan.pays.checked_sub(plan.raise).unwrap_or_default();
        record.credit = record.credit.checked_sub(used_credit).unwrap_or_default();
        let resent = record.unanswered.insert(plan.top, plan.pays).is_some();
        let pending = Pending {
            plan,
            alone: self.in_flight == 0,
            number: self.numbers,
            resent,
        };
        self.in_flight += 1;
        self.numbers += 1;
        pending
    }

    /// The payment in this place is signed: from now on it can be claimed.
    pub(crate) fn signed(&mut self, proof: StoredProof) {
        if proof.balance > self.record.signed_balance() {
            self.record.signed = Some(proof);
        }
    }

    /// The receiver took the payment, and says in its receipt what it charged; gives what counts.
    pub(crate) fn served(&mut self, pending: &Pending, receipt: Option<&Receipt>) -> Amount {
        let plan = &pending.plan;
        self.answered(plan.top);
        let cost = receipt.map_or(plan.pays, |receipt| receipt.cost.min(plan.pays));
        let unused = plan.pays.checked_sub(cost).unwrap_or_default();
        let record = &mut self.record;
        record.served = record.served.checked_add(cost).unwrap_or(Balance::MAX);
        // Others in flight may lie below the receipt's balance and look like credit in it.
        match receipt {
            Some(receipt) if pending.alone && pending.number + 1 == self.numbers => {
                record.credit = receipt.credit;
                record.refund = receipt.refund;
            }
            _ => record.credit = record.credit.checked_add(unused).unwrap_or(Amount::MAX),
        }
        record.synced = true;
        cost
    }

    /// The receiver kept the payment, and its answer is lost.
    pub(crate) fn lost(&mut self, pending: &Pending) -> Amount {
        self.answered(pending.plan.top);
        let pays = pending.plan.pays;
        self.record.served = self.record.served.checked_add(pays).unwrap_or(Balance::MAX);
        pays
    }

    /// The receiver refused the payment: the next one takes its place.
    pub(crate) fn refused(&mut self, pending: &Pending) {
        self.answered(pending.plan.top);
        self.give_back(&pending.plan);
    }

    /// Nobody answered. The next payment takes the place, so that the proof is shown again; if it
    /// was taken after all, the receiver will say so.
    pub(crate) fn unanswered(&mut self, pending: &Pending) {
        self.in_flight -= 1;
        self.give_back(&pending.plan);
    }

    /// Takes over what the receiver has proved to know; the caller has checked its signature.
    pub(crate) fn adopt(&mut self, standing: &Standing) {
        let record = &mut self.record;
        if let Some(signature) = standing.signature
            && standing.balance > record.signed_balance()
        {
            // Another program has signed with this key.
            record.signed = Some(StoredProof {
                balance: standing.balance,
                signature,
            });
            record.position = standing.balance;
        }
        record.synced = true;
        // With others in flight it is old already.
        if self.in_flight == 0 {
            record.position = standing.balance;
            record.credit = standing.credit;
            record.refund = standing.refund;
            record.served = standing
                .balance
                .checked_sub(standing.credit)
                .and_then(|rest| rest.checked_sub(standing.refund))
                .unwrap_or_default();
            record.unanswered.clear();
        }
    }

    /// Whether no payment is in flight.
    pub(crate) fn is_quiet(&self) -> bool {
        self.in_flight == 0
    }

    /// Takes over what is known from before a restart: of a payment that was on its way then,
    /// nobody here can tell what became of it.
    pub(crate) fn resumed(record: ChannelRecord) -> Self {
        let mut line = Self::new(record);
        line.record.synced &= line.record.unanswered.is_empty();
        line
    }

    fn answered(&mut self, top: Balance) {
        self.in_flight -= 1;
        self.record.unanswered.remove(&top);
    }

    fn give_back(&mut self, plan: &Plan) {
        let record = &mut self.record;
        // Unless another payment has built on it.
        if record.position == plan.top {
            record.position = plan.top.checked_sub(plan.raise).unwrap_or_default();
            let used_credit = plan.pays.checked_sub(plan.raise).unwrap_or_default();
            record.credit = record.credit.checked_add(used_credit).unwrap_or(Amount::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::{Address, ProofScheme, SecretKey};

    struct Table {
        line: Line,
        key: SecretKey,
        scheme: ProofScheme,
    }

    impl Table {
        fn new(deposit: u64) -> Self {
            let key = SecretKey::from_bytes(&[0xa0; 32]).unwrap();
            let channel = ChannelId {
                sender: key.address(),
                receiver: Address::repeat_byte(1),
                open_block: 1,
            };
            let contract = Address::repeat_byte(0xcc);
            Self {
                line: Line::new(ChannelRecord::found(channel, deposit.into(), BlockNumber(1))),
                key,
                scheme: ProofScheme::DraftTypedData { contract },
            }
        }

        fn pay(&mut self, price: u64) -> Pending {
            let plan = self.line.plan(price.into(), true).unwrap();
            self.take(plan)
        }

        fn take(&mut self, plan: Plan) -> Pending {
            let pending = self.line.take(plan);
            let channel = self.line.record.channel;
            let proof = self.scheme.sign_balance_proof(&self.key, channel, plan.top);
            self.line.signed(StoredProof {
                balance: plan.top,
                signature: proof.signature,
            });
            pending
        }

        fn receipt(&self, cost: u64, credit: u64) -> Receipt {
            Receipt {
                sender: self.key.address(),
                balance: self.line.record.position,
                cost: cost.into(),
                credit: credit.into(),
                refund: Amount::ZERO,
            }
        }

        fn check(&self, position: u64, signed: u64, served: u64, credit: u64) {
            let record = &self.line.record;
            let state = (
                record.position,
                record.signed_balance(),
                record.served,
                record.credit,
            );
            assert_eq!(
                state,
                (position.into(), signed.into(), served.into(), credit.into())
            );
        }
    }

    #[test]
    fn many_in_flight_each_raise_by_the_price() {
        let mut table = Table::new(100);
        let payments = [table.pay(5), table.pay(5), table.pay(5)];
        table.check(15, 15, 0, 0);
        assert_eq!(table.line.record.owed(), 15.into());
        // The receiver saw the last one first: ten units look unsold to it.
        for (payment, credit) in payments.iter().zip([0, 5, 10]).rev() {
            let receipt = table.receipt(5, credit);
            assert_eq!(table.line.served(payment, Some(&receipt)), 5.into());
        }
        table.check(15, 15, 15, 0);
        assert!(table.line.record.unanswered.is_empty());
    }

    #[test]
    fn what_is_about_to_be_signed_is_exposed_once() {
        let mut table = Table::new(100);
        for _ in 0..3 {
            let plan = table.line.plan(5.into(), true).unwrap();
            assert_eq!(plan.exposure, 5.into());
            let _ = table.line.take(plan);
        }
        table.check(15, 0, 0, 0);
    }

    #[test]
    fn credit_is_used_by_one_alone_and_never_wholly() {
        let mut table = Table::new(100);
        let first = table.pay(5);
        let receipt = table.receipt(0, 5);
        table.line.served(&first, Some(&receipt));
        table.check(5, 5, 0, 5);
        let second = table.pay(5);
        table.check(6, 6, 0, 1);
        let third = table.pay(5);
        table.check(11, 11, 0, 1);
        table.line.served(&second, None);
        table.line.served(&third, None);
        table.check(11, 11, 10, 1);
        assert_eq!(table.line.record.owed(), 10.into());
    }

    #[test]
    fn a_receipt_cannot_charge_more_than_was_paid() {
        let mut table = Table::new(100);
        let payment = table.pay(5);
        let receipt = table.receipt(50, 0);
        assert_eq!(table.line.served(&payment, Some(&receipt)), 5.into());
        table.check(5, 5, 5, 0);
    }

    #[test]
    fn the_place_of_an_unanswered_payment_is_taken_by_the_next_with_the_same_proof() {
        let mut table = Table::new(100);
        let first = table.pay(5);
        assert!(!first.resent);
        table.line.unanswered(&first);
        table.check(0, 5, 0, 0);
        assert_eq!(table.line.record.owed(), 5.into());
        let plan = table.line.plan(5.into(), true).unwrap();
        assert_eq!((plan.top, plan.exposure), (5.into(), Amount::ZERO));
        let again = table.take(plan);
        assert!(again.resent);
        assert_eq!(table.line.lost(&again), 5.into());
        table.check(5, 5, 5, 0);
        assert_eq!(table.line.record.owed(), 5.into());
    }

    #[test]
    fn a_refused_payment_gives_its_place_back_unless_another_built_on_it() {
        let mut table = Table::new(100);
        let (first, second) = (table.pay(5), table.pay(5));
        table.line.refused(&first);
        table.check(10, 10, 0, 0);
        table.line.refused(&second);
        table.check(5, 10, 0, 0);
        assert_eq!(table.line.record.owed(), Balance::ZERO);
    }

    #[test]
    fn a_standing_is_adopted_when_nothing_is_in_flight() {
        let mut table = Table::new(100);
        let standing = Standing {
            balance: 40.into(),
            signature: Some(table.key.sign(Default::default())),
            credit: 7.into(),
            refund: 3.into(),
        };
        table.line.adopt(&standing);
        table.check(40, 40, 30, 7);
        let payment = table.pay(5);
        table.check(41, 41, 30, 3);
        table.line.adopt(&Standing {
            balance: 4.into(),
            ..standing
        });
        table.check(41, 41, 30, 3);
        table.line.served(&payment, None);
        table.check(41, 41, 35, 3);
    }

    #[test]
    fn nothing_is_planned_above_the_deposit() {
        let mut table = Table::new(12);
        let _ = (table.pay(5), table.pay(5));
        assert_eq!(
            table.line.plan(5.into(), true),
            Err(Shortfall { needed: 5.into() })
        );
        assert_eq!(table.line.plan(2.into(), true).unwrap().top, 12.into());
    }
}
