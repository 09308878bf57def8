//! Changes by hand, as of the newest block or for the next one.

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::{Bytecode, BytecodeDecodeError};

use super::{
    Chain,
    pool::Pool,
    state::{Account, State},
};

/// Bytes that cannot be the code of a contract.
#[derive(Debug, thiserror::Error)]
#[error("this cannot be the code of a contract: {0}")]
pub(crate) struct CodeError(#[from] BytecodeDecodeError);

impl Chain {
    /// Sets a balance.
    pub(crate) fn set_balance(&mut self, address: Address, balance: U256) {
        self.edit_account(address, |account| account.balance = balance);
    }

    /// Sets the nonce of an account's next transaction. Waiting ones with a lower nonce are forgotten.
    pub(crate) fn set_nonce(&mut self, address: Address, nonce: u64) {
        self.edit_account(address, |account| account.nonce = nonce);
        self.pool.forget_before(address, nonce);
    }

    /// Sets the code of an account.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), CodeError> {
        let code = Bytecode::new_raw_checked(code)?;
        self.edit(|state| state.set_code(address, code));
        Ok(())
    }

    /// Sets a storage slot of an account.
    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.edit(|state| state.set_storage(address, slot, value));
    }

    /// Forgets a transaction that waits; whether there was one.
    pub(crate) fn drop_transaction(&mut self, hash: &B256) -> bool {
        self.pool.remove_hash(hash)
    }

    /// Forgets all transactions of a sender that wait.
    pub(crate) fn drop_transactions_of(&mut self, sender: Address) {
        self.pool.forget_before(sender, u64::MAX);
    }

    /// Forgets all transactions that wait.
    pub(crate) fn drop_all_transactions(&mut self) {
        self.pool = Pool::default();
    }

    /// Sets who gets the priority fees from the next block on.
    pub(crate) fn set_coinbase(&mut self, coinbase: Address) {
        self.coinbase = coinbase;
    }

    /// Sets the gas limit from the next block on.
    pub(crate) fn set_block_gas_limit(&mut self, gas_limit: u64) {
        self.block_gas_limit = gas_limit;
    }

    /// Sets the chain id. What was signed for another one and waits will be dropped when its turn comes.
    pub(crate) fn set_chain_id(&mut self, chain_id: u64) {
        self.chain_id = chain_id;
    }

    /// Sets the base fee of the next block; later ones follow from it.
    pub(crate) fn set_next_base_fee(&mut self, base_fee_wei: u64) {
        self.next_base_fee_wei = Some(base_fee_wei);
    }

    fn edit_account(&mut self, address: Address, change: impl FnOnce(&mut Account)) {
        self.edit(|state| state.edit(address, change));
    }

    fn edit(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state);
        *self.newest_mark() = self.state.mark();
    }
}
