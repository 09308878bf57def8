//! One channel of the sender's own.

use crate::book::{Book, Saving};
use crate::error::ChannelError;
use crate::line::{ChannelRecord, ChannelState, Line, Pending, Plan};
use microraiden_chain::{ChannelInfo, Contract, Receipt, Receipts, Signer, TransactionError, Wallet};
use microraiden_http::Challenge;
use microraiden_protocol::ledger::{Standing, StoredProof};
use microraiden_protocol::{
    Address, Amount, Balance, BalanceProof, BlockNumber, ChannelId, Deposit, Price, Signature,
};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What every channel of a client shares.
pub(crate) struct Core {
    pub(crate) contract: Contract,
    pub(crate) signer: Signer,
    pub(crate) wallet: Wallet,
    /// How many blocks must lie above a transaction before it counts.
    pub(crate) confirmations: u64,
    pub(crate) book: Book,
}

impl Core {
    /// Nothing is kept, and a transaction counts once it is mined.
    pub(crate) fn new(contract: Contract, signer: Signer, wallet: Wallet) -> Self {
        Self {
            contract,
            signer,
            wallet,
            confirmations: 0,
            book: Book::in_memory(),
        }
    }

    /// Waits until the last of these transactions is confirmed.
    pub(crate) async fn confirm(&self, mut receipts: Receipts) -> Result<Receipts, TransactionError> {
        if self.confirmations > 0
            && let Some(last) = receipts.0.pop()
        {
            receipts
                .0
                .push(self.wallet.confirm(last, self.confirmations).await?);
        }
        Ok(receipts)
    }
}

/// What a transaction did to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opened it.
    Open,
    /// Added to its deposit.
    TopUp,
    /// Closed and settled it with both signatures.
    CooperativeClose,
    /// Asked to close it; the challenge period began.
    UncooperativeClose,
    /// Settled it after the challenge period.
    Settle,
}

/// A channel that this client pays with; clones are handles of the same channel.
#[derive(Clone)]
pub struct Channel(Arc<Inner>);

struct Inner {
    id: ChannelId,
    core: Arc<Core>,
    line: Mutex<Line>,
    transactions: Mutex<Vec<(Action, Receipts)>>,
}

impl Channel {
    pub(crate) fn new(core: Arc<Core>, line: Line) -> Self {
        Self(Arc::new(Inner {
            id: line.record.channel,
            core,
            line: Mutex::new(line),
            transactions: Mutex::default(),
        }))
    }

    /// Its name in the contract.
    pub fn id(&self) -> ChannelId {
        self.0.id
    }

    /// Who pays: we.
    pub fn sender(&self) -> Address {
        self.0.id.sender
    }

    /// Who is paid.
    pub fn receiver(&self) -> Address {
        self.0.id.receiver
    }

    /// The block that opened it.
    pub fn block(&self) -> u32 {
        self.0.id.open_block
    }

    /// What the contract holds for it.
    pub fn deposit(&self) -> Deposit {
        self.line().record.deposit
    }

    /// The highest balance that was ever signed.
    pub fn balance(&self) -> Balance {
        self.line().record.signed_balance()
    }

    /// The signature for [`Self::balance`]; `None` while nothing was signed.
    pub fn balance_sig(&self) -> Option<Signature> {
        self.line().record.signed.map(|proof| proof.signature)
    }

    /// Where it is in its life.
    pub fn state(&self) -> ChannelState {
        self.line().record.state
    }

    /// What is left of the deposit for new payments.
    pub fn remaining(&self) -> Amount {
        self.line().record.remaining()
    }

    /// Everything that is remembered of it, as it is now.
    pub fn record(&self) -> ChannelRecord {
        self.line().record.clone()
    }

    /// The transactions that were sent for it here, in their order.
    pub fn transactions(&self) -> Vec<(Action, Receipts)> {
        self.0
            .transactions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Signs a balance that is higher by `amount`: the receiver can claim it from now on. The
    /// signature is in the channel book before it is given out.
    ///
    /// A [`Session`](crate::Session) that pays with this channel signs on its own.
    ///
    /// # Errors
    /// When the deposit does not cover it, the channel is closing, or the book cannot be written.
    pub async fn create_transfer(&self, amount: Amount) -> Result<BalanceProof, ChannelError> {
        let place = {
            let mut line = self.line();
            if line.record.state != ChannelState::Open {
                return Err(ChannelError::NotOpen(self.id()));
            }
            let planned = line.plan(Price::new(amount.base_units()), false);
            let plan = planned.map_err(|shortfall| ChannelError::AboveDeposit {
                channel: self.id(),
                remaining: line.record.remaining(),
                needed: shortfall.needed,
            })?;
            Place::take(self, &mut line, plan)
        };
        let (proof, mut place) = place.sign().await?;
        place.told(|line, pending| _ = line.served(pending, None));
        Ok(proof)
    }

    /// Adds to the deposit.
    ///
    /// # Errors
    /// When the channel is closing, or the transaction fails.
    pub async fn topup(&self, added: Amount) -> Result<Receipts, ChannelError> {
        self.require_open()?;
        let core = self.core();
        let receipts = core.contract.top_up(&core.wallet, &self.id(), added).await?;
        let receipts = core.confirm(receipts).await?;
        let saving = self.update(|line| {
            let record = &mut line.record;
            record.deposit = record.deposit.checked_add(added).unwrap_or(Deposit::MAX);
            record.seen = record.seen.max(mined_in(&receipts));
        });
        saving.done().await?;
        self.log(Action::TopUp, receipts.clone());
        Ok(receipts)
    }

    /// Asks the contract to close at everything that was ever signed; the challenge period begins.
    ///
    /// # Errors
    /// As [`Self::close_at`].
    pub async fn close(&self) -> Result<Receipt, ChannelError> {
        self.close_at(self.balance()).await.map(|(_, receipt)| receipt)
    }

    /// Asks the contract to close at `balance`, or at what the receiver has withdrawn if that is
    /// more; gives the balance too. The receiver can correct it until the challenge period is over.
    ///
    /// # Errors
    /// When the channel is closing or settled already, or the transaction fails.
    pub async fn close_at(&self, balance: Balance) -> Result<(Balance, Receipt), ChannelError> {
        self.require_open()?;
        let info = self.info().await?;
        if info.settle_block.is_some() {
            let saving = self.update(|line| line.record.state = ChannelState::Settling);
            saving.done().await?;
            return Err(ChannelError::NotOpen(self.id()));
        }
        let balance = balance.max(info.withdrawn);
        let core = self.core();
        let receipt = core
            .contract
            .uncooperative_close(&core.wallet, &self.id(), balance)
            .await?;
        self.ended(Action::UncooperativeClose, ChannelState::Settling, &receipt)
            .await?;
        Ok((balance, receipt))
    }

    /// Settles at once with the receiver's signature for everything that was ever signed.
    ///
    /// # Errors
    /// As [`Self::close_cooperatively_at`].
    pub async fn close_cooperatively(&self, closing_sig: &Signature) -> Result<Receipt, ChannelError> {
        self.close_cooperatively_at(self.balance(), closing_sig).await
    }

    /// Settles at once with the receiver's signature for `balance`. It works in the challenge
    /// period as well.
    ///
    /// # Errors
    /// When the receiver has not signed exactly this, without a transaction; when the channel is
    /// settled already; or when the transaction fails.
    pub async fn close_cooperatively_at(
        &self,
        balance: Balance,
        closing_sig: &Signature,
    ) -> Result<Receipt, ChannelError> {
        let core = self.core();
        let scheme = core.contract.scheme();
        if self.state() == ChannelState::Closed {
            return Err(ChannelError::NotOpen(self.id()));
        }
        if !scheme.is_closing_signature(closing_sig, &self.id(), balance) {
            return Err(ChannelError::ClosingSignature {
                channel: self.id(),
                balance,
            });
        }
        let agreed = StoredProof {
            balance,
            signature: *closing_sig,
        };
        self.update(|line| line.record.agreed = Some(agreed))
            .done()
            .await?;
        let ours = core
            .signer
            .sign_balance_proof(&scheme, self.id(), balance)
            .await?
            .signature;
        let receipt = core
            .contract
            .cooperative_close(&core.wallet, &self.id(), balance, &ours, closing_sig)
            .await?;
        self.ended(Action::CooperativeClose, ChannelState::Closed, &receipt)
            .await?;
        Ok(receipt)
    }

    /// Settles after the challenge period.
    ///
    /// # Errors
    /// When no close was requested, the challenge period is not over, or the transaction fails.
    pub async fn settle(&self) -> Result<Receipt, ChannelError> {
        let channel = self.id();
        let settle_block = self
            .info()
            .await?
            .settle_block
            .ok_or(ChannelError::NotClosing(channel))?;
        let core = self.core();
        let now = core.contract.node().block_number().await?;
        // The transaction lies in the next block at the earliest.
        if now < settle_block {
            return Err(ChannelError::ChallengePeriod {
                channel,
                settle_block,
                now,
            });
        }
        let receipt = core.contract.settle(&core.wallet, &channel).await?;
        self.ended(Action::Settle, ChannelState::Closed, &receipt).await?;
        Ok(receipt)
    }

    /// What the contract holds of it now.
    ///
    /// # Errors
    /// When it is settled, or the node does not answer.
    pub async fn info(&self) -> Result<ChannelInfo, ChannelError> {
        let info = self.core().contract.channel_info(&self.id()).await?;
        info.ok_or(ChannelError::Gone(self.id()))
    }

    /// What a receiver says of this channel, if it proves it: a balance above nothing needs our
    /// own signature, and the deposit must cover it.
    pub(crate) fn proven(&self, challenge: &Challenge) -> Option<Standing> {
        let standing = Standing {
            balance: challenge.sender_balance?,
            signature: challenge.balance_signature,
            credit: challenge.credit.unwrap_or_default(),
            refund: challenge.refund,
        };
        if standing.balance.is_zero() {
            return Some(standing);
        }
        let proof = BalanceProof {
            channel: self.id(),
            balance: standing.balance,
            signature: standing.signature?,
        };
        let covered = standing.balance <= self.deposit().limit();
        (covered && proof.verify(&self.core().contract.scheme()).is_ok()).then_some(standing)
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    pub(crate) fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered, and has the book written.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Line)) -> Saving {
        let mut line = self.line();
        change(&mut line);
        self.core().book.save(&line.record)
    }

    /// Takes over what the chain shows at `head`, unless something newer is known; no
    /// `info` when the contract does not know the channel any more.
    #[must_use]
    pub(crate) fn observe(&self, info: Option<&ChannelInfo>, head: BlockNumber) -> Option<Saving> {
        let mut line = self.line();
        let record = &mut line.record;
        if head < record.seen {
            return None;
        }
        let was = (record.state, record.deposit);
        record.state = match info {
            None => ChannelState::Closed,
            Some(info) if info.settle_block.is_some() => ChannelState::Settling,
            Some(_) => ChannelState::Open,
        };
        record.deposit = info.map_or(record.deposit, |info| info.deposit);
        if (record.state, record.deposit) == was {
            return None;
        }
        record.seen = head;
        Some(self.core().book.save(record))
    }

    /// A transaction has ended payments, or the channel itself.
    async fn ended(
        &self,
        action: Action,
        state: ChannelState,
        receipt: &Receipt,
    ) -> Result<(), ChannelError> {
        let saving = self.update(|line| {
            line.record.state = state;
            line.record.seen = line.record.seen.max(receipt.block.number);
        });
        saving.done().await?;
        let receipts = self.core().confirm(Receipts(vec![receipt.clone()])).await?;
        self.log(action, receipts);
        Ok(())
    }

    pub(crate) fn log(&self, action: Action, receipts: Receipts) {
        tracing::info!(channel = %self.id(), ?action, gas = receipts.gas_used(), "transaction mined");
        self.0
            .transactions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((action, receipts));
    }

    fn require_open(&self) -> Result<(), ChannelError> {
        match self.state() {
            ChannelState::Open => Ok(()),
            ChannelState::Settling | ChannelState::Closed => Err(ChannelError::NotOpen(self.id())),
        }
    }
}

/// A place on a channel's line that is being signed. Dropped before it is signed, it is given back;
/// afterwards, the payment in it counts as sent and unanswered.
pub(crate) struct Place {
    channel: Channel,
    pending: Option<Pending>,
    plan: Plan,
    is_signed: bool,
}

impl Place {
    /// Takes a place that was planned under the same lock.
    pub(crate) fn take(channel: &Channel, line: &mut Line, plan: Plan) -> Self {
        Self {
            channel: channel.clone(),
            pending: Some(line.take(plan)),
            plan,
            is_signed: false,
        }
    }

    /// Signs the payment in this place, and waits until the signature is in the book.
    pub(crate) async fn sign(mut self) -> Result<(BalanceProof, Self), ChannelError> {
        let core = self.channel.core();
        let scheme = core.contract.scheme();
        let signing = core
            .signer
            .sign_balance_proof(&scheme, self.channel.id(), self.plan.top);
        let proof = signing.await?;
        let signed = StoredProof {
            balance: proof.balance,
            signature: proof.signature,
        };
        let saving = self.channel.update(|line| line.signed(signed));
        self.is_signed = true;
        saving.done().await?;
        Ok((proof, self))
    }

    /// The same proof was sent before and never answered.
    pub(crate) fn is_resent(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.resent)
    }

    /// Tells the outcome, once.
    pub(crate) fn told(&mut self, outcome: impl FnOnce(&mut Line, &Pending)) {
        let pending = self.pending.take().expect("its outcome is told once");
        // What is lost with it, the receiver tells again.
        self.channel.update(|line| outcome(line, &pending)).unawaited();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.pending.is_none() {
            return;
        }
        match self.is_signed {
            true => self.told(Line::unanswered),
            false => self.told(Line::refused),
        }
    }
}

/// The block of the last of these transactions.
pub(crate) fn mined_in(receipts: &Receipts) -> BlockNumber {
    receipts
        .0
        .last()
        .map(|receipt| receipt.block.number)
        .unwrap_or_default()
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.id())
    }
}
