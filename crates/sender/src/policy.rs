//! How much to lock into a channel.

use microraiden_protocol::{Amount, Deposit};

/// How much to deposit when a channel is opened or topped up for a payment.
///
/// A deposit is not spent: what no balance proof claims comes back at the close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositPolicy {
    /// A new channel gets this many times the payment, 10 by default.
    pub initial_factor: u32,
    /// A top-up raises what is left to this many times the payment, 5 by default; `None` never
    /// tops up.
    pub top_up_factor: Option<u32>,
    /// No channel holds more than this; without a ceiling by default.
    pub max_deposit: Deposit,
}

impl Default for DepositPolicy {
    fn default() -> Self {
        Self {
            initial_factor: 10,
            top_up_factor: Some(5),
            max_deposit: Deposit::MAX,
        }
    }
}

impl DepositPolicy {
    /// The deposit of a new channel for a payment, adding at most `limit`; `None` when the payment
    /// alone is more than is allowed.
    pub(crate) fn initial(&self, payment: Amount, limit: Amount) -> Option<Deposit> {
        let ceiling = limit.min(self.max_deposit.into());
        let deposit = times(payment, self.initial_factor).max(payment).min(ceiling);
        (payment <= ceiling).then(|| Deposit::new(deposit.base_units()))
    }

    /// What to add to a channel that has `remaining` left of its deposit, at most `limit`; `None`
    /// when what the payment needs is more than is allowed.
    pub(crate) fn top_up(
        &self,
        payment: Amount,
        deposit: Deposit,
        remaining: Amount,
        limit: Amount,
    ) -> Option<Amount> {
        let room = self.max_deposit.checked_since(deposit).unwrap_or_default();
        let missing = payment.checked_sub(remaining).unwrap_or_default();
        let wanted = times(payment, self.top_up_factor?)
            .checked_sub(remaining)
            .unwrap_or_default();
        let ceiling = room.min(limit);
        (missing <= ceiling).then(|| wanted.max(missing).min(ceiling))
    }
}

/// `amount × factor`, at most the largest amount.
fn times(amount: Amount, factor: u32) -> Amount {
    let product = amount
        .base_units()
        .saturating_mul(Amount::from(u64::from(factor)).base_units());
    Amount::new(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(amount: Option<u64>) -> Option<Amount> {
        amount.map(Amount::from)
    }

    #[test]
    fn a_new_channel_gets_ten_payments_within_the_limits() {
        let policy = DepositPolicy {
            max_deposit: 80.into(),
            ..DepositPolicy::default()
        };
        for (payment, limit, expected) in [
            (5, 1000, Some(50)),
            (9, 1000, Some(80)),
            (5, 20, Some(20)),
            (81, 1000, None),
            (5, 4, None),
        ] {
            let deposit = policy.initial(payment.into(), limit.into());
            assert_eq!(deposit, expected.map(Deposit::from), "{payment} {limit}");
        }
        let most = DepositPolicy::default().initial(Amount::MAX, Amount::MAX);
        assert_eq!(most, Some(Deposit::MAX));
    }

    #[test]
    fn a_top_up_leaves_room_for_five_payments_within_the_limits() {
        let policy = DepositPolicy {
            max_deposit: 80.into(),
            ..DepositPolicy::default()
        };
        for (payment, deposit, remaining, limit, expected) in [
            (5, 50, 3, 1000, Some(22)),
            (5, 70, 3, 1000, Some(10)),
            (5, 50, 3, 2, Some(2)),
            (5, 50, 3, 1, None),
            (5, 79, 3, 1000, None),
        ] {
            let added = policy.top_up(payment.into(), deposit.into(), remaining.into(), limit.into());
            assert_eq!(added, units(expected), "{payment} {deposit} {remaining} {limit}");
        }
        let never = DepositPolicy {
            top_up_factor: None,
            ..policy
        };
        assert_eq!(never.top_up(5.into(), 50.into(), 3.into(), 1000.into()), None);
    }
}
