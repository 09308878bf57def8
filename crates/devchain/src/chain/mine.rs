//! How blocks are made.

use std::{collections::HashSet, convert::Infallible};

use alloy_consensus::{Receipt, Transaction, TxEnvelope, transaction::Recovered};
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{Address, B256, keccak256};
use revm::{
    Database, DatabaseCommit, context_interface::result::InvalidTransaction, database::CacheDB,
    database_interface::WrapDatabaseRef, state::EvmState,
};

use super::{
    At, Chain,
    block::{Block, Executed},
    execute::{self, BlockContext, Purpose},
    signers::PRIORITY_FEE_WEI,
    state::View,
};

/// A block in the making.
struct Draft {
    context: BlockContext,
    transactions: Vec<Executed>,
    gas_used: u64,
    /// Whose transactions wait for a later block, since one before them does.
    postponed: HashSet<Address>,
}

impl Chain {
    /// Mines a block of the transactions that wait, as many as fit.
    pub(crate) fn mine(&mut self) {
        self.mine_these(self.ready());
    }

    /// In instant mode, mines until nothing executable waits.
    pub(crate) fn mine_instantly(&mut self) {
        while self.instant {
            let ready = self.ready();
            if ready.is_empty() {
                break;
            }
            // The first one is executed or dropped, so that this ends.
            self.mine_these(ready);
        }
    }

    /// Mines a block of those of these transactions that are valid and fit, in their order.
    ///
    /// Those that are not valid leave the pool; those that do not fit stay there.
    pub(super) fn mine_these(&mut self, candidates: Vec<Recovered<TxEnvelope>>) {
        let mut context = self.next_context();
        context.timestamp = self.clock.next_timestamp(self.head().header.timestamp);
        self.next_base_fee_wei = None;
        self.state.begin();
        let mut draft = Draft::new(context);
        for transaction in candidates {
            if !draft.has_room(&transaction) {
                continue;
            }
            let database = WrapDatabaseRef(self.view(At::Pending));
            match draft.execute(database, self.chain_id, &transaction) {
                Ok(changes) => self.state.apply(changes),
                Err(error) => {
                    tracing::warn!(transaction = %transaction.hash(), %error, "transaction dropped");
                    self.pool.remove_hash(transaction.hash());
                }
            }
        }
        let senders: HashSet<Address> = draft
            .transactions
            .iter()
            .map(|one| one.transaction.signer())
            .collect();
        let mark = self.state.mark();
        let block = draft.seal(self.head().hash(), mark.commitment);
        tracing::debug!(number = block.header.number, hash = %block.hash(), transactions = block.transactions.len(), "mined");
        self.append(block, mark);
        for sender in senders {
            self.pool
                .forget_before(sender, self.account(sender, At::Pending).nonce);
        }
    }

    /// What the next block would be if it were mined now, without mining it, and the state after it.
    pub(crate) fn pending(&self) -> (Block, CacheDB<View<'_>>) {
        let mut database = CacheDB::new(self.view(At::Pending));
        let mut draft = Draft::new(self.next_context());
        for transaction in self.ready() {
            if draft.has_room(&transaction)
                && let Ok(changes) = draft.execute(&mut database, self.chain_id, &transaction)
            {
                database.commit(changes);
            }
        }
        (
            draft.seal(self.head().hash(), self.state.mark().commitment),
            database,
        )
    }

    /// What the next block will be like, mined now.
    pub(super) fn next_context(&self) -> BlockContext {
        let parent = self.head();
        let number = parent.header.number + 1;
        let entropy = [
            parent.hash().0,
            B256::left_padding_from(&self.reorganisations.to_be_bytes()).0,
        ]
        .concat();
        BlockContext {
            number,
            timestamp: self.clock.peek(parent.header.timestamp),
            gas_limit: self.block_gas_limit,
            base_fee_wei: self.next_base_fee_wei(),
            prevrandao: keccak256(entropy),
            coinbase: self.coinbase,
        }
    }

    /// The base fee of the next block.
    pub(crate) fn next_base_fee_wei(&self) -> u64 {
        if let Some(fee) = self.next_base_fee_wei {
            return fee;
        }
        let parent = self.head();
        if parent.header.number == 0 {
            // Genesis is empty, but the fee shall begin as configured.
            return parent.base_fee_wei();
        }
        BaseFeeParams::ethereum().next_block_base_fee(
            parent.header.gas_used,
            parent.header.gas_limit,
            parent.base_fee_wei(),
        )
    }

    /// A gas price that the next block asks for.
    pub(crate) fn gas_price_wei(&self) -> u64 {
        self.next_base_fee_wei().saturating_add(PRIORITY_FEE_WEI)
    }

    /// The waiting transactions that the next block can have, in the order in which they will be mined.
    pub(crate) fn ready(&self) -> Vec<Recovered<TxEnvelope>> {
        self.pool
            .ready(self.next_base_fee_wei(), self.block_gas_limit, |sender| {
                self.account(sender, At::Pending).nonce
            })
    }
}

impl Draft {
    fn new(context: BlockContext) -> Self {
        Self {
            context,
            transactions: Vec::new(),
            gas_used: 0,
            postponed: HashSet::new(),
        }
    }

    /// Whether a transaction fits into what is left of the block's gas, and is not behind one of its sender that did not.
    fn has_room(&mut self, transaction: &Recovered<TxEnvelope>) -> bool {
        let fits = transaction.gas_limit() <= self.context.gas_limit.saturating_sub(self.gas_used);
        if !fits {
            self.postponed.insert(transaction.signer());
        }
        fits && !self.postponed.contains(transaction.signer_ref())
    }

    /// Executes a transaction and adds it to the block; what it changes.
    fn execute<DB: Database<Error = Infallible>>(
        &mut self,
        database: DB,
        chain_id: u64,
        transaction: &Recovered<TxEnvelope>,
    ) -> Result<EvmState, InvalidTransaction> {
        let environment = execute::signed(transaction);
        let purpose = Purpose::of(transaction);
        let outcome = match execute::transact(database, chain_id, &self.context, environment, purpose) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.postponed.insert(transaction.signer());
                return Err(error);
            }
        };
        let gas_used = outcome.result.tx_gas_used();
        self.gas_used += gas_used;
        let success = outcome.result.is_success();
        let receipt = Receipt {
            status: success.into(),
            cumulative_gas_used: self.gas_used,
            logs: if success {
                outcome.result.into_logs()
            } else {
                Vec::new()
            },
        };
        self.transactions.push(Executed {
            transaction: transaction.clone(),
            receipt,
            gas_used,
        });
        Ok(outcome.state)
    }

    fn seal(self, parent: B256, state_root: B256) -> Block {
        Block::seal(parent, &self.context, self.transactions, state_root)
    }
}
