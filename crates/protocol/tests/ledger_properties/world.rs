//! Everybody who acts on one channel. Whatever the ledger decides is compared with the naive one.

use crate::chain::Chain;
use crate::ensure;
use crate::fixture::{new_account, proof, writer};
use crate::line::{Close, Line, small};
use crate::rules::{Claimed, Request, Rules};
use crate::scenes::Op;
use microraiden_protocol::ledger::{
    Account, CloseRefusal, Limits, Payment, Refusal, ReleaseError, Spend, Writer,
};
use std::collections::BTreeMap;

/// Why the checker is not content.
pub(crate) type Complaint = String;

/// A request that the sender has signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) top: u64,
    pub(crate) payment: Payment,
    pub(crate) price: u64,
}

/// A spend in flight, and the units that it took.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) spend: Spend,
    units: Vec<u64>,
}

pub(crate) struct World<'a, R> {
    pub(crate) rules: &'a R,
    pub(crate) account: Account,
    pub(crate) line: Line,
    pub(crate) chain: Chain,
    window: u64,
    /// What has happened, and how often.
    pub(crate) met: BTreeMap<&'static str, u32>,
    queue: Vec<Signed>,
    delivered: Vec<Signed>,
    pub(crate) open: Vec<Open>,
    /// Spends that can no longer be released.
    closed: Vec<Spend>,
    signed: u64,
    pub(crate) served: u64,
    pub(crate) lost: u64,
    pub(crate) sequence: u64,
}

fn pick<T>(from: &[T], pick: usize) -> Option<usize> {
    pick.checked_rem(from.len())
}

impl<'a, R: Rules> World<'a, R> {
    pub(crate) fn new(rules: &'a R, deposit: u64, window: u64) -> Self {
        let chain = Chain::new(deposit);
        let account = new_account(chain.facts());
        let mut line = Line::default();
        line.observe(account.facts());
        Self {
            rules,
            account,
            line,
            chain,
            window,
            met: BTreeMap::new(),
            queue: Vec::new(),
            delivered: Vec::new(),
            open: Vec::new(),
            closed: Vec::new(),
            signed: 0,
            served: 0,
            lost: 0,
            sequence: 0,
        }
    }

    /// Does a step, and checks all that must hold after it.
    pub(crate) fn step(&mut self, op: &Op) -> Result<(), Complaint> {
        let before = self.account.clone();
        self.act(op)?;
        self.check(&before)?;
        self.note(&before);
        Ok(())
    }

    fn note(&mut self, before: &Account) {
        let row = self.account.row();
        let notes = [
            ("64 intervals", row.unspent.intervals().len() == 64),
            ("folded", row.refund > before.row().refund),
            ("impaired", self.account.is_impaired()),
            (
                "claims below the balance",
                self.best_proof().is_some_and(|best| best < small(row.balance)),
            ),
            (
                "a withdrawal was mined",
                row.facts.withdrawals.len() > before.facts().withdrawals.len(),
            ),
            (
                "a withdrawal vanished",
                row.facts.withdrawals.len() < before.facts().withdrawals.len(),
            ),
            (
                "the channel vanished",
                row.facts.unconfirmed_deposit < before.facts().deposit,
            ),
        ];
        for (what, _) in notes.iter().filter(|(_, is_met)| *is_met) {
            self.meet(what);
        }
    }

    fn act(&mut self, op: &Op) -> Result<(), Complaint> {
        match *op {
            Op::Sign { price, raise } => self.sign(price, raise),
            Op::Deliver { pick: at, old_form } => {
                if let Some(at) = pick(&self.queue, at) {
                    let signed = self.queue.swap_remove(at);
                    self.delivered.push(signed);
                    return self.deliver(signed, old_form);
                }
            }
            Op::Replay { pick: at, old_form } => {
                if let Some(at) = pick(&self.delivered, at) {
                    return self.deliver(self.delivered[at], old_form);
                }
            }
            Op::Wild { top, stated, price } => {
                let payment = stated.map_or(Payment::Increment, |paid| Payment::Stated(paid.into()));
                let top = self.around_balance(top);
                return self.pay(Signed { top, payment, price });
            }
            Op::Abandon { top, price } => return self.abandon(top, price),
            Op::Elsewhere { top, price } => return self.sell_elsewhere(top, price),
            Op::Charge { pick: at } => {
                if let Some(at) = pick(&self.open, at) {
                    let Open { spend, .. } = self.open.swap_remove(at);
                    self.served += small(spend.amount());
                    self.account.finish(&spend);
                }
            }
            Op::Release { pick: at } => return self.give_back(at, None),
            Op::SpendPartly { pick: at, cost } => return self.give_back(at, Some(cost)),
            Op::ReleaseAgain { pick: at, cost } => return self.release_again(at, cost),
            Op::CloseAt { credit_left, signed } => return self.close_at(credit_left, signed),
            Op::Dispute => return self.dispute(),
            Op::Withdraw => return self.withdraw(),
            Op::Restart => {
                self.account = self.rules.restart(&self.account);
                for Open { spend, .. } in self.open.drain(..) {
                    self.lost += small(spend.amount());
                    self.closed.push(spend);
                }
            }
            ref chain => self.change_chain(chain),
        }
        Ok(())
    }

    fn sign(&mut self, price: u64, raise: u64) {
        if self.queue.len() < 64 {
            self.signed = self.signed.max(self.line.balance()) + raise.clamp(1, price);
            let payment = Payment::Stated(price.into());
            self.queue.push(Signed {
                top: self.signed,
                payment,
                price,
            });
        }
    }

    fn deliver(&mut self, signed: Signed, old_form: bool) -> Result<(), Complaint> {
        let payment = if old_form {
            Payment::Increment
        } else {
            signed.payment
        };
        self.pay(Signed { payment, ..signed })
    }

    fn around_balance(&self, top: u64) -> u64 {
        (self.line.balance() + top).saturating_sub(24)
    }

    fn writer(&mut self) -> Writer {
        self.sequence += 1;
        writer(self.sequence)
    }

    fn request(&self, signed: Signed) -> Request {
        Request {
            proof: proof(signed.top),
            payment: signed.payment,
            price: signed.price.into(),
            limits: Limits {
                window: self.window.into(),
            },
        }
    }

    fn decide(&self, signed: Signed) -> Result<Vec<u64>, Refusal> {
        let facts = self.account.facts();
        self.line
            .decide(facts, signed.top, signed.payment, signed.price, self.window)
    }

    fn pay(&mut self, signed: Signed) -> Result<(), Complaint> {
        let expected = self.decide(signed);
        let by = self.writer();
        let decided = self.rules.accept(&self.account, &self.request(signed), by);
        match (decided, expected) {
            (Ok((after, spend)), Ok(units)) => {
                ensure!(
                    small(spend.amount()) == signed.price,
                    "sold {spend:?} for {}",
                    signed.price
                );
                self.sell(signed.top, &units)?;
                self.open.push(Open { spend, units });
                self.account = after;
                self.meet("sold");
                Ok(())
            }
            (Err(refusal), Err(expected)) if refusal == expected => {
                self.meet(refusal.code());
                Ok(())
            }
            (decided, expected) => Err(format!(
                "payment {signed:?}: {:?}, but {expected:?}",
                decided.map(|(_, spend)| spend)
            )),
        }
    }

    fn sell(&mut self, top: u64, units: &[u64]) -> Result<(), Complaint> {
        self.line
            .sell(top, units)
            .map_err(|unit| format!("unit {unit} is sold twice"))
    }

    fn abandon(&mut self, top: u64, price: u64) -> Result<(), Complaint> {
        let payment = Payment::Stated(price.into());
        let signed = Signed {
            top: self.around_balance(top),
            payment,
            price,
        };
        let by = self.writer();
        if let Ok((_, spend)) = self.rules.accept(&self.account, &self.request(signed), by) {
            self.closed.push(spend);
        }
        Ok(())
    }

    /// The other instance has the row, charges for what it sells, and we take its row over.
    fn sell_elsewhere(&mut self, top: u64, price: u64) -> Result<(), Complaint> {
        let payment = Payment::Stated(price.into());
        let signed = Signed {
            top: self.around_balance(top),
            payment,
            price,
        };
        let expected = self.decide(signed);
        let there = Account::from_row(self.account.row().clone()).map_err(|error| error.to_string())?;
        let by = self.writer();
        if let (Ok((after, spend)), Ok(units)) =
            (self.rules.accept(&there, &self.request(signed), by), expected)
        {
            self.sell(signed.top, &units)?;
            self.served += small(spend.amount());
            self.account = self
                .account
                .reload(after.row().clone(), self.account.version().number)
                .map_err(|error| error.to_string())?;
            self.closed.push(spend);
            self.meet("sold elsewhere");
        }
        Ok(())
    }

    fn give_back(&mut self, at: usize, cost: Option<u64>) -> Result<(), Complaint> {
        let Some(at) = pick(&self.open, at) else {
            return Ok(());
        };
        let by = self.writer();
        let Open { spend, units } = &self.open[at];
        let amount = small(spend.amount());
        let after = match cost {
            None => self.rules.release(&self.account, spend, by),
            Some(cost) => self.rules.spend_partly(&self.account, spend, cost.into(), by),
        };
        match after {
            Err(ReleaseError::CostAbovePayment) if cost > Some(amount) => Ok(()),
            Ok(after) if cost <= Some(amount) => {
                let cost = cost.unwrap_or(0);
                self.line.give_back(units, cost);
                self.served += cost;
                self.account = after;
                self.closed.push(self.open.swap_remove(at).spend);
                self.meet("released");
                Ok(())
            }
            decided => Err(format!("{spend:?} released at {cost:?}: {decided:?}")),
        }
    }

    fn release_again(&mut self, at: usize, cost: Option<u64>) -> Result<(), Complaint> {
        let Some(at) = pick(&self.closed, at) else {
            return Ok(());
        };
        let by = self.writer();
        let spend = &self.closed[at];
        let cost = cost.filter(|cost| *cost <= small(spend.amount()));
        let after = match cost {
            None => self.rules.release(&self.account, spend, by),
            Some(cost) => self.rules.spend_partly(&self.account, spend, cost.into(), by),
        };
        ensure!(
            after == Err(ReleaseError::NotOpen),
            "{spend:?} released again: {after:?}"
        );
        Ok(())
    }

    fn close_at(&mut self, credit_left: u64, signed: bool) -> Result<(), Complaint> {
        let at = (self.line.balance() + 8).saturating_sub(credit_left);
        let expected = self.line.decide_close(self.account.facts(), at);
        let signature = signed.then(|| proof(at).signature());
        let by = self.writer();
        let claim = self.rules.close_at(&self.account, at.into(), signature, by);
        let stored = self
            .account
            .row()
            .proofs
            .iter()
            .any(|stored| small(stored.balance) == at);
        if let (Ok(claimed), Ok(repeated)) = (&claim, expected) {
            let known = self.line.closing.filter(|_| repeated);
            let is_signed = known.map_or(stored, |closing| closing.signed) || signed;
            ensure!(
                claimed.sender_signature.is_some() == is_signed,
                "the sender's signature: {claimed:?}"
            );
            self.line.closing = Some(Close {
                at,
                signed: is_signed,
            });
        }
        self.take_claim("close", claim, expected.map(|_| at))
    }

    pub(crate) fn best_proof(&self) -> Option<u64> {
        self.account
            .best_proof(self.account.facts().deposit)
            .map(|best| small(best.balance))
    }

    fn dispute(&mut self) -> Result<(), Complaint> {
        let expected = self.line.decide_dispute(self.account.facts(), self.best_proof());
        let is_new = self.line.disputed.is_none();
        let by = self.writer();
        let claim = self.rules.dispute(&self.account, by);
        if let Ok(at) = expected {
            self.line.disputed = Some(at);
            ensure!(
                !is_new || self.chain.contract().accepts_close(at),
                "the contract refuses a dispute at {at}"
            );
        }
        self.take_claim("dispute", claim, expected)
    }

    fn withdraw(&mut self) -> Result<(), Complaint> {
        let expected = self.line.decide_withdraw(self.account.facts(), self.best_proof());
        let by = self.writer();
        let claim = self.rules.withdraw(&self.account, by);
        if let Ok(at) = expected {
            self.line.sent_withdrawals.insert(at);
            ensure!(
                self.chain.contract().accepts_withdraw(at),
                "the contract refuses to withdraw {at}"
            );
        }
        self.take_claim("withdrawal", claim, expected)
    }

    fn take_claim(
        &mut self,
        what: &'static str,
        claim: Result<Claimed, CloseRefusal>,
        expected: Result<u64, CloseRefusal>,
    ) -> Result<(), Complaint> {
        match (claim, expected) {
            (Ok(claimed), Ok(at)) if small(claimed.balance) == at => {
                if let Some(signature) = claimed.sender_signature {
                    ensure!(
                        signature == proof(at).signature(),
                        "{what} at {at} with another signature"
                    );
                }
                if let Some(after) = claimed.after {
                    self.account = after;
                    self.meet(what);
                }
                Ok(())
            }
            (Err(refusal), Err(expected)) if refusal == expected => Ok(()),
            (claim, expected) => Err(format!("{what}: {claim:?}, but {expected:?}")),
        }
    }

    fn change_chain(&mut self, op: &Op) {
        match *op {
            Op::Mine { blocks } => self.chain.mine(blocks),
            Op::Rewind { blocks } => self.chain.rewind(blocks),
            Op::Create { deposit } => self.chain.create(deposit),
            Op::TopUp { added } => self.chain.top_up(added),
            Op::RequestClose { closing_balance } => self.chain.request_close(closing_balance),
            Op::Settle => self.chain.settle(),
            Op::MineClose => {
                let promised = self.line.disputed.or(self.line.closing.map(|closing| closing.at));
                if let Some(at) = promised {
                    self.chain.close_cooperatively(at);
                }
            }
            Op::MineWithdrawal { pick } => {
                let sent: Vec<u64> = self.line.sent_withdrawals.iter().copied().collect();
                if let Some(at) = pick.checked_rem(sent.len()) {
                    self.chain.withdraw(sent[at]);
                }
            }
            _ => {}
        }
        let facts = self.chain.facts();
        self.line.observe(&facts);
        let by = self.writer();
        self.account = self.rules.observe(&self.account, facts, by);
    }

    pub(crate) fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }
}
