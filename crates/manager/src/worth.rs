//! What a transaction of ours brings in, and what its gas may cost.

use crate::config::Config;
use crate::follow::agreed_close;
use alloy_primitives::U256;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Amount, Balance, Phase};

/// The highest balance that we can claim: the agreed one, or that of the best proof that the deposit
/// covers. `None` when there is nothing to claim with.
pub(crate) fn claimable(account: &Account) -> Option<Balance> {
    let agreed = agreed_close(account).map(|(balance, _)| balance);
    agreed.or_else(|| {
        let proof = account.best_proof(account.facts().deposit)?;
        Some(proof.balance)
    })
}

/// What claiming brings in on top of what comes anyway: by the sender's own claim once it has asked to
/// close, and by the withdrawals.
pub(crate) fn gain(account: &Account) -> Amount {
    let facts = account.facts();
    let comes_anyway = match facts.phase {
        Phase::Challenged { closing_balance, .. } => closing_balance.max(facts.withdrawn()),
        _ => facts.withdrawn(),
    };
    above(account, comes_anyway)
}

/// What claiming brings in when the sender does nothing any more.
pub(crate) fn unpaid(account: &Account) -> Amount {
    above(account, account.facts().withdrawn())
}

fn above(account: &Account, paid: Balance) -> Amount {
    let gain = claimable(account).and_then(|balance| balance.checked_since(paid));
    gain.unwrap_or(Amount::ZERO)
}

impl Config {
    /// Whether a transaction that brings in so much is worth its gas.
    pub(crate) fn is_worth_it(&self, gain: Amount) -> bool {
        !gain.is_zero() && gain >= self.min_claim
    }

    /// What the gas of a transaction that brings in so much may cost, in wei: its share of
    /// `gain · token_value_wei / 10^decimals`. `None` where the operator states no value.
    pub(crate) fn max_cost_wei(&self, gain: Amount, decimals: u8) -> Option<U256> {
        let value = self.token_value_wei?;
        let unit = U256::from(10)
            .checked_pow(U256::from(decimals))
            .unwrap_or(U256::MAX);
        let whole = U256::from(gain.base_units())
            .saturating_mul(U256::from(value))
            .saturating_mul(U256::from(self.gas_percent));
        // A value that does not fit is above any cost.
        Some(whole / U256::from(100).saturating_mul(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gas_may_cost_its_share_of_the_gain() {
        let config = |token_value_wei, gas_percent| Config {
            token_value_wei,
            gas_percent,
            ..Config::default()
        };
        let gain = Amount::from(3_000);
        let wei = |value: u64| Some(U256::from(value));
        assert_eq!(config(None, 100).max_cost_wei(gain, 2), None);
        assert_eq!(config(Some(5), 100).max_cost_wei(gain, 2), wei(150));
        assert_eq!(config(Some(5), 50).max_cost_wei(gain, 2), wei(75));
        assert_eq!(config(Some(5), 100).max_cost_wei(gain, 18), wei(0));
        // What cannot be computed limits nothing, or everything where nothing is worth anything.
        let huge = config(Some(u128::MAX), 100).max_cost_wei(Amount::MAX, 18);
        assert!(huge > Some(U256::from(u128::MAX)), "{huge:?}");
        assert_eq!(config(Some(1), 100).max_cost_wei(Amount::MAX, 255), wei(0));
    }

    #[test]
    fn nothing_is_never_worth_a_transaction() {
        let config = |min_claim: u64| Config {
            min_claim: min_claim.into(),
            ..Config::default()
        };
        assert!(!config(0).is_worth_it(Amount::ZERO));
        assert!(config(0).is_worth_it(Amount::from(1)));
        assert!(!config(5).is_worth_it(Amount::from(4)));
        assert!(config(5).is_worth_it(Amount::from(5)));
    }
}
