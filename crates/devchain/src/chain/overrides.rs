//! Questions about a state and a block that are not quite those of the chain.

use std::convert::Infallible;

use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{
    BlockOverrides,
    state::{AccountOverride, StateOverride},
};
use revm::{DatabaseRef, bytecode::Bytecode, database::CacheDB};

use super::{CallError, execute::BlockContext};

/// What is to be different during a call.
#[derive(Default)]
pub(crate) struct Overrides {
    /// Accounts.
    pub(crate) state: Option<StateOverride>,
    /// What the call learns of its block.
    pub(crate) block: Option<BlockOverrides>,
}

impl Overrides {
    /// Writes the differences into the state and the block of a call.
    pub(super) fn apply<DB: DatabaseRef<Error = Infallible>>(
        &self,
        database: &mut CacheDB<DB>,
        context: &mut BlockContext,
    ) -> Result<(), CallError> {
        for (address, account) in self.state.iter().flatten() {
            override_account(database, *address, account)?;
        }
        if let Some(block) = &self.block {
            override_block(database, context, block)?;
        }
        Ok(())
    }
}

fn override_account<DB: DatabaseRef<Error = Infallible>>(
    database: &mut CacheDB<DB>,
    address: Address,
    change: &AccountOverride,
) -> Result<(), CallError> {
    if change.move_precompile_to.is_some() {
        return Err(CallError::Override("precompiles cannot be moved here"));
    }
    let Ok(account) = database.load_account(address);
    let mut info = account.info.clone();
    if let Some(balance) = change.balance {
        info.balance = balance;
    }
    if let Some(nonce) = change.nonce {
        info.nonce = nonce;
    }
    if let Some(code) = &change.code {
        let code = Bytecode::new_raw_checked(code.clone())
            .map_err(|_| CallError::Override("the code is not that of a contract"))?;
        info.code_hash = code.hash_slow();
        info.code = Some(code);
    }
    database.insert_account_info(address, info);
    let word = |value: &alloy_primitives::B256| U256::from_be_bytes(value.0);
    let Ok(()) = match (&change.state, &change.state_diff) {
        (Some(_), Some(_)) => return Err(CallError::Override("either state or stateDiff, not both")),
        (Some(all), None) => {
            let storage = all.iter().map(|(slot, value)| (word(slot), word(value)));
            database.replace_account_storage(address, storage.collect())
        }
        (None, Some(some)) => some
            .iter()
            .try_for_each(|(slot, value)| database.insert_account_storage(address, word(slot), word(value))),
        (None, None) => Ok(()),
    };
    Ok(())
}

fn override_block<DB>(
    database: &mut CacheDB<DB>,
    context: &mut BlockContext,
    block: &BlockOverrides,
) -> Result<(), CallError> {
    if let Some(number) = block.number {
        context.number = number
            .try_into()
            .map_err(|_| CallError::Override("the block number is too large"))?;
    }
    if let Some(base_fee) = block.base_fee {
        context.base_fee_wei = base_fee
            .try_into()
            .map_err(|_| CallError::Override("the base fee is too large"))?;
    }
    context.timestamp = block.time.unwrap_or(context.timestamp);
    context.gas_limit = block.gas_limit.unwrap_or(context.gas_limit);
    context.coinbase = block.coinbase.unwrap_or(context.coinbase);
    context.prevrandao = block.random.unwrap_or(context.prevrandao);
    for (number, hash) in block.block_hash.iter().flatten() {
        database.cache.block_hashes.insert(U256::from(*number), *hash);
    }
    Ok(())
}
