//! The chain as a text, and back.

use std::sync::Arc;

use alloy_consensus::{
    Header, Receipt, TxEnvelope,
    crypto::RecoveryError,
    transaction::{Recovered, SignerRecoverable},
};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Log};
use revm::bytecode::BytecodeDecodeError;
use serde::{Deserialize, Serialize};

use super::{
    Chain,
    block::{Block, Executed},
    clock::Clock,
    pool::{Pool, PoolRefusal},
    signers::sender_of_impersonated,
    state::{Mark, State, StateDump},
};

/// The version of the format. Others are refused.
const FORMAT: u32 = 1;

/// Why a dump could not be loaded. The chain is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not what [`DevChain::dump`](crate::DevChain::dump) writes.
    #[error("this is not a state that this node dumped: {0}")]
    Format(#[from] serde_json::Error),
    /// Written by another version of this program.
    #[error("the state has format {found}, but only {FORMAT} is known here")]
    Version {
        /// The format of the dump.
        found: u32,
    },
    /// Of another chain.
    #[error("the state is of chain {found}, but this node has the chain id {expected}")]
    ChainId {
        /// The chain id in the dump.
        found: u64,
        /// The chain id of this node.
        expected: u64,
    },
    /// A block does not follow its parent, or is not what it was.
    #[error("the state is damaged: block {number} or the one before it is not what it was")]
    Block {
        /// The number of the place where it stands.
        number: u64,
    },
    /// There is not even a genesis block.
    #[error("the state is damaged: it has no blocks")]
    NoBlocks,
    /// Bytes that are not a transaction.
    #[error("the state is damaged: it has something that is not a transaction: {0}")]
    Transaction(#[from] Eip2718Error),
    /// A transaction that nobody signed.
    #[error("the state is damaged: it has a transaction that nobody signed: {0}")]
    Signature(#[from] RecoveryError),
    /// Bytes that are not the code of a contract.
    #[error("the state is damaged: it has code that is not that of a contract: {0}")]
    Code(#[from] BytecodeDecodeError),
    /// Two transactions of one sender and nonce wait.
    #[error("the state is damaged: two transactions wait in the same place")]
    Pool,
}

/// A whole chain.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dump {
    format: u32,
    chain_id: u64,
    block_gas_limit: u64,
    next_base_fee_wei: Option<u64>,
    coinbase: Address,
    time_offset_s: i64,
    reorganisations: u64,
    state: StateDump,
    blocks: Vec<BlockDump>,
    /// The hash of the newest block; each other one is in the header of the block after it.
    head: B256,
    /// In the order in which they arrived.
    waiting: Vec<Bytes>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BlockDump {
    header: Header,
    transactions: Vec<TransactionDump>,
    /// The state after the block and the changes by hand that followed it.
    state: Mark,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TransactionDump {
    transaction: Bytes,
    receipt: Receipt<Log>,
    gas_used: u64,
}

impl Chain {
    /// The chain as JSON: blocks, the state after each of them, and the transactions that wait. Snapshots are left out.
    pub(crate) fn dump(&self) -> String {
        let dump = Dump {
            format: FORMAT,
            chain_id: self.chain_id,
            block_gas_limit: self.block_gas_limit,
            next_base_fee_wei: self.next_base_fee_wei,
            coinbase: self.coinbase,
            time_offset_s: self.clock.offset_s(),
            reorganisations: self.reorganisations,
            state: StateDump::from(&self.state),
            blocks: self
                .blocks
                .iter()
                .zip(&self.marks)
                .map(|(block, mark)| BlockDump::new(block, *mark))
                .collect(),
            head: self.head().hash(),
            waiting: self
                .pool
                .in_order()
                .into_iter()
                .map(|waiting| waiting.encoded_2718().into())
                .collect(),
        };
        serde_json::to_string(&dump).expect("a dump has only keys that are texts")
    }

    /// Puts a dumped chain in the place of this one. Readers see it as a reorganisation.
    pub(crate) fn load(&mut self, dump: &str) -> Result<(), LoadError> {
        let dump: Dump = serde_json::from_str(dump)?;
        if dump.format != FORMAT {
            return Err(LoadError::Version { found: dump.format });
        }
        if dump.chain_id != self.chain_id {
            return Err(LoadError::ChainId {
                found: dump.chain_id,
                expected: self.chain_id,
            });
        }
        let mut blocks: Vec<(Block, Mark)> = Vec::with_capacity(dump.blocks.len());
        for (number, dumped) in (0..).zip(dump.blocks) {
            let parent = blocks.last().map_or(B256::ZERO, |(block, _)| block.hash());
            let mark = dumped.state;
            let block = Block::try_from(dumped)?;
            if block.header.number != number || block.header.parent_hash != parent {
                return Err(LoadError::Block { number });
            }
            blocks.push((block, mark));
        }
        let Some((head, _)) = blocks.last() else {
            return Err(LoadError::NoBlocks);
        };
        if head.hash() != dump.head {
            return Err(LoadError::Block {
                number: head.header.number,
            });
        }
        let mut pool = Pool::default();
        for waiting in dump.waiting {
            pool.add(decode(&waiting)?)
                .map_err(|_: PoolRefusal| LoadError::Pool)?;
        }
        let state = State::try_from(dump.state)?;

        for block in std::mem::take(&mut self.blocks) {
            self.news.block_dropped(block);
        }
        self.marks.clear();
        self.block_numbers.clear();
        self.transactions.clear();
        self.snapshots.clear();
        for (block, mark) in blocks {
            self.append(block, mark);
        }
        self.state = state;
        self.pool = pool;
        self.clock = Clock::with_offset(dump.time_offset_s);
        self.block_gas_limit = dump.block_gas_limit;
        self.next_base_fee_wei = dump.next_base_fee_wei;
        self.coinbase = dump.coinbase;
        self.reorganisations = dump.reorganisations;
        Ok(())
    }
}

impl BlockDump {
    fn new(block: &Arc<Block>, state: Mark) -> Self {
        let transactions = block.transactions.iter().map(|executed| TransactionDump {
            transaction: executed.transaction.encoded_2718().into(),
            receipt: executed.receipt.clone(),
            gas_used: executed.gas_used,
        });
        Self {
            header: block.header.inner().clone(),
            transactions: transactions.collect(),
            state,
        }
    }
}

impl TryFrom<BlockDump> for Block {
    type Error = LoadError;

    fn try_from(dump: BlockDump) -> Result<Self, LoadError> {
        let executed = |dump: TransactionDump| -> Result<Executed, LoadError> {
            Ok(Executed {
                transaction: decode(&dump.transaction)?,
                receipt: dump.receipt,
                gas_used: dump.gas_used,
            })
        };
        let transactions = dump.transactions.into_iter().map(executed);
        let number = dump.header.number;
        Self::restore(dump.header, transactions.collect::<Result<_, _>>()?).ok_or(LoadError::Block { number })
    }
}

fn decode(encoded: &[u8]) -> Result<Recovered<TxEnvelope>, LoadError> {
    let transaction = TxEnvelope::decode_2718_exact(encoded)?;
    match sender_of_impersonated(&transaction) {
        Some(sender) => Ok(Recovered::new_unchecked(transaction, sender)),
        None => Ok(transaction.try_into_recovered()?),
    }
}
