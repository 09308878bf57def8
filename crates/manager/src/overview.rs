//! What anybody may see of the channels: never a signature, never credit.

use crate::manager::ChannelManager;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Amount, Balance, ChannelId, Deposit, Phase};
use std::collections::HashSet;

/// The states that the REST interface knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// Confirmed, and no close is agreed or requested.
    Open,
    /// A close is agreed or requested; not settled.
    Closed,
}

/// One channel as anybody may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOverview {
    /// The channel.
    pub channel: ChannelId,
    /// The highest balance accepted.
    pub balance: Balance,
    /// The confirmed deposit.
    pub deposit: Deposit,
    /// Open or closed.
    pub state: ChannelState,
}

/// Sums over the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// The deposits of open channels.
    pub deposit_sum: Amount,
    /// The balances of channels that are not settled.
    pub balance_sum: Amount,
    /// How many are open.
    pub open_channels: u64,
    /// How many are closed and not settled.
    pub pending_channels: u64,
    /// How many senders have an open channel.
    pub unique_senders: u64,
}

impl ChannelOverview {
    /// `None` for a channel that is not confirmed, or settled.
    fn of(account: &Account) -> Option<Self> {
        let state = match account.facts().phase {
            Phase::Pending | Phase::Settled { .. } => return None,
            Phase::Challenged { .. } => ChannelState::Closed,
            Phase::Open if account.promise().is_some() => ChannelState::Closed,
            Phase::Open => ChannelState::Open,
        };
        let (channel, balance) = (*account.channel(), account.balance());
        Some(Self {
            channel,
            balance,
            deposit: account.facts().deposit,
            state,
        })
    }
}

impl ChannelManager {
    /// Every confirmed channel that is not settled, oldest first.
    pub fn channels(&self) -> Vec<ChannelOverview> {
        let accounts = self.shared.accounts.all();
        let mut channels: Vec<_> = accounts
            .iter()
            .filter_map(|slot| ChannelOverview::of(&slot.lock()))
            .collect();
        channels.sort_by_key(|overview| (overview.channel.open_block, overview.channel.sender));
        channels
    }

    /// One confirmed channel that is not settled.
    pub fn channel(&self, channel: &ChannelId) -> Option<ChannelOverview> {
        ChannelOverview::of(&self.shared.accounts.get(channel)?.lock())
    }

    /// The sums over [`channels`](Self::channels).
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut senders = HashSet::new();
        // What the channels hold was minted by one token, so sums saturate only in theory.
        let add = |sum: Amount, amount: Amount| sum.checked_add(amount).unwrap_or(Amount::MAX);
        for overview in self.channels() {
            totals.balance_sum = add(totals.balance_sum, overview.balance.into());
            match overview.state {
                ChannelState::Open => {
                    totals.open_channels += 1;
                    totals.deposit_sum = add(totals.deposit_sum, overview.deposit.into());
                    totals.unique_senders += u64::from(senders.insert(overview.channel.sender));
                }
                ChannelState::Closed => totals.pending_channels += 1,
            }
        }
        totals
    }
}
