//! The state of one channel's account, its invariants, and the transitions between states.

use super::refusal::Refusal;
use super::release::Spend;
use super::units::UnitSet;
use crate::amount::{Amount, Balance, Deposit};
use crate::channel::{ChainFacts, ChannelId, Phase};
use crate::proof::{BalanceProof, VerifiedProof};
use crate::signature::Signature;

/// Who wrote a version: a run of the program, and the running number of its writes.
///
/// After a commit whose outcome is unknown, the name found on the row tells whether it was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    /// A random number, drawn at each start.
    pub instance: u64,
    /// Counts this instance's transitions.
    pub sequence: u64,
}

/// The version of a state: how many transitions led to it, and who wrote the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Counts the account's transitions from 1.
    pub number: u64,
    /// The last transition's writer.
    pub writer: Writer,
}

/// A balance with the sender's signature for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredProof {
    /// The cumulative balance.
    pub balance: Balance,
    /// The sender's signature for exactly that.
    pub signature: Signature,
}

/// A close that we agreed to with the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The balance that we signed.
    pub at: Balance,
    /// The sender's balance signature for `at`, if it was given: then we can close there too.
    pub sender_signature: Option<Signature>,
}

/// Closing signatures of ours that exist. Each is set at most once and never undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// A close that the sender asked for.
    Closing(Closing),
    /// A claim against a stale close, at one of our stored proofs.
    Dispute(Balance),
    /// The sender was promised a close, and closed otherwise.
    ClosingAndDispute(Closing, Balance),
}

impl Promise {
    /// The agreed close, if there is one.
    pub const fn closing(&self) -> Option<&Closing> {
        match self {
            Self::Closing(closing) | Self::ClosingAndDispute(closing, _) => Some(closing),
            Self::Dispute(_) => None,
        }
    }

    /// The balance signed in a dispute, if there is one.
    pub const fn dispute(&self) -> Option<Balance> {
        match self {
            Self::Dispute(balance) | Self::ClosingAndDispute(_, balance) => Some(*balance),
            Self::Closing(_) => None,
        }
    }
}

/// An account as a store keeps it: every field that must survive.
///
/// It becomes an [`Account`] only through [`Account::from_row`], which checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The channel.
    pub channel: ChannelId,
    /// The highest balance with a valid proof; never goes down.
    pub balance: Balance,
    /// In increasing order: the best proof at or below each deposit level that may come back, and
    /// last the one for exactly `balance`. Empty while nothing was paid.
    pub proofs: Vec<StoredProof>,
    /// Units below `balance` that nothing was sold for: the sender's credit.
    pub unspent: UnitSet,
    /// Released units that have no place on the line any more; counts at the close, buys nothing.
    pub refund: Amount,
    /// How many payments were accepted; names the next spend.
    pub spends: u64,
    /// Closing signatures of ours.
    pub promise: Option<Promise>,
    /// The balances that we have sent withdrawals for, in increasing order; each one's proof is
    /// public, whatever became of the transaction.
    pub sent_withdrawals: Vec<Balance>,
    /// What the chain says; the only part that can go back.
    pub facts: ChainFacts,
    /// The version of this state.
    pub version: Version,
}

/// A row that no sequence of transitions can have led to: the store is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored account of channel {channel} is damaged: {reason}")]
pub struct CorruptRow {
    /// The channel.
    pub channel: ChannelId,
    /// The invariant that does not hold.
    pub reason: &'static str,
}

/// The state of one channel at the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub(super) row: AccountRow,
    /// Spends whose requests are in flight here. Lost with the process, and they stay spent.
    pub(super) open_spends: Vec<(u64, Writer)>,
}

/// A change of one account that the ledger allows; made only by the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a transition has happened only when it was committed"]
pub struct Transition {
    before: Option<Version>,
    after: Account,
    line_only: bool,
}

impl Transition {
    /// The version that it was decided on; `None` when the account is new.
    pub const fn before(&self) -> Option<Version> {
        self.before
    }

    /// Whether nothing but the line has changed: balance, proofs, unspent units, the number of spends
    /// and the version. Most payments are of this kind, and a store need not write the rest again.
    pub const fn is_line_only(&self) -> bool {
        self.line_only
    }

    /// The state that it leads to.
    pub const fn after(&self) -> &Account {
        &self.after
    }

    /// The state that it leads to, by value.
    pub fn into_after(self) -> Account {
        self.after
    }
}

/// What a sender that proved itself may know of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The highest balance accepted.
    pub balance: Balance,
    /// The sender's signature for it; `None` while nothing was paid.
    pub signature: Option<Signature>,
    /// Units that the next payments can use up.
    pub credit: Amount,
    /// Counts at the close only.
    pub refund: Amount,
}

impl Account {
    /// Begins the account of a channel that the chain has shown for the first time.
    pub fn open(channel: ChannelId, facts: ChainFacts, by: Writer) -> Transition {
        let row = AccountRow {
            channel,
            balance: Balance::ZERO,
            proofs: Vec::new(),
            unspent: UnitSet::default(),
            refund: Amount::ZERO,
            spends: 0,
            promise: None,
            sent_withdrawals: Vec::new(),
            facts,
            version: Version {
                number: 1,
                writer: by,
            },
        };
        Transition {
            before: None,
            after: Self {
                row,
                open_spends: Vec::new(),
            },
            line_only: false,
        }
    }

    /// Takes a row back from a store. Nothing is in flight on it.
    ///
    /// # Errors
    /// When an invariant does not hold: no sequence of transitions leads to such a row.
    pub fn from_row(row: AccountRow) -> Result<Self, CorruptRow> {
        match row.violation() {
            Some(reason) => Err(CorruptRow {
                channel: row.channel,
                reason,
            }),
            None => Ok(Self {
                row,
                open_spends: Vec::new(),
            }),
        }
    }

    /// Takes a row of this account back from a store, where another instance may have written since.
    ///
    /// What is in flight here stays open, and can still be released; unless the row is no successor
    /// of the version that was `durable`, the newest that the store is known to have had: then the store has
    /// lost it, and everything in flight stays spent. Spends that were never durable must not be released.
    ///
    /// # Errors
    /// As [`from_row`](Self::from_row).
    ///
    /// # Panics
    /// When the row is another channel's.
    pub fn reload(&self, row: AccountRow, durable: u64) -> Result<Self, CorruptRow> {
        assert_eq!(row.channel, self.row.channel, "a row replaces its own channel's");
        let mut account = Self::from_row(row)?;
        if account.row.version.number >= durable {
            account.open_spends.clone_from(&self.open_spends);
        }
        Ok(account)
    }

    /// Takes note that a spend is in flight after all: the release that ended it is certainly not stored, nor will be.
    pub fn reopen(&mut self, spend: &Spend) {
        if !self.open_spends.contains(&spend.name()) {
            self.open_spends.push(spend.name());
        }
    }

    /// The state as a store keeps it.
    pub const fn row(&self) -> &AccountRow {
        &self.row
    }

    /// The channel.
    pub const fn channel(&self) -> &ChannelId {
        &self.row.channel
    }

    /// The highest balance with a valid proof.
    pub const fn balance(&self) -> Balance {
        self.row.balance
    }

    /// What the chain says.
    pub const fn facts(&self) -> &ChainFacts {
        &self.row.facts
    }

    /// Closing signatures of ours.
    pub const fn promise(&self) -> Option<&Promise> {
        self.row.promise.as_ref()
    }

    /// The version of this state.
    pub const fn version(&self) -> Version {
        self.row.version
    }

    /// What was sold: the balance less credit and refund. In flight counts as sold.
    pub fn spent(&self) -> Balance {
        self.row
            .spent()
            .expect("the invariants were checked when this state was made")
    }

    /// What was withdrawn, on chain or by a transaction of ours that was sent.
    pub fn withdrawn(&self) -> Balance {
        self.row.facts.withdrawn().max(self.row.withdrawing())
    }

    /// How many payments are in flight here.
    pub fn in_flight(&self) -> usize {
        self.open_spends.len()
    }

    /// Whether the chain holds less than was paid: nothing is sold until it recovers.
    pub fn is_impaired(&self) -> bool {
        self.row.balance > self.row.facts.deposit.limit() || self.row.facts.withdrawn() > self.row.balance
    }

    /// The best stored proof that a deposit covers.
    pub fn best_proof(&self, deposit: Deposit) -> Option<&StoredProof> {
        self.row
            .proofs
            .iter()
            .rev()
            .find(|proof| proof.balance <= deposit.limit())
    }

    /// Whether payments up to `balance` could be accepted, before any signature is looked at.
    ///
    /// # Errors
    /// With the first refusal that applies, up to [`Refusal::AboveDeposit`].
    pub fn screen(&self, balance: Balance) -> Result<(), Refusal> {
        if self.row.promise.is_some() {
            return Err(Refusal::ClosePromised);
        }
        match self.row.facts.phase {
            Phase::Pending => return Err(Refusal::Unconfirmed),
            Phase::Challenged { .. } => return Err(Refusal::Challenged),
            Phase::Settled { .. } => return Err(Refusal::Settled),
            Phase::Open => {}
        }
        if self.is_impaired() {
            return Err(Refusal::Impaired);
        }
        if balance <= self.row.facts.deposit.limit() {
            Ok(())
        } else if balance <= self.row.facts.unconfirmed_deposit.limit() {
            Err(Refusal::TopUpUnconfirmed)
        } else {
            Err(Refusal::AboveDeposit)
        }
    }

    /// Recognises a proof whose very bytes are stored here: it was verified before.
    pub fn recognise(&self, proof: &BalanceProof) -> Option<VerifiedProof> {
        let stored = StoredProof {
            balance: proof.balance,
            signature: proof.signature,
        };
        (proof.channel == self.row.channel && self.row.proofs.contains(&stored))
            .then(|| VerifiedProof::seen_before(*proof))
    }

    /// Whether a proof of ours at exactly this balance went to the chain, by a withdrawal or a
    /// dispute: whoever presents it need not be the sender.
    pub fn is_public(&self, balance: Balance) -> bool {
        let row = &self.row;
        row.facts.withdrawals.contains(&balance)
            || row.sent_withdrawals.contains(&balance)
            || row.promise.as_ref().and_then(Promise::dispute) == Some(balance)
    }

    /// What the sender that made this proof may know; `None` for a proof that is
    /// [public](Self::is_public).
    pub fn standing(&self, proof: &VerifiedProof) -> Option<Standing> {
        if *proof.channel() != self.row.channel || self.is_public(proof.balance()) {
            return None;
        }
        Some(Standing {
            balance: self.row.balance,
            signature: self.row.proofs.last().map(|stored| stored.signature),
            credit: self.row.unspent.total(),
            refund: self.row.refund,
        })
    }

    /// Takes over what the chain says now. Proofs and promises stay as they are.
    pub fn observe(&self, facts: ChainFacts, by: Writer) -> Transition {
        self.change(by, |after| {
            after.row.facts = facts;
            after.row.prune_proofs();
        })
    }

    /// Makes the next state and checks its invariants.
    pub(super) fn change(&self, by: Writer, change: impl FnOnce(&mut Self)) -> Transition {
        let mut after = self.clone();
        change(&mut after);
        after.row.version = Version {
            number: self.row.version.number + 1,
            writer: by,
        };
        let violation = after.row.violation();
        assert!(violation.is_none(), "channel {}: {violation:?}", self.row.channel);
        Transition {
            before: Some(self.row.version),
            line_only: self.row.differs_on_the_line_only(&after.row),
            after,
        }
    }
}

impl AccountRow {
    /// What was sold: `balance − |unspent| − refund`; `None` when the row is damaged.
    pub fn spent(&self) -> Option<Balance> {
        self.balance
            .checked_sub(self.unspent.total())?
            .checked_sub(self.refund)
    }

    /// See [`Transition::is_line_only`]. Whoever adds a field decides here to which part it belongs.
    fn differs_on_the_line_only(&self, other: &Self) -> bool {
        let Self {
            channel,
            balance: _,
            proofs: _,
            unspent: _,
            refund,
            spends: _,
            promise,
            sent_withdrawals,
            facts,
            version: _,
        } = self;
        (channel, refund, promise, sent_withdrawals, facts)
            == (
                &other.channel,
                &other.refund,
                &other.promise,
                &other.sent_withdrawals,
                &other.facts,
            )
    }

    /// The highest balance that we have sent a withdrawal for.
    pub(super) fn withdrawing(&self) -> Balance {
        self.sent_withdrawals.last().copied().unwrap_or(Balance::ZERO)
    }

    /// Adds a proof and keeps only those that can still be needed.
    pub(super) fn keep_proof(&mut self, proof: StoredProof) {
        let at = self
            .proofs
            .partition_point(|stored| stored.balance < proof.balance);
        if self
            .proofs
            .get(at)
            .is_none_or(|stored| stored.balance != proof.balance)
        {
            self.proofs.insert(at, proof);
        }
        self.prune_proofs();
    }

    /// Keeps the best proof at or below each lower deposit level, those of a dispute or a
    /// withdrawal of ours, and the last one.
    ///
    /// While the deposit does not cover the balance, all are kept: the chain is being reorganised,
    /// and any of them may be the best that the deposit covers in the end.
    pub(super) fn prune_proofs(&mut self) {
        if self.balance > self.facts.deposit.limit() {
            return;
        }
        let best_below = |limit: Balance| {
            self.proofs
                .partition_point(|stored| stored.balance <= limit)
                .checked_sub(1)
        };
        let promised = self.promise.as_ref().and_then(Promise::dispute);
        let limits = self.facts.lower_deposits.iter().map(|deposit| deposit.limit());
        let mut needed: Vec<usize> = limits
            .chain(promised)
            .chain([self.withdrawing()])
            .filter_map(best_below)
            .collect();
        needed.extend(self.proofs.len().checked_sub(1));
        let mut at = 0;
        self.proofs.retain(|_| {
            at += 1;
            needed.contains(&(at - 1))
        });
    }

    /// The first invariant that does not hold.
    fn violation(&self) -> Option<&'static str> {
        let closing = self.promise.as_ref().and_then(Promise::closing);
        let dispute = self.promise.as_ref().and_then(Promise::dispute);
        let is_stored = |balance| self.proofs.iter().any(|proof| proof.balance == balance);
        let highest_proof = self.proofs.last().map_or(Balance::ZERO, |proof| proof.balance);
        let rules = [
            (self.spent().is_some(), "spent must not be negative"),
            (
                self.unspent.highest().is_none_or(|unit| unit <= self.balance),
                "unspent units lie below the balance",
            ),
            (
                self.unspent.intervals().len() <= super::accept::MAX_INTERVALS,
                "too many unspent intervals",
            ),
            (
                self.proofs.is_sorted_by(|low, high| low.balance < high.balance),
                "proofs are in order",
            ),
            (highest_proof == self.balance, "the last proof is for the balance"),
            (!is_stored(Balance::ZERO), "a proof for nothing is not stored"),
            (
                closing.is_none_or(|closing| closing.at <= self.balance),
                "a promised close is not above the balance",
            ),
            (
                closing.is_none_or(|closing| self.spent() <= Some(closing.at)),
                "a promised close is not below what was sold",
            ),
            (
                closing.is_none_or(|closing| self.withdrawing() <= closing.at),
                "a promised close is not below a withdrawal of ours",
            ),
            (dispute.is_none_or(is_stored), "the proof of a dispute is stored"),
            (
                self.sent_withdrawals.is_sorted_by(|low, high| low < high),
                "withdrawals of ours are in order",
            ),
            (
                self.sent_withdrawals.last().is_none_or(|at| is_stored(*at)),
                "the proof of the last withdrawal of ours is stored",
            ),
            (
                self.facts.withdrawals.is_sorted() && self.facts.lower_deposits.is_sorted(),
                "withdrawals and deposit levels on chain are in order",
            ),
            (self.version.number > 0, "versions count from 1"),
        ];
        rules.iter().find(|(holds, _)| !holds).map(|(_, reason)| *reason)
    }
}
