//! The channel manager's state, and how it follows the chain.

use microraiden_chain::{Contract, Party, Wallet};
use microraiden_protocol::{
    Amount, Balance, BlockNumber, ChannelChange, ChannelEvent, ChannelId, Deposit, SecretKey, Signature,
};
use std::collections::BTreeMap;

/// How many blocks must lie above an event.
const CONFIRMATIONS: u64 = 1;

/// A channel as the state file has it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What is confirmed of it.
    pub(super) deposit: Deposit,
    pub(super) balance: Balance,
    /// As it was sent.
    pub(super) last_signature: Option<String>,
    /// Closed, or about to be.
    pub(super) is_closed: bool,
    pub(super) settle_timeout: Option<BlockNumber>,
    pub(super) is_confirmed: bool,
}

impl Row {
    fn new(deposit: Deposit, is_confirmed: bool) -> Self {
        Self {
            deposit,
            balance: Balance::ZERO,
            last_signature: None,
            is_closed: false,
            settle_timeout: None,
            is_confirmed,
        }
    }
}

/// What the state file holds.
#[derive(Debug, Clone, Default)]
pub struct Book {
    channels: BTreeMap<ChannelId, Row>,
    unconfirmed_head: BlockNumber,
    confirmed_head: BlockNumber,
    settled: Amount,
    disputes: u64,
}

/// Why a close is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoClose {
    Unknown,
    Closed,
    /// Nothing was ever paid; nobody catches that exception.
    NoPayment,
    WrongBalance,
}

impl Book {
    /// The channel, if it is confirmed.
    pub(super) fn channel(&self, channel: &ChannelId) -> Option<&Row> {
        self.channels.get(channel).filter(|row| row.is_confirmed)
    }

    /// Every confirmed channel.
    pub(super) fn channels(&self) -> impl Iterator<Item = (&ChannelId, &Row)> {
        self.channels.iter().filter(|(_, row)| row.is_confirmed)
    }

    pub(super) fn is_unconfirmed(&self, channel: &ChannelId) -> bool {
        self.channels.get(channel).is_some_and(|row| !row.is_confirmed)
    }

    pub(super) fn owed(&self) -> Amount {
        self.channels.values().fold(self.settled, |sum, row| {
            let balance = Amount::new(row.balance.base_units());
            sum.checked_add(balance).expect("a sum of deposits")
        })
    }

    pub(super) fn disputes(&self) -> u64 {
        self.disputes
    }

    pub(super) fn head(&self) -> BlockNumber {
        self.unconfirmed_head
    }

    /// Stores a payment whose signature and amount are right; whether it did.
    pub(super) fn register(&mut self, channel: &ChannelId, balance: Balance, signature: &str) -> bool {
        let Some(row) = self.channels.get_mut(channel) else {
            return false;
        };
        if balance <= row.balance || balance > row.deposit.limit() {
            return false;
        }
        row.balance = balance;
        row.last_signature = Some(signature.to_owned());
        true
    }

    /// Marks a channel as closed, for which its closing signature is given away.
    pub(super) fn promise_close(&mut self, channel: &ChannelId, balance: &str) -> Result<Balance, NoClose> {
        let row = self.channels.get_mut(channel).filter(|row| row.is_confirmed);
        let row = row.ok_or(NoClose::Unknown)?;
        if row.is_closed {
            return Err(NoClose::Closed);
        }
        if row.last_signature.is_none() {
            return Err(NoClose::NoPayment);
        }
        if row.balance.to_string() != balance {
            return Err(NoClose::WrongBalance);
        }
        row.is_closed = true;
        Ok(row.balance)
    }

    /// Takes over what has happened on the chain since the last time.
    pub(super) async fn poll(&mut self, contract: &Contract, key: &SecretKey, wallet: &Wallet) {
        let head = contract.node().block_number().await.expect("the node answers");
        if head <= self.unconfirmed_head {
            return;
        }
        let confirmed = head.saturating_sub(CONFIRMATIONS);
        let seen = self.events(contract, key, self.unconfirmed_head, head).await;
        let counted = self.events(contract, key, self.confirmed_head, confirmed).await;
        for event in seen {
            if let ChannelChange::Created { deposit } = event.change {
                self.channels
                    .entry(event.channel)
                    .or_insert_with(|| Row::new(deposit, false));
            }
        }
        for event in &counted {
            self.count(event);
        }
        for event in counted {
            if let ChannelChange::CloseRequested { closing_balance } = event.change {
                self.close_requested(contract, key, wallet, event.channel, closing_balance)
                    .await;
            }
        }
        self.unconfirmed_head = head;
        self.confirmed_head = confirmed;
    }

    /// The events above `from` up to `to`.
    async fn events(
        &self,
        contract: &Contract,
        key: &SecretKey,
        from: BlockNumber,
        to: BlockNumber,
    ) -> Vec<ChannelEvent> {
        let from = from.saturating_add(1);
        if from > to {
            return Vec::new();
        }
        let party = Party::Receiver(key.address());
        contract.events(party, from, to).await.expect("the node answers")
    }

    /// A confirmed event that asks for nothing.
    fn count(&mut self, event: &ChannelEvent) {
        let channel = event.channel;
        match event.change {
            ChannelChange::Created { deposit } => {
                if self.channel(&channel).is_none() {
                    self.channels.insert(channel, Row::new(deposit, true));
                }
            }
            ChannelChange::ToppedUp { added } => {
                let row = self
                    .channels
                    .get_mut(&channel)
                    .expect("a top-up of a known channel");
                if !row.is_closed {
                    row.deposit = row.deposit.checked_add(added).expect("a deposit");
                }
            }
            ChannelChange::Settled { .. } => {
                let row = self.channels.remove(&channel).expect("a known channel");
                let balance = Amount::new(row.balance.base_units());
                self.settled = self.settled.checked_add(balance).expect("a sum of deposits");
            }
            ChannelChange::CloseRequested { .. } | ChannelChange::Withdrawn { .. } => {}
        }
    }

    async fn close_requested(
        &mut self,
        contract: &Contract,
        key: &SecretKey,
        wallet: &Wallet,
        channel: ChannelId,
        closing_balance: Balance,
    ) {
        let Some(row) = self.channels.get_mut(&channel) else {
            return;
        };
        row.is_closed = true;
        let info = contract.channel_info(&channel).await.expect("the node answers");
        row.settle_timeout = info.and_then(|info| info.settle_block);
        if row.balance <= closing_balance {
            return;
        }
        // "sender tried to cheat"
        self.disputes += 1;
        let ours: Signature = row
            .last_signature
            .as_deref()
            .and_then(|signature| signature.parse().ok())
            .expect("a stored signature");
        let closing = contract.scheme().sign_closing(key, &channel, row.balance);
        contract
            .cooperative_close(wallet, &channel, row.balance, &ours, &closing)
            .await
            .expect("the contract agrees");
    }
}
