//! A busy honest sender: thousands of metered requests, 64 in flight, arriving and ending in any
//! order. A refused one is signed again, and must get through.

use crate::ensure;
use crate::fixture::{new_account, open_facts, proof, writer};
use crate::line::small;
use crate::rules::{Request, Rules};
use crate::world::Complaint;
use microraiden_protocol::ledger::{Account, Limits, Payment, Refusal, Spend, Writer};

const IN_FLIGHT: usize = 64;
/// Whoever must come first is among 64, and comes next with one chance in 128 at least: more
/// refusals in a row are a jam.
const MOST_IN_A_ROW: u32 = 4_000;

/// One request's luck: what it is authorised for, what it costs of that, who comes next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Luck {
    pub(crate) price: u64,
    pub(crate) cost: u64,
    pub(crate) pick: usize,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trade {
    pub(crate) requests: usize,
    pub(crate) refusals: u32,
    pub(crate) most_refusals: u32,
    pub(crate) most_intervals: usize,
    pub(crate) credit: u64,
    pub(crate) refund: u64,
    pub(crate) spent: u64,
}

/// A signed request on its way.
#[derive(Debug, Clone, Copy)]
struct Signed {
    top: u64,
    luck: Luck,
    refusals: u32,
}

struct Market<'a, R> {
    rules: &'a R,
    account: Account,
    limits: Limits,
    sequence: u64,
    /// The highest balance that the sender has signed.
    signed: u64,
    /// What the sender was told last.
    told: (u64, u64),
    on_the_way: Vec<Signed>,
    served: Vec<(Luck, Spend)>,
    trade: Trade,
    costs: u64,
    /// Refusals since something was accepted.
    in_a_row: u32,
}

/// Trades until each request was served.
///
/// # Errors
/// When a request does not get through, or the sums are wrong.
pub(crate) fn trade<R: Rules>(rules: &R, luck: &[Luck], window: u64) -> Result<Trade, Complaint> {
    let mut market = Market {
        rules,
        account: new_account(open_facts(u64::MAX)),
        limits: Limits {
            window: window.into(),
        },
        sequence: 0,
        signed: 0,
        told: (0, 0),
        on_the_way: Vec::new(),
        served: Vec::new(),
        trade: Trade::default(),
        costs: 0,
        in_a_row: 0,
    };
    let mut picks = luck.iter().map(|luck| luck.pick).cycle();
    for luck in luck {
        market.sign(*luck);
        while market.on_the_way.len() + market.served.len() >= IN_FLIGHT {
            market.go_on(picks.next().unwrap_or(0))?;
        }
    }
    while !market.on_the_way.is_empty() || !market.served.is_empty() {
        market.go_on(picks.next().unwrap_or(0))?;
    }
    market.finish(luck.len())
}

impl<R: Rules> Market<'_, R> {
    fn writer(&mut self) -> Writer {
        self.sequence += 1;
        writer(self.sequence)
    }

    /// Signs for the price less the credit that no request on the way may need.
    fn sign(&mut self, luck: Luck) {
        let (balance, credit) = self.told;
        let needed: u64 = self.on_the_way.iter().map(|signed| signed.luck.price).sum();
        let raise = luck.price.saturating_sub(credit.saturating_sub(needed)).max(1);
        self.signed = self.signed.max(balance) + raise;
        self.on_the_way.push(Signed {
            top: self.signed,
            luck,
            refusals: 0,
        });
    }

    /// What to do about a refusal: wait while others have to come first, else sign for the whole
    /// price; if nothing signed before can still arrive, then from the balance on.
    fn sign_again(&mut self, refused: Signed, refusal: Refusal) {
        let balance = small(self.account.balance());
        let mut again = Signed {
            refusals: refused.refusals + 1,
            ..refused
        };
        let is_lowest = self.on_the_way.iter().all(|other| other.top > refused.top);
        if is_lowest || refusal != Refusal::WindowExceeded {
            let from = if is_lowest {
                balance
            } else {
                self.signed.max(balance)
            };
            again.top = from + refused.luck.price;
            self.signed = self.signed.max(again.top);
        }
        self.on_the_way.push(again);
    }

    /// A request arrives, or one that was served ends.
    fn go_on(&mut self, pick: usize) -> Result<(), Complaint> {
        let both = self.on_the_way.len() + self.served.len();
        let at = pick % both;
        if at < self.on_the_way.len() {
            let signed = self.on_the_way.swap_remove(at);
            self.arrive(signed)?;
        } else {
            let (luck, spend) = self.served.swap_remove(at - self.on_the_way.len());
            let by = self.writer();
            self.account = self
                .rules
                .spend_partly(&self.account, &spend, luck.cost.into(), by)
                .map_err(|error| error.to_string())?;
            self.costs += luck.cost;
        }
        let row = self.account.row();
        self.told = (small(row.balance), small(row.unspent.total()));
        self.trade.most_intervals = self.trade.most_intervals.max(row.unspent.intervals().len());
        let in_flight: u64 = self.served.iter().map(|(_, spend)| small(spend.amount())).sum();
        let (spent, owed) = (small(self.account.spent()), self.costs + in_flight);
        ensure!(spent == owed, "spent is {spent}, not {owed}");
        Ok(())
    }

    fn arrive(&mut self, signed: Signed) -> Result<(), Complaint> {
        let request = Request {
            proof: proof(signed.top),
            payment: Payment::Stated(signed.luck.price.into()),
            price: signed.luck.price.into(),
            limits: self.limits,
        };
        let by = self.writer();
        match self.rules.accept(&self.account, &request, by) {
            Ok((after, spend)) => {
                self.account = after;
                self.in_a_row = 0;
                self.served.push((signed.luck, spend));
            }
            Err(refusal) => {
                self.trade.refusals += 1;
                self.trade.most_refusals = self.trade.most_refusals.max(signed.refusals + 1);
                self.in_a_row += 1;
                ensure!(self.in_a_row < MOST_IN_A_ROW, "jammed: {signed:?}: {refusal}");
                self.sign_again(signed, refusal);
            }
        }
        Ok(())
    }

    fn finish(mut self, requests: usize) -> Result<Trade, Complaint> {
        let row = self.account.row();
        self.trade.requests = requests;
        self.trade.credit = small(row.unspent.total());
        self.trade.refund = small(row.refund);
        self.trade.spent = small(self.account.spent());
        ensure!(
            self.trade.spent == self.costs,
            "{:?}, but the costs are {}",
            self.trade,
            self.costs
        );
        Ok(self.trade)
    }
}
