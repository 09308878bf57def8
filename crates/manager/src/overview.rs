//! What anybody may see of the channels: never a signature, never credit.

use crate::manager::ChannelManager;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Address, Amount, Balance, ChannelId, Deposit, Phase};
use std::ops::Bound;

/// The states that the REST interface knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// Confirmed, and no close is agreed or requested.
    Open,
    /// A close is agreed or requested; not settled.
    Closed,
}

impl ChannelState {
    /// `None` for a channel that is not confirmed, or settled.
    pub(crate) fn of(account: &Account) -> Option<Self> {
        match account.facts().phase {
            Phase::Pending | Phase::Settled { .. } => None,
            Phase::Challenged { .. } => Some(Self::Closed),
            Phase::Open if account.promise().is_some() => Some(Self::Closed),
            Phase::Open => Some(Self::Open),
        }
    }
}

/// Which channels are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Those that accept payments.
    #[default]
    Open,
    /// Those with a close agreed or requested.
    Closed,
    /// Both.
    All,
}

impl Filter {
    fn takes(self, state: ChannelState) -> bool {
        match self {
            Self::Open => state == ChannelState::Open,
            Self::Closed => state == ChannelState::Closed,
            Self::All => true,
        }
    }
}

/// What a page of channels shall show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// In which states.
    pub filter: Filter,
    /// Of this sender only.
    pub sender: Option<Address>,
    /// After this channel, by sender and open block; it need not exist any more.
    pub after: Option<(Address, u32)>,
    /// At most so many.
    pub limit: usize,
}

/// A page of channels, by sender and open block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The channels.
    pub channels: Vec<ChannelOverview>,
    /// After which channel the next page begins; `None` on the last page.
    pub next: Option<(Address, u32)>,
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
        Some(Self {
            channel: *account.channel(),
            balance: account.balance(),
            deposit: account.facts().deposit,
            state: ChannelState::of(account)?,
        })
    }
}

/// How many channels are looked at together when all are counted.
const COUNTED_TOGETHER: usize = 1024;

impl ChannelManager {
    /// A page of the confirmed channels that are not settled. Costs what is on it, not what there is.
    pub fn page(&self, query: PageQuery) -> Page {
        let receiver = self.receiver();
        let id = |(sender, open_block)| ChannelId {
            sender,
            receiver,
            open_block,
        };
        let (low, high) = match (query.sender, query.after) {
            (None, after) => {
                let low = after.map_or(Bound::Unbounded, |after| Bound::Excluded(id(after)));
                (low, Bound::Unbounded)
            }
            (Some(sender), Some(after)) if after.0 > sender => return Page::default(),
            (Some(sender), after) => {
                let first = Bound::Included(id((sender, 0)));
                let after = after.filter(|after| after.0 == sender);
                let low = after.map_or(first, |after| Bound::Excluded(id(after)));
                (low, Bound::Included(id((sender, u32::MAX))))
            }
        };
        let most = query.limit.saturating_add(1);
        let mut listed = self.shared.accounts.listed(query.filter, (low, high), most);
        let more = listed.len() > query.limit;
        listed.truncate(query.limit);
        let last = listed.last().map(|channel| (channel.sender, channel.open_block));
        // What has changed since it was listed is judged again.
        let overviews = listed.iter().filter_map(|channel| self.channel(channel));
        Page {
            channels: overviews
                .filter(|overview| query.filter.takes(overview.state))
                .collect(),
            next: last.filter(|_| more),
        }
    }

    /// One confirmed channel that is not settled.
    pub fn channel(&self, channel: &ChannelId) -> Option<ChannelOverview> {
        ChannelOverview::of(&self.shared.accounts.get(channel)?.lock())
    }

    /// The sums over all confirmed channels that are not settled. Looks at each of them.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        // What the channels hold was minted by one token, so sums saturate only in theory.
        let add = |sum: Amount, amount: Amount| sum.checked_add(amount).unwrap_or(Amount::MAX);
        let mut query = PageQuery {
            filter: Filter::All,
            sender: None,
            after: None,
            limit: COUNTED_TOGETHER,
        };
        let mut last_sender = None;
        loop {
            let page = self.page(query);
            for overview in page.channels {
                totals.balance_sum = add(totals.balance_sum, overview.balance.into());
                match overview.state {
                    ChannelState::Open => {
                        totals.open_channels += 1;
                        totals.deposit_sum = add(totals.deposit_sum, overview.deposit.into());
                        // The channels of a sender follow each other.
                        let sender = Some(overview.channel.sender);
                        totals.unique_senders += u64::from(last_sender != sender);
                        last_sender = sender;
                    }
                    ChannelState::Closed => totals.pending_channels += 1,
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return totals,
            }
        }
    }
}
