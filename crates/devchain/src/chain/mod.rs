//! The chain itself: state, transaction pool and blocks. Pure logic behind one lock; no I/O, no async.

mod ask;
mod block;
mod clock;
mod dump;
mod edit;
mod execute;
mod mine;
mod news;
mod overrides;
mod pool;
mod reorganise;
mod signers;
mod state;
mod submit;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::DatabaseRef;
use tokio::sync::watch;

pub(crate) use self::{
    ask::CallError,
    block::Block,
    edit::CodeError,
    execute::HARDFORK,
    news::Cursor,
    overrides::Overrides,
    signers::{PRIORITY_FEE_WEI, SignError},
    submit::SubmitError,
};
use self::{
    clock::Clock,
    execute::BlockContext,
    news::News,
    pool::Pool,
    reorganise::Snapshot,
    signers::Signers,
    state::{Account, Mark, State, View},
};
pub use self::{dump::LoadError, reorganise::ReorganiseError};
use crate::Config;

/// How far the tags `safe` and `finalized` stay behind the newest block.
const SAFE_DISTANCE_BLOCKS: u64 = 32;
const FINALIZED_DISTANCE_BLOCKS: u64 = 64;

/// A chain of blocks from genesis to the newest, and the transactions that wait for the next.
pub(crate) struct Chain {
    chain_id: u64,
    block_gas_limit: u64,
    /// The base fee of the next block, if it was set by hand.
    next_base_fee_wei: Option<u64>,
    /// Who gets the priority fees.
    coinbase: Address,
    /// Whether a block is mined as soon as an executable transaction arrives.
    instant: bool,
    /// How often a block is mined regardless of transactions.
    interval: watch::Sender<Option<Duration>>,
    signers: Signers,
    /// Each block at the index that is its number; never empty.
    blocks: Vec<Arc<Block>>,
    /// For each block the state after it, and after the changes by hand that followed it.
    marks: Vec<Mark>,
    block_numbers: HashMap<B256, u64>,
    /// The block and the index there of each transaction. It has more than one place if its sender's nonce was set back by
    /// hand and it came again.
    transactions: HashMap<B256, Vec<(u64, usize)>>,
    state: State,
    pool: Pool,
    clock: Clock,
    /// How often the chain was reorganised: it enters `prevrandao`, so that no block comes back with the same hash.
    reorganisations: u64,
    snapshots: BTreeMap<u64, Snapshot>,
    snapshots_taken: u64,
    news: News,
}

/// The one chain of a node, shared by its server and its miner.
#[derive(Clone)]
pub(crate) struct SharedChain(Arc<Mutex<Chain>>);

impl SharedChain {
    pub(crate) fn new(chain: Chain) -> Self {
        Self(Arc::new(Mutex::new(chain)))
    }

    /// Exclusive access; never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Chain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which state a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// After the block of this number.
    Block(u64),
    /// In the next block, after the transactions that wait.
    Pending,
}

/// There is no such block.
#[derive(Debug, thiserror::Error)]
#[error("unknown block")]
pub(crate) struct UnknownBlock;

impl Chain {
    /// A chain of the genesis block alone.
    pub(crate) fn new(config: &Config) -> Self {
        let mut state = State::default();
        for account in &config.accounts {
            state.edit(account.address, |account| {
                account.balance = config.account_balance_wei;
            });
        }
        let mut clock = Clock::default();
        if let Some(timestamp) = config.genesis_timestamp_s {
            clock.set_now(timestamp);
        }
        let context = BlockContext {
            number: 0,
            timestamp: config.genesis_timestamp_s.unwrap_or_else(|| clock.peek(0)),
            gas_limit: config.block_gas_limit,
            base_fee_wei: config.base_fee_wei,
            prevrandao: B256::ZERO,
            coinbase: Address::ZERO,
        };
        let mut chain = Self {
            chain_id: config.chain_id,
            block_gas_limit: config.block_gas_limit,
            next_base_fee_wei: None,
            coinbase: Address::ZERO,
            instant: config.mining.instant,
            interval: watch::Sender::new(config.mining.interval.filter(|interval| !interval.is_zero())),
            signers: Signers::new(&config.accounts, config.auto_impersonate),
            blocks: Vec::new(),
            marks: Vec::new(),
            block_numbers: HashMap::new(),
            transactions: HashMap::new(),
            state,
            pool: Pool::default(),
            clock,
            reorganisations: 0,
            snapshots: BTreeMap::new(),
            snapshots_taken: 0,
            news: News::default(),
        };
        let mark = chain.state.mark();
        chain.append(
            Block::seal(B256::ZERO, &context, Vec::new(), mark.commitment),
            mark,
        );
        chain
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    pub(crate) fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    pub(crate) fn instant(&self) -> bool {
        self.instant
    }

    pub(crate) fn set_instant(&mut self, instant: bool) {
        self.instant = instant;
    }

    /// How often a block is mined regardless of transactions; watched by whoever mines it.
    pub(crate) fn interval(&self) -> &watch::Sender<Option<Duration>> {
        &self.interval
    }

    pub(crate) fn block_gas_limit(&self) -> u64 {
        self.block_gas_limit
    }

    pub(crate) fn coinbase(&self) -> Address {
        self.coinbase
    }

    pub(crate) fn signers(&mut self) -> &mut Signers {
        &mut self.signers
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The newest block.
    pub(crate) fn head(&self) -> &Arc<Block> {
        self.blocks.last().expect("a chain always has its genesis block")
    }

    /// The number of the newest block.
    pub(crate) fn number(&self) -> u64 {
        self.head().header.number
    }

    /// The block of a number.
    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// The block of a hash, if it still belongs to the chain.
    pub(crate) fn block_by_hash(&self, hash: &B256) -> Option<&Arc<Block>> {
        self.block_numbers
            .get(hash)
            .and_then(|number| self.block(*number))
    }

    /// The newest block with a mined transaction, and its index there.
    pub(crate) fn mined(&self, transaction: &B256) -> Option<(&Block, usize)> {
        let (number, index) = self.transactions.get(transaction)?.last()?;
        Some((self.block(*number)?, *index))
    }

    /// A transaction that waits for a block.
    pub(crate) fn waiting(&self, transaction: &B256) -> Option<&Recovered<TxEnvelope>> {
        self.pool.get(transaction)
    }

    /// The transaction of a sender with a nonce, mined or waiting. It looks through all blocks.
    pub(crate) fn sent(&self, sender: Address, nonce: u64) -> Option<B256> {
        let mined = self
            .blocks
            .iter()
            .rev()
            .flat_map(|block| block.transactions.iter().map(|executed| &executed.transaction));
        mined
            .chain(self.pool.all())
            .find(|transaction| transaction.signer() == sender && transaction.nonce() == nonce)
            .map(|transaction| *transaction.hash())
    }

    /// What a number or tag means now. The number of the next block is as unknown as any other.
    pub(crate) fn resolve_number(&self, number: BlockNumberOrTag) -> Result<At, UnknownBlock> {
        let head = self.number();
        match number {
            BlockNumberOrTag::Latest => Ok(At::Block(head)),
            BlockNumberOrTag::Safe => Ok(At::Block(head.saturating_sub(SAFE_DISTANCE_BLOCKS))),
            BlockNumberOrTag::Finalized => Ok(At::Block(head.saturating_sub(FINALIZED_DISTANCE_BLOCKS))),
            BlockNumberOrTag::Earliest => Ok(At::Block(0)),
            BlockNumberOrTag::Pending => Ok(At::Pending),
            BlockNumberOrTag::Number(number) if number <= head => Ok(At::Block(number)),
            BlockNumberOrTag::Number(_) => Err(UnknownBlock),
        }
    }

    /// What a number, tag or hash means now.
    pub(crate) fn resolve(&self, id: BlockId) -> Result<At, UnknownBlock> {
        match id {
            BlockId::Number(number) => self.resolve_number(number),
            BlockId::Hash(hash) => self
                .block_numbers
                .get(&hash.block_hash)
                .map(|number| At::Block(*number))
                .ok_or(UnknownBlock),
        }
    }

    /// The balance of an account.
    pub(crate) fn balance(&self, address: Address, at: At) -> U256 {
        match at {
            At::Block(_) => self.account(address, at).balance,
            At::Pending => {
                let Ok(account) = self.pending().1.basic_ref(address);
                account.unwrap_or_default().balance
            }
        }
    }

    /// The nonce of an account's next transaction; at [`At::Pending`] after those that wait.
    pub(crate) fn nonce(&self, address: Address, at: At) -> u64 {
        let nonce = self.account(address, at).nonce;
        match at {
            At::Block(_) => nonce,
            At::Pending => self.pool.next_nonce(address, nonce),
        }
    }

    /// The code of an account.
    pub(crate) fn code(&self, address: Address, at: At) -> Bytes {
        match at {
            At::Block(_) => self.state.code(address, self.version(at)),
            At::Pending => {
                let state = self.pending().1;
                let Ok(account) = state.basic_ref(address);
                let Ok(code) = state.code_by_hash_ref(account.unwrap_or_default().code_hash);
                code.original_bytes()
            }
        }
    }

    /// A storage slot of an account.
    pub(crate) fn storage(&self, address: Address, slot: U256, at: At) -> U256 {
        match at {
            At::Block(_) => self.state.storage(address, slot, self.version(at)),
            At::Pending => {
                let Ok(value) = self.pending().1.storage_ref(address, slot);
                value
            }
        }
    }

    /// What an address owns; transactions that wait do not count here.
    fn account(&self, address: Address, at: At) -> Account {
        self.state.account(address, self.version(at))
    }

    fn version(&self, at: At) -> u64 {
        match at {
            At::Block(number) => usize::try_from(number)
                .ok()
                .and_then(|index| self.marks.get(index))
                .map_or(self.state.mark().version, |mark| mark.version),
            At::Pending => self.state.mark().version,
        }
    }

    fn view(&self, at: At) -> View<'_> {
        View {
            state: &self.state,
            blocks: &self.blocks,
            version: self.version(at),
        }
    }

    /// Makes a block the newest, with the state after it.
    fn append(&mut self, block: Block, mark: Mark) {
        let number = block.header.number;
        self.block_numbers.insert(block.hash(), number);
        for (index, executed) in block.transactions.iter().enumerate() {
            self.transactions
                .entry(*executed.transaction.hash())
                .or_default()
                .push((number, index));
        }
        self.blocks.push(Arc::new(block));
        self.marks.push(mark);
        self.news.wake();
    }

    /// Takes the newest block away, but never genesis.
    fn pop(&mut self) -> Option<Arc<Block>> {
        if self.blocks.len() == 1 {
            return None;
        }
        let block = self.blocks.pop()?;
        self.marks.pop();
        self.block_numbers.remove(&block.hash());
        for executed in &block.transactions {
            if let Entry::Occupied(mut places) = self.transactions.entry(*executed.transaction.hash()) {
                places.get_mut().pop();
                if places.get().is_empty() {
                    places.remove();
                }
            }
        }
        self.news.block_dropped(block.clone());
        Some(block)
    }

    /// The state after the newest block and the changes by hand since.
    fn newest_mark(&mut self) -> &mut Mark {
        self.marks
            .last_mut()
            .expect("a chain always has its genesis block")
    }
}
