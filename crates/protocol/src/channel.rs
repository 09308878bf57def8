//! How a channel is named, what the chain reports of it, and the facts that follow.
//!
//! Facts are a pure fold over the channel's canonical events ([`ChainFacts::from_events`]). A
//! reorganisation therefore needs no undo: drop the events that vanished and fold again.

use crate::amount::{Amount, Balance, BlockNumber, Deposit};
use alloy_primitives::{Address, B256, keccak256};
use std::fmt;

/// The contract that holds the tokens of its channels, on its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Escrow {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The channel contract's address there.
    pub contract: Address,
}

/// A channel's name within its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    /// Who deposits and pays.
    pub sender: Address,
    /// Who is paid.
    pub receiver: Address,
    /// The block that opened the channel; the contract keeps 32 bits.
    pub open_block: u32,
}

impl ChannelId {
    /// The contract's key: `keccak256(sender(20) ‖ receiver(20) ‖ open_block(4))`.
    pub fn key(&self) -> B256 {
        let mut bytes = [0; 44];
        bytes[..20].copy_from_slice(self.sender.as_slice());
        bytes[20..40].copy_from_slice(self.receiver.as_slice());
        bytes[40..].copy_from_slice(&self.open_block.to_be_bytes());
        keccak256(bytes)
    }

    /// The block that opened the channel.
    pub fn opened_at(&self) -> BlockNumber {
        BlockNumber(self.open_block.into())
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sender, self.open_block)
    }
}

/// One event of one channel, at its place in the canonical chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEvent {
    /// The channel.
    pub channel: ChannelId,
    /// The block that holds the event.
    pub block: BlockNumber,
    /// The event's index among all logs of the block.
    pub log_index: u64,
    /// What happened.
    pub change: ChannelChange,
}

/// What the contract did with a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelChange {
    /// `ChannelCreated`.
    Created {
        /// The first deposit; may be zero.
        deposit: Deposit,
    },
    /// `ChannelToppedUp`.
    ToppedUp {
        /// What was added.
        added: Amount,
    },
    /// `ChannelCloseRequested`: the sender's own claim, the challenge period has begun.
    CloseRequested {
        /// What the sender says it owes.
        closing_balance: Balance,
    },
    /// `ChannelWithdraw`.
    Withdrawn {
        /// What was paid out by this withdrawal, not in total.
        amount: Amount,
    },
    /// `ChannelSettled`: the contract has paid both sides and forgotten the channel.
    Settled {
        /// What was owed in total.
        balance: Balance,
        /// What the receiver got by the settlement itself, withdrawals left out.
        receiver_tokens: Amount,
    },
}

/// A block by number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Its number.
    pub number: BlockNumber,
    /// Its hash, which commits to all blocks before.
    pub hash: B256,
}

/// What one look at the chain has added to what was known, to be taken over as a whole.
///
/// Apply in this order: rewind, then the blocks and events. All events lie in blocks above the
/// rewind; the last block is the new head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainUpdate {
    /// The chain was reorganised: forget blocks and events above this one.
    pub rewind_to: Option<BlockNumber>,
    /// Recent canonical blocks, in increasing order; not every block, but always the new head.
    pub blocks: Vec<BlockRef>,
    /// The events in the order of the chain.
    pub events: Vec<ChannelEvent>,
}

/// How far the chain has been read, and what of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    /// Deposits up to this block can be paid with.
    pub confirmed: BlockNumber,
    /// Deposits up to this block are taken never to shrink again.
    pub last_final: BlockNumber,
}

/// What the chain says of a channel's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not seen, vanished, or not confirmed yet.
    Pending,
    /// Confirmed.
    Open,
    /// A close was requested, confirmed or not; the challenge period runs or is over.
    Challenged {
        /// The block of the request.
        requested_at: BlockNumber,
        /// `settle` is possible in any block above this one.
        settle_block: BlockNumber,
        /// What the sender says it owes.
        closing_balance: Balance,
    },
    /// The contract has paid out, confirmed or not.
    Settled {
        /// The block of the settlement.
        at: BlockNumber,
    },
}

/// How many deposit levels may wait for finality at a time; further top-ups stay unconfirmed.
///
/// It bounds the proofs that an account keeps in case the deposit shrinks.
pub const MAX_LOWER_DEPOSITS: usize = 16;

/// What the chain says of one channel; rewindable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFacts {
    /// Where the channel is in its life.
    pub phase: Phase,
    /// The confirmed deposit: what can be paid with.
    pub deposit: Deposit,
    /// The deposit with the top-ups that are not confirmed yet.
    pub unconfirmed_deposit: Deposit,
    /// Levels below `deposit` to which a reorganisation could take it back, in increasing order.
    pub lower_deposits: Vec<Deposit>,
    /// The balances that the receiver has withdrawn, in increasing order; each one's proof is public.
    pub withdrawals: Vec<Balance>,
}

impl Default for ChainFacts {
    /// Nothing is known of the channel.
    fn default() -> Self {
        Self {
            phase: Phase::Pending,
            deposit: Deposit::ZERO,
            unconfirmed_deposit: Deposit::ZERO,
            lower_deposits: Vec::new(),
            withdrawals: Vec::new(),
        }
    }
}

impl ChainFacts {
    /// Folds a channel's canonical events, in the order of the chain.
    ///
    /// Deposits count when they are confirmed; closes, withdrawals and settlements as soon as they
    /// are seen, since selling on would be at our cost. `challenge_period` is in blocks.
    /// Amounts saturate: a contract that reports more than 192 bits of tokens is not ours.
    pub fn from_events<'a>(
        events: impl IntoIterator<Item = &'a ChannelEvent>,
        heads: Heads,
        challenge_period: u32,
    ) -> Self {
        let mut facts = Self::default();
        for event in events {
            match event.change {
                ChannelChange::Created { deposit } => {
                    facts.add_deposit(deposit.into(), event.block, heads);
                    if event.block <= heads.confirmed && facts.phase == Phase::Pending {
                        facts.phase = Phase::Open;
                    }
                }
                ChannelChange::ToppedUp { added } => facts.add_deposit(added, event.block, heads),
                ChannelChange::CloseRequested { closing_balance } => {
                    facts.phase = Phase::Challenged {
                        requested_at: event.block,
                        settle_block: event.block.saturating_add(challenge_period.into()),
                        closing_balance,
                    };
                }
                ChannelChange::Withdrawn { amount } => {
                    facts
                        .withdrawals
                        .push(facts.withdrawn().checked_add(amount).unwrap_or(Balance::MAX));
                }
                ChannelChange::Settled { .. } => facts.phase = Phase::Settled { at: event.block },
            }
        }
        facts
    }

    /// What the receiver has withdrawn in total.
    pub fn withdrawn(&self) -> Balance {
        self.withdrawals.last().copied().unwrap_or(Balance::ZERO)
    }

    fn add_deposit(&mut self, added: Amount, block: BlockNumber, heads: Heads) {
        let seen = self.unconfirmed_deposit;
        self.unconfirmed_deposit = seen.checked_add(added).unwrap_or(Deposit::MAX);
        // Once one addition is left out, so are all after it: levels are taken in order.
        if block > heads.confirmed || self.deposit != seen {
            return;
        }
        if block > heads.last_final && !seen.is_zero() {
            if self.lower_deposits.len() == MAX_LOWER_DEPOSITS {
                return;
            }
            self.lower_deposits.push(seen);
        }
        self.deposit = self.unconfirmed_deposit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(changes: &[(u64, ChannelChange)]) -> Vec<ChannelEvent> {
        let channel = ChannelId {
            sender: Address::ZERO,
            receiver: Address::ZERO,
            open_block: 5,
        };
        changes
            .iter()
            .map(|(block, change)| ChannelEvent {
                channel,
                block: BlockNumber(*block),
                log_index: 0,
                change: change.clone(),
            })
            .collect()
    }

    fn fold(changes: &[(u64, ChannelChange)], confirmed: u64, last_final: u64) -> ChainFacts {
        let heads = Heads {
            confirmed: BlockNumber(confirmed),
            last_final: BlockNumber(last_final),
        };
        ChainFacts::from_events(&events(changes), heads, 500)
    }

    fn created(deposit: u64) -> ChannelChange {
        ChannelChange::Created {
            deposit: deposit.into(),
        }
    }

    fn topped_up(added: u64) -> ChannelChange {
        ChannelChange::ToppedUp { added: added.into() }
    }

    #[test]
    fn deposits_count_when_confirmed() {
        let life = [(5, created(100)), (7, topped_up(50))];
        let pending = fold(&life, 4, 0);
        assert_eq!((pending.phase, pending.deposit), (Phase::Pending, Deposit::ZERO));
        let open = fold(&life, 5, 0);
        assert_eq!((open.phase, open.deposit), (Phase::Open, Deposit::from(100)));
        assert_eq!(open.unconfirmed_deposit, Deposit::from(150));
        assert_eq!(open.lower_deposits, []);
        let topped_up = fold(&life, 7, 6);
        assert_eq!(
            (topped_up.deposit, topped_up.lower_deposits),
            (150.into(), vec![100.into()])
        );
        assert_eq!(fold(&life, 7, 7).lower_deposits, []);
    }

    #[test]
    fn a_close_counts_at_first_sight() {
        let close = ChannelChange::CloseRequested {
            closing_balance: 3.into(),
        };
        let facts = fold(&[(5, created(9)), (8, close)], 5, 0);
        let (requested_at, settle_block) = (BlockNumber(8), BlockNumber(508));
        let closing_balance = Balance::from(3);
        assert_eq!(
            facts.phase,
            Phase::Challenged {
                requested_at,
                settle_block,
                closing_balance
            }
        );
        let settled = ChannelChange::Settled {
            balance: 3.into(),
            receiver_tokens: 3.into(),
        };
        assert_eq!(
            fold(&[(5, created(9)), (6, settled)], 5, 0).phase,
            Phase::Settled { at: BlockNumber(6) }
        );
    }

    #[test]
    fn withdrawals_add_up() {
        let withdrawn = |amount: u64| ChannelChange::Withdrawn {
            amount: amount.into(),
        };
        let facts = fold(&[(5, created(9)), (6, withdrawn(2)), (7, withdrawn(3))], 5, 0);
        assert_eq!(facts.withdrawals, [2.into(), 5.into()]);
        assert_eq!(facts.withdrawn(), Balance::from(5));
    }

    #[test]
    fn levels_that_wait_for_finality_are_bounded() {
        let mut life = vec![(5, created(1))];
        life.extend((6..40).map(|block| (block, topped_up(1))));
        let facts = fold(&life, 100, 5);
        assert_eq!(facts.lower_deposits.len(), MAX_LOWER_DEPOSITS);
        assert_eq!(facts.deposit, Deposit::from(17));
        assert_eq!(facts.unconfirmed_deposit, Deposit::from(35));
        assert_eq!(fold(&life, 100, 100).deposit, Deposit::from(35));
    }
}
