//! How blocks are made.

use std::collections::HashSet;

use alloy_consensus::{Receipt, Transaction, TxEnvelope, transaction::Recovered};
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{Address, B256, keccak256};
use revm::{context_interface::result::InvalidTransaction, database_interface::WrapDatabaseRef};

use super::{
    At, Chain,
    block::{Block, Executed},
    execute::{self, BlockContext, Purpose},
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
        self.state.begin();
        let mut draft = Draft {
            context,
            transactions: Vec::new(),
            gas_used: 0,
            postponed: HashSet::new(),
        };
        for transaction in candidates {
            let sender = transaction.signer();
            if !draft.has_room(&transaction) {
                draft.postponed.insert(sender);
                continue;
            }
            if let Err(error) = self.include(&mut draft, &transaction) {
                tracing::warn!(transaction = %transaction.hash(), %error, "transaction dropped");
                self.pool.remove(sender, transaction.nonce());
                draft.postponed.insert(sender);
            }
        }
        let senders: HashSet<Address> = draft
            .transactions
            .iter()
            .map(|one| one.transaction.signer())
            .collect();
        let block = Block::seal(
            self.head().hash(),
            &draft.context,
            draft.transactions,
            self.state.mark(),
        );
        tracing::debug!(number = block.header.number, hash = %block.hash(), transactions = block.transactions.len(), "mined");
        self.append(block);
        for sender in senders {
            self.pool
                .forget_before(sender, self.account(sender, At::Pending).nonce);
        }
    }

    /// Executes a transaction in the block in the making.
    fn include(
        &mut self,
        draft: &mut Draft,
        transaction: &Recovered<TxEnvelope>,
    ) -> Result<(), InvalidTransaction> {
        let outcome = execute::transact(
            WrapDatabaseRef(self.view(At::Pending)),
            self.chain_id,
            &draft.context,
            execute::signed(transaction),
            Purpose::Include,
        )?;
        self.state.apply(outcome.state);
        let gas_used = outcome.result.tx_gas_used();
        draft.gas_used += gas_used;
        let success = outcome.result.is_success();
        let receipt = Receipt {
            status: success.into(),
            cumulative_gas_used: draft.gas_used,
            logs: if success {
                outcome.result.into_logs()
            } else {
                Vec::new()
            },
        };
        draft.transactions.push(Executed {
            transaction: transaction.clone(),
            receipt,
            gas_used,
        });
        Ok(())
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
        }
    }

    /// The base fee of the next block.
    pub(crate) fn next_base_fee_wei(&self) -> u64 {
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

    /// The waiting transactions that the next block can have, in the order in which they will be mined.
    pub(super) fn ready(&self) -> Vec<Recovered<TxEnvelope>> {
        self.pool.ready(self.next_base_fee_wei(), |sender| {
            self.account(sender, At::Pending).nonce
        })
    }
}

impl Draft {
    /// Whether a transaction fits into what is left of the block's gas, and is not behind one that did not.
    fn has_room(&self, transaction: &Recovered<TxEnvelope>) -> bool {
        !self.postponed.contains(transaction.signer_ref())
            && transaction.gas_limit() <= self.context.gas_limit.saturating_sub(self.gas_used)
    }
}
