//! A sender on one channel contract, with its key and its channels.

use crate::channel::{Action, Channel, Core};
use crate::error::ChannelError;
use crate::line::{ChannelRecord, ChannelState};
use crate::policy::DepositPolicy;
use microraiden_chain::{ChainError, Contract, Party, Wallet};
use microraiden_protocol::{
    Address, Amount, BlockNumber, ChainFacts, ChannelEvent, ChannelId, Deposit, Heads, Phase, SecretKey,
};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How many blocks' events are asked for at a time.
const SCAN_BLOCKS: u64 = 10_000;

/// A sender: opens channels and finds those it has; clones share them.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    scan_from: BlockNumber,
    channels: Arc<Mutex<HashMap<ChannelId, Channel>>>,
}

impl Client {
    /// A sender with this key on this contract. It sends its own transactions: no other program
    /// may send any with the same key at the same time.
    pub fn new(contract: Contract, key: SecretKey) -> Self {
        let wallet = Wallet::new(contract.node().clone(), key.clone());
        Self::with_wallet(contract, key, wallet)
    }

    /// As [`Self::new`], with a wallet that others use as well, or with options of its own.
    pub fn with_wallet(contract: Contract, key: SecretKey, wallet: Wallet) -> Self {
        Self {
            core: Arc::new(Core {
                contract,
                key,
                wallet,
            }),
            scan_from: BlockNumber(0),
            channels: Arc::default(),
        }
    }

    /// Looks for channels from this block on only: on a long chain, the one that holds the
    /// contract's creation.
    #[must_use]
    pub fn scan_from(mut self, block: BlockNumber) -> Self {
        self.scan_from = block;
        self
    }

    /// Who pays.
    pub fn address(&self) -> Address {
        self.core.wallet.address()
    }

    /// The contract that holds the deposits.
    pub fn contract(&self) -> &Contract {
        &self.core.contract
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// When the tokens or the gas money do not suffice, or the transaction fails.
    pub async fn open_channel(&self, receiver: Address, deposit: Deposit) -> Result<Channel, ChannelError> {
        let Core { contract, wallet, .. } = &*self.core;
        let (id, receipts) = contract.open_channel(wallet, receiver, deposit).await?;
        let channel = self.remember(ChannelRecord::found(id, deposit));
        channel.line().record.synced = true;
        channel.log(Action::Open, receipts);
        Ok(channel)
    }

    /// The sender's channels that the chain shows as open, to one receiver or to all; those that
    /// are closing or settled are left out.
    ///
    /// The balance of one that was not used here yet is unknown: only its receiver can tell.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn open_channels(&self, receiver: Option<Address>) -> Result<Vec<Channel>, ChainError> {
        let contract = self.contract();
        let head = contract.node().block_number().await?;
        let heads = Heads {
            confirmed: head,
            last_final: head,
        };
        let mut open = Vec::new();
        for (id, events) in self.events(head).await? {
            let facts = ChainFacts::from_events(&events, heads, contract.challenge_period());
            if facts.phase == Phase::Open && receiver.is_none_or(|receiver| receiver == id.receiver) {
                open.push(self.remember(ChannelRecord::found(id, facts.deposit)));
            }
        }
        // The node may not have seen yet what was closed here.
        open.retain(|channel| channel.state() == ChannelState::Open);
        Ok(open)
    }

    /// A channel that can pay `value` to a receiver: among the open ones the one with the least
    /// left that suffices; otherwise the one with the most left is topped up; otherwise a new one.
    ///
    /// # Errors
    /// When the policy does not allow the deposit, the tokens or the gas money do not suffice, or
    /// the chain fails.
    pub async fn get_suitable_channel(
        &self,
        receiver: Address,
        value: Amount,
        policy: &DepositPolicy,
    ) -> Result<Channel, ChannelError> {
        self.suitable(receiver, value, policy, |_| true).await
    }

    /// As [`Self::get_suitable_channel`], among channels that are free.
    pub(crate) async fn suitable(
        &self,
        receiver: Address,
        value: Amount,
        policy: &DepositPolicy,
        is_free: impl Fn(&ChannelId) -> bool,
    ) -> Result<Channel, ChannelError> {
        let mut open = self.open_channels(Some(receiver)).await?;
        open.retain(|channel| is_free(&channel.id()));
        if let Some(channel) = open
            .iter()
            .filter(|channel| channel.remaining() >= value)
            .min_by_key(|channel| channel.remaining())
        {
            return Ok(channel.clone());
        }
        if let Some(channel) = open.iter().max_by_key(|channel| channel.remaining())
            && let Some(added) = policy.top_up(value, channel.deposit(), channel.remaining())
        {
            channel.topup(added).await?;
            return Ok(channel.clone());
        }
        let deposit = policy.initial(value).ok_or(ChannelError::DepositLimit {
            needed: value,
            allowed: policy.max_deposit,
        })?;
        self.open_channel(receiver, deposit).await
    }

    /// Every event of the sender's channels up to the head, by channel, in the order of the chain.
    async fn events(&self, head: BlockNumber) -> Result<BTreeMap<ChannelId, Vec<ChannelEvent>>, ChainError> {
        let mut events: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut from = self.scan_from;
        while from <= head {
            let to = from.saturating_add(SCAN_BLOCKS - 1).min(head);
            let party = Party::Sender(self.address());
            for event in self.contract().events(party, from, to).await? {
                events.entry(event.channel).or_default().push(event);
            }
            from = to.saturating_add(1);
        }
        Ok(events)
    }

    /// The channel's handle, with what is known of it here already; deposits only grow.
    fn remember(&self, record: ChannelRecord) -> Channel {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let deposit = record.deposit;
        let channel = channels
            .entry(record.channel)
            .or_insert_with(|| Channel::new(self.core.clone(), record));
        let mut line = channel.line();
        line.record.deposit = line.record.deposit.max(deposit);
        drop(line);
        channel.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address())
    }
}
