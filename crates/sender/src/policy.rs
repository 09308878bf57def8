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
    /// The deposit of a new channel for a payment; `None` when the payment alone is more than is
    /// allowed.
    pub(crate) fn initial(&self, payment: Amount) -> Option<Deposit> {
        let ceiling = self.max_deposit.into();
        let deposit = times(payment, self.initial_factor).max(payment).min(ceiling);
        (payment <= ceiling).then(|| Deposit::new(deposit.base_units()))
    }

    /// What to add to a channel that has `remaining` left of its deposit; `None` when what the
    /// payment needs is more than is allowed.
    pub(crate) fn top_up(&self, payment: Amount, deposit: Deposit, remaining: Amount) -> Option<Amount> {
        let room = self.max_deposit.checked_since(deposit).unwrap_or_default();
        let missing = payment.checked_sub(remaining).unwrap_or_default();
        let wanted = times(payment, self.top_up_factor?)
            .checked_sub(remaining)
            .unwrap_or_default();
        (missing <= room).then(|| wanted.max(missing).min(room))
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

    fn at_most_80() -> DepositPolicy {
        DepositPolicy {
            max_deposit: 80.into(),
            ..DepositPolicy::default()
        }
    }

    #[test]
    fn a_new_channel_gets_ten_payments_up_to_the_ceiling() {
        for (payment, expected) in [(5, Some(50)), (9, Some(80)), (80, Some(80)), (81, None)] {
            let deposit = at_most_80().initial(payment.into());
            assert_eq!(deposit, expected.map(Deposit::from), "{payment}");
        }
        let most = DepositPolicy::default().initial(Amount::MAX);
        assert_eq!(most, Some(Deposit::MAX));
    }

    #[test]
    fn a_top_up_leaves_room_for_five_payments_up_to_the_ceiling() {
        for (deposit, expected) in [(50, Some(22)), (70, Some(10)), (78, Some(2)), (79, None)] {
            let added = at_most_80().top_up(5.into(), deposit.into(), 3.into());
            assert_eq!(added, expected.map(Amount::from), "{deposit}");
        }
        let never = DepositPolicy {
            top_up_factor: None,
            ..at_most_80()
        };
        assert_eq!(never.top_up(5.into(), 50.into(), 3.into()), None);
    }
}
