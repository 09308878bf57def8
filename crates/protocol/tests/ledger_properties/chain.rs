//! A chain with one channel, its contract's rules, and reorganisations.

use crate::fixture::channel;
use crate::line::small;
use microraiden_protocol::{BlockNumber, ChainFacts, ChannelChange, ChannelEvent, Heads};

const CONFIRMATIONS: u64 = 2;
const FINALITY: u64 = 8;
const CHALLENGE_PERIOD: u32 = 6;

/// The events of the canonical chain up to its head.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    head: u64,
    events: Vec<ChannelEvent>,
}

/// What the contract holds for the channel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Contract {
    exists: bool,
    deposit: u64,
    withdrawn: u64,
    closing: Option<(u64, u64)>,
}

impl Contract {
    /// `cooperativeClose` with both signatures: during and after a challenge, too.
    pub(crate) fn accepts_close(&self, balance: u64) -> bool {
        self.exists && balance <= self.deposit && self.withdrawn <= balance
    }

    /// `withdraw` with the sender's signature.
    pub(crate) fn accepts_withdraw(&self, balance: u64) -> bool {
        self.exists
            && self.closing.is_none()
            && balance > 0
            && balance <= self.deposit
            && self.withdrawn < balance
    }
}

impl Chain {
    /// A channel that was opened with this deposit, just confirmed.
    pub(crate) fn new(deposit: u64) -> Self {
        let mut chain = Self {
            head: 0,
            events: Vec::new(),
        };
        chain.create(deposit);
        chain.mine(CONFIRMATIONS);
        chain
    }

    pub(crate) fn facts(&self) -> ChainFacts {
        let heads = Heads {
            confirmed: BlockNumber(self.head).saturating_sub(CONFIRMATIONS),
            last_final: BlockNumber(self.head).saturating_sub(FINALITY),
        };
        ChainFacts::from_events(&self.events, heads, CHALLENGE_PERIOD)
    }

    pub(crate) fn contract(&self) -> Contract {
        let mut contract = Contract::default();
        for event in &self.events {
            match event.change {
                ChannelChange::Created { deposit } => {
                    contract.exists = true;
                    contract.deposit = small(deposit);
                }
                ChannelChange::ToppedUp { added } => contract.deposit += small(added),
                ChannelChange::CloseRequested { closing_balance } => {
                    let settle_block = event.block.0 + u64::from(CHALLENGE_PERIOD);
                    contract.closing = Some((small(closing_balance), settle_block));
                }
                ChannelChange::Withdrawn { amount } => contract.withdrawn += small(amount),
                ChannelChange::Settled { .. } => contract.exists = false,
            }
        }
        contract
    }

    pub(crate) fn mine(&mut self, blocks: u64) {
        self.head += blocks;
    }

    /// The creation belongs to one block; a channel opened in another would be another channel.
    pub(crate) fn create(&mut self, deposit: u64) {
        let block = channel().opened_at().0;
        if self.events.is_empty() && self.head < block {
            self.head = block - 1;
            let deposit = deposit.into();
            self.push(ChannelChange::Created { deposit });
        }
    }

    pub(crate) fn top_up(&mut self, added: u64) {
        let contract = self.contract();
        if contract.exists && contract.closing.is_none() {
            self.push(ChannelChange::ToppedUp { added: added.into() });
        }
    }

    pub(crate) fn request_close(&mut self, closing_balance: u64) {
        let contract = self.contract();
        if contract.exists && contract.closing.is_none() && closing_balance <= contract.deposit {
            let closing_balance = closing_balance.into();
            self.push(ChannelChange::CloseRequested { closing_balance });
        }
    }

    /// `settle`, once the challenge period is over.
    pub(crate) fn settle(&mut self) {
        let contract = self.contract();
        if let Some((closing_balance, settle_block)) = contract.closing
            && contract.exists
            && self.head >= settle_block
        {
            self.push_settled(closing_balance.max(contract.withdrawn), &contract);
        }
    }

    pub(crate) fn close_cooperatively(&mut self, balance: u64) {
        let contract = self.contract();
        if contract.accepts_close(balance) {
            self.push_settled(balance, &contract);
        }
    }

    pub(crate) fn withdraw(&mut self, balance: u64) {
        let contract = self.contract();
        if contract.accepts_withdraw(balance) {
            let amount = (balance - contract.withdrawn).into();
            self.push(ChannelChange::Withdrawn { amount });
        }
    }

    /// Forgets the newest blocks and what happened in them.
    pub(crate) fn rewind(&mut self, blocks: u64) {
        self.head = self.head.saturating_sub(blocks);
        self.events.retain(|event| event.block.0 <= self.head);
    }

    fn push_settled(&mut self, balance: u64, contract: &Contract) {
        self.push(ChannelChange::Settled {
            balance: balance.into(),
            receiver_tokens: (balance - contract.withdrawn).into(),
        });
    }

    fn push(&mut self, change: ChannelChange) {
        self.head += 1;
        self.events.push(ChannelEvent {
            channel: channel(),
            block: BlockNumber(self.head),
            log_index: 0,
            change,
        });
    }
}
