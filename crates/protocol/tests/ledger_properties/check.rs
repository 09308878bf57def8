//! What must hold after each step.

use crate::fixture::{proof, writer};
use crate::line::{Close, Unit, small};
use crate::rules::Rules;
use crate::world::{Complaint, World};
use microraiden_protocol::Phase;
use microraiden_protocol::ledger::{Account, Promise};

/// Complains when something does not hold.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

impl<R: Rules> World<'_, R> {
    /// Compares the account with the naive line, with the contract, and with its state before.
    pub(crate) fn check(&self, before: &Account) -> Result<(), Complaint> {
        self.check_amounts(before)?;
        self.check_promises()?;
        self.check_proofs()?;
        self.check_standing()?;
        let row = self.account.row();
        let again = Account::from_row(row.clone()).map_err(|error| error.to_string())?;
        ensure!(again.row() == row, "the row reads back as {again:?}");
        if row == before.row() {
            return Ok(());
        }
        let version = row.version;
        ensure!(
            version.number == before.version().number + 1,
            "version {version:?} follows {:?}",
            before.version()
        );
        ensure!(
            version.writer == writer(self.sequence),
            "version {version:?} names another writer"
        );
        Ok(())
    }

    fn check_amounts(&self, before: &Account) -> Result<(), Complaint> {
        let row = self.account.row();
        let (balance, spent) = (small(row.balance), small(self.account.spent()));
        let (credit, refund) = (small(row.unspent.total()), small(row.refund));
        ensure!(
            spent + credit + refund == balance,
            "{spent} + {credit} + {refund} is not {balance}"
        );
        ensure!(
            row.balance >= before.balance(),
            "the balance went down from {}",
            before.balance()
        );
        let in_flight: u64 = self.open.iter().map(|open| small(open.spend.amount())).sum();
        let owed = self.served + in_flight + self.lost;
        ensure!(self.served <= spent, "served {} of {spent}", self.served);
        ensure!(spent == owed, "spent is {spent}, not {owed}");
        ensure!(
            self.account.in_flight() == self.open.len(),
            "in flight: {}",
            self.account.in_flight()
        );
        ensure!(
            balance == self.line.balance(),
            "the balance is {balance}, not {}",
            self.line.balance()
        );
        let unspent: Vec<(u64, u64)> = row
            .unspent
            .intervals()
            .iter()
            .map(|units| (small(units.first), small(units.last)))
            .collect();
        ensure!(
            unspent == self.line.unspent(),
            "unspent {unspent:?}, not {:?}",
            self.line.unspent()
        );
        let refunded = self.line.count(Unit::Refunded);
        ensure!(refund == refunded, "the refund is {refund}, not {refunded}");
        Ok(())
    }

    fn check_promises(&self) -> Result<(), Complaint> {
        let promise = self.account.promise();
        let closing = promise.and_then(Promise::closing).map(|closing| Close {
            at: small(closing.at),
            signed: closing.sender_signature.is_some(),
        });
        let disputed = promise.and_then(Promise::dispute).map(small);
        ensure!(
            closing == self.line.closing,
            "promised {closing:?}, not {:?}",
            self.line.closing
        );
        ensure!(
            disputed == self.line.disputed,
            "disputed {disputed:?}, not {:?}",
            self.line.disputed
        );
        let sent: Vec<u64> = self
            .account
            .row()
            .sent_withdrawals
            .iter()
            .copied()
            .map(small)
            .collect();
        let expected: Vec<u64> = self.line.sent_withdrawals.iter().copied().collect();
        ensure!(sent == expected, "withdrawals {sent:?}, not {expected:?}");
        Ok(())
    }

    fn check_proofs(&self) -> Result<(), Complaint> {
        let row = self.account.row();
        for stored in &row.proofs {
            let balance = small(stored.balance);
            let is_accepted = self.line.accepted.contains(&balance);
            ensure!(is_accepted, "the proof for {balance} was never accepted");
            ensure!(
                stored.signature == proof(balance).signature(),
                "the proof for {balance} has another signature"
            );
        }
        let most = row.facts.lower_deposits.len() + 3;
        ensure!(
            row.proofs.len() <= most || self.account.is_impaired(),
            "{} proofs are kept",
            row.proofs.len()
        );
        let best = self.best_proof();
        let least = self.line.least_best_proof(row.facts.deposit);
        ensure!(
            best >= least,
            "the deposit covers {least:?}, the best proof is for {best:?}"
        );
        let contract = self.chain.contract();
        if let (Some(best), false) = (best, self.account.is_impaired()) {
            let is_open = row.facts.phase == Phase::Open;
            let is_closable = is_open || matches!(row.facts.phase, Phase::Challenged { .. });
            ensure!(
                !is_closable || contract.accepts_close(best),
                "the contract refuses a close at {best}"
            );
            ensure!(
                !is_open || best <= small(row.facts.withdrawn()) || contract.accepts_withdraw(best),
                "the contract refuses to withdraw {best}"
            );
        }
        Ok(())
    }

    fn check_standing(&self) -> Result<(), Complaint> {
        let row = self.account.row();
        for accepted in self.line.accepted.iter().rev().take(3) {
            let standing = self.rules.standing(&self.account, &proof(*accepted));
            let is_public = self.line.is_public(*accepted, &row.facts);
            ensure!(
                standing.is_none() == is_public,
                "a proof at {accepted} is told {standing:?}"
            );
            if let Some(standing) = standing {
                let told = (standing.balance, standing.credit, standing.refund);
                ensure!(
                    told == (row.balance, row.unspent.total(), row.refund),
                    "told {standing:?}"
                );
                ensure!(
                    standing.signature == Some(proof(small(row.balance)).signature()),
                    "told {standing:?}"
                );
            }
        }
        Ok(())
    }
}
