//! A sender on one channel contract, with its key and its channels.

use crate::allow::{self, AllowedContract};
use crate::book::{Book, BookContents, Owner};
use crate::channel::{Action, Channel, Core, mined_in};
use crate::claims::Claims;
use crate::error::ChannelError;
use crate::line::{ChannelRecord, ChannelState, Line};
use crate::policy::DepositPolicy;
use microraiden_chain::{Chunk, Contract, Party, Signer, Wallet, WalletOptions};
use microraiden_protocol::{Address, Amount, BlockNumber, ChannelId, Deposit};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many blocks are looked at again, since they may have been replaced.
const LOOK_BACK: u64 = 100;
/// So many blocks after its end, a channel is looked at again for the same reason.
const ENDED_FOR: u64 = 1_000;

/// How a [`Client`] is opened.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// The file of the channel book; it is made if there is none. Without one, everything is
    /// forgotten with the client: only for tests, and for those who keep
    /// [`ChannelRecord`]s themselves.
    pub book: Option<PathBuf>,
    /// How long to wait for another process that pays with the same book; not at all by default.
    pub book_wait: Duration,
    /// Looks for channels from this block on only: on a long chain, the one that holds the
    /// contract's creation.
    pub scan_from: BlockNumber,
    /// How many blocks must lie above a transaction before it counts; none by default, since
    /// receivers wait for as many as they want.
    pub confirmations: u64,
    /// How transactions are sent.
    pub wallet: WalletOptions,
    /// Contracts that are trusted besides those with this project's code and the known originals.
    pub allowed: Vec<AllowedContract>,
}

/// Where a payment comes from.
#[derive(Debug, Clone)]
pub enum Funding {
    /// A channel that has enough left.
    Channel(Channel),
    /// A channel after this was added to its deposit.
    TopUp(Channel, Amount),
    /// A new channel with this deposit.
    Open(Deposit),
}

/// A sender: opens channels and finds those it has; clones share them.
///
/// The channel book is free for another process once the last clone, and the last of its channels
/// and sessions, is dropped.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    channels: Arc<Mutex<BTreeMap<ChannelId, Channel>>>,
    scanned_to: Arc<Mutex<BlockNumber>>,
    claims: Arc<Claims>,
}

impl Client {
    /// Opens the sender's channel book, or makes one, and takes its channels from it.
    ///
    /// It sends its own transactions: no other program may send any with the same key at the same time.
    ///
    /// # Errors
    /// When the contract is not one that is trusted, or the book cannot be used.
    pub async fn open(
        contract: Contract,
        signer: impl Into<Signer>,
        options: ClientOptions,
    ) -> Result<Self, ChannelError> {
        allow::check(&contract, &options.allowed)?;
        let signer = signer.into();
        let wallet = Wallet::with_options(contract.node().clone(), signer.clone(), options.wallet);
        let mut core = Core::new(contract, signer, wallet);
        core.confirmations = options.confirmations;
        let Some(path) = options.book else {
            return Ok(Self::of(core, Vec::new()).scan_from(options.scan_from));
        };
        let owner = Owner::of(&core.contract, core.signer.address()).await?;
        let (wait, scan_from) = (options.book_wait, options.scan_from);
        let opening = tokio::task::spawn_blocking(move || Book::open(&path, &owner, scan_from, wait));
        let (book, contents) = opening.await.expect("opening a book does not panic")?;
        core.book = book;
        let client = Self::of(core, contents.channels);
        *client.scanned() = contents.scanned_to;
        Ok(client)
    }

    /// Looks at the channels of a sender without its key: those in its book, which another process
    /// may be using, and those that [`Self::sync`] finds. Nothing is written, and whatever needs a
    /// signature fails.
    ///
    /// # Errors
    /// When the node does not answer, or the book is not the sender's.
    pub async fn look(
        contract: Contract,
        sender: Address,
        options: ClientOptions,
    ) -> Result<Self, ChannelError> {
        let signer = Signer::watching(sender);
        let wallet = Wallet::new(contract.node().clone(), signer.clone());
        let owner = Owner::of(&contract, sender).await?;
        let core = Core::new(contract, signer, wallet);
        let contents = match &options.book {
            Some(path) => BookContents::read_of(path, &owner)?,
            None => None,
        };
        let Some(contents) = contents else {
            return Ok(Self::of(core, Vec::new()).scan_from(options.scan_from));
        };
        let client = Self::of(core, contents.channels);
        *client.scanned() = contents.scanned_to;
        Ok(client)
    }

    /// A sender with this key on this contract, which you vouch for. It remembers its channels as
    /// long as it lives; [`Self::open`] is for those that must survive it.
    pub fn new(contract: Contract, signer: impl Into<Signer>) -> Self {
        let signer = signer.into();
        let wallet = Wallet::new(contract.node().clone(), signer.clone());
        Self::of(Core::new(contract, signer, wallet), Vec::new())
    }

    /// As [`Self::new`], with a wallet that others use as well, or with options of its own.
    pub fn with_wallet(contract: Contract, signer: impl Into<Signer>, wallet: Wallet) -> Self {
        Self::of(Core::new(contract, signer.into(), wallet), Vec::new())
    }

    fn of(core: Core, records: Vec<ChannelRecord>) -> Self {
        let core = Arc::new(core);
        let channels = records.into_iter().map(|record| {
            let id = record.channel;
            (id, Channel::new(core.clone(), Line::resumed(record)))
        });
        Self {
            channels: Arc::new(Mutex::new(channels.collect())),
            scanned_to: Arc::default(),
            claims: Arc::default(),
            core,
        }
    }

    /// Looks for channels from this block on only: on a long chain, the one that holds the
    /// contract's creation.
    #[must_use]
    pub fn scan_from(self, block: BlockNumber) -> Self {
        *self.scanned() = BlockNumber(block.0.saturating_sub(1));
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

    /// The wallet that sends the sender's transactions.
    pub fn wallet(&self) -> &Wallet {
        &self.core.wallet
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// When the tokens or the gas money do not suffice, the transaction fails, or the book cannot be
    /// written. A channel that was opened all the same is found by [`Self::sync`].
    pub async fn open_channel(&self, receiver: Address, deposit: Deposit) -> Result<Channel, ChannelError> {
        let Core { contract, wallet, .. } = &*self.core;
        let (mut id, receipts) = contract.open_channel(wallet, receiver, deposit).await?;
        let receipts = self.core.confirm(receipts).await?;
        // A transaction that has moved to another block has opened the channel there.
        id.open_block = u32::try_from(mined_in(&receipts).0).unwrap_or(id.open_block);
        let channel = self.remember(ChannelRecord::found(id, deposit, mined_in(&receipts)));
        // Nobody has signed anything on it yet.
        let saving = channel.update(|line| line.record.synced = true);
        saving.done().await?;
        channel.log(Action::Open, receipts);
        Ok(channel)
    }

    /// Brings the channels up to what the chain shows: those that are new here, deposits, closes and
    /// settlements. Only blocks that were not looked at before are searched for new channels.
    ///
    /// The balance of a channel that is new here is unknown: only its receiver can tell.
    ///
    /// # Errors
    /// When the node does not answer, or the book cannot be written.
    pub async fn sync(&self) -> Result<(), ChannelError> {
        self.sync_with(|_, _| ()).await
    }

    /// As [`Self::sync`]; tells after each range the block it has reached, and the last one.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn sync_with(&self, progress: impl Fn(BlockNumber, BlockNumber)) -> Result<(), ChannelError> {
        let contract = self.contract();
        let head = contract.node().block_number().await?;
        let mut chunk = Chunk::default();
        let mut from = BlockNumber(self.scanned().0.saturating_sub(LOOK_BACK));
        while from <= head {
            let party = Party::Sender(self.address());
            let (events, to) = contract.events_from(party, from, head, &mut chunk).await?;
            let named: BTreeSet<_> = events.iter().map(|event| event.channel).collect();
            for id in named {
                if self.channel(&id).is_none()
                    && let Some(info) = contract.channel_info(&id).await?
                {
                    let found = self.remember(ChannelRecord::found(id, info.deposit, BlockNumber(0)));
                    // Written before the block is, in the same order: it is not looked for again.
                    found.update(|_| ()).unawaited();
                }
            }
            let reached = to.max(*self.scanned());
            *self.scanned() = reached;
            self.core.book.set_scanned_to(reached).done().await?;
            progress(to, head);
            from = to.saturating_add(1);
        }
        for channel in self.channels() {
            let record = channel.record();
            if record.state != ChannelState::Closed || record.seen.saturating_add(ENDED_FOR) > head {
                let info = contract.channel_info(&channel.id()).await?;
                if let Some(saving) = channel.observe(info.as_ref(), head) {
                    saving.done().await?;
                }
            }
        }
        Ok(())
    }

    /// Every channel that is known here, whatever its state; [`Self::sync`] looks for others.
    pub fn channels(&self) -> Vec<Channel> {
        self.known().values().cloned().collect()
    }

    /// A channel that is known here.
    pub fn channel(&self, id: &ChannelId) -> Option<Channel> {
        self.known().get(id).cloned()
    }

    /// Removes a channel from the book, with every signature and what was paid. A channel that is
    /// not settled is found again by [`Self::sync`]; then only its receiver knows the balance.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub async fn forget(&self, id: &ChannelId) -> Result<(), ChannelError> {
        self.known().remove(id);
        Ok(self.core.book.remove(*id).done().await?)
    }

    /// The sender's channels that the chain shows as open, to one receiver or to all; those that
    /// are closing or settled are left out.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn open_channels(&self, receiver: Option<Address>) -> Result<Vec<Channel>, ChannelError> {
        self.sync().await?;
        let mut open = self.channels();
        open.retain(|channel| {
            channel.state() == ChannelState::Open
                && receiver.is_none_or(|receiver| receiver == channel.receiver())
        });
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
        match self.funding(receiver, value, policy, is_free).await? {
            Funding::Channel(channel) => Ok(channel),
            Funding::TopUp(channel, added) => {
                channel.topup(added).await?;
                Ok(channel)
            }
            Funding::Open(deposit) => self.open_channel(receiver, deposit).await,
        }
    }

    /// Where a payment would come from, among channels that are free.
    pub(crate) async fn funding(
        &self,
        receiver: Address,
        value: Amount,
        policy: &DepositPolicy,
        is_free: impl Fn(&ChannelId) -> bool,
    ) -> Result<Funding, ChannelError> {
        let mut open = self.open_channels(Some(receiver)).await?;
        open.retain(|channel| is_free(&channel.id()));
        if let Some(channel) = open
            .iter()
            .filter(|channel| channel.remaining() >= value)
            .min_by_key(|channel| channel.remaining())
        {
            return Ok(Funding::Channel(channel.clone()));
        }
        if let Some(channel) = open.iter().max_by_key(|channel| channel.remaining())
            && let Some(added) = policy.top_up(value, channel.deposit(), channel.remaining())
        {
            return Ok(Funding::TopUp(channel.clone(), added));
        }
        let deposit = policy.initial(value).ok_or(ChannelError::DepositLimit {
            needed: value,
            allowed: policy.max_deposit,
        })?;
        Ok(Funding::Open(deposit))
    }

    pub(crate) fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    /// The channel's handle, with what is known of it here already.
    fn remember(&self, record: ChannelRecord) -> Channel {
        let mut channels = self.known();
        let channel = channels
            .entry(record.channel)
            .or_insert_with(|| Channel::new(self.core.clone(), Line::new(record)));
        channel.clone()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last block whose events have been looked at.
    fn scanned(&self) -> MutexGuard<'_, BlockNumber> {
        self.scanned_to.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address())
    }
}
