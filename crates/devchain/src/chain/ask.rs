//! Questions to the EVM: calls and gas estimates.

use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_rpc_types_eth::{AccessList, AccessListItem, TransactionRequest};
use alloy_sol_types::{Panic, Revert, SolError};
use revm::{
    context_interface::result::{ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    database::CacheDB,
    precompile::{PrecompileSpecId, Precompiles},
};

use super::{
    At, Chain, Overrides,
    execute::{self, BlockContext, HARDFORK, Purpose},
    state::View,
};

/// What a sub-call keeps back of its gas is a 64th of it.
const CALL_GAS_DENOMINATOR: u64 = 63;
/// What a call with value gives to the callee on top.
const CALL_STIPEND_GAS: u64 = 2_300;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("execution reverted{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Reverted { reason: Option<String>, data: Bytes },
    #[error("insufficient funds for gas * price + value")]
    InsufficientFunds,
    #[error("gas required exceeds allowance ({limit})")]
    Allowance { limit: u64 },
    #[error("out of gas")]
    OutOfGas,
    #[error("{0}")]
    Halted(HaltReason),
    #[error("{0}")]
    Invalid(InvalidTransaction),
    #[error("this override is not possible: {0}")]
    Override(&'static str),
}

impl From<InvalidTransaction> for CallError {
    fn from(error: InvalidTransaction) -> Self {
        match error {
            InvalidTransaction::LackOfFundForMaxFee { .. } => Self::InsufficientFunds,
            other => Self::Invalid(other),
        }
    }
}

/// A state to ask, with the waiting transactions already executed if they count.
struct Oracle<'a> {
    database: CacheDB<View<'a>>,
    chain_id: u64,
    context: BlockContext,
}

/// The addresses and slots that a call touches.
pub(crate) struct AccessListAnswer {
    pub(crate) list: AccessList,
    /// What the call uses with this list.
    pub(crate) gas_used: u64,
    /// Why the call fails with it, if it does.
    pub(crate) error: Option<CallError>,
}

impl Oracle<'_> {
    /// The gas limit of a call: what it asks for, but no more than its block has.
    fn gas_limit(&self, request: &TransactionRequest) -> u64 {
        request.gas.unwrap_or(u64::MAX).min(self.context.gas_limit)
    }

    fn run(
        &mut self,
        request: &TransactionRequest,
        gas_limit: u64,
    ) -> Result<ResultAndState, InvalidTransaction> {
        let sender = request.from.unwrap_or_default();
        let nonce = self
            .database
            .load_account(sender)
            .map_or(0, |account| account.info.nonce);
        let transaction = execute::call(request, self.chain_id, nonce, gas_limit);
        execute::transact(
            &mut self.database,
            self.chain_id,
            &self.context,
            transaction,
            Purpose::Ask,
        )
    }
}

impl Chain {
    /// What a call answers. It costs nothing: gas prices in the request are ignored.
    pub(crate) fn call(
        &self,
        request: &TransactionRequest,
        at: At,
        overrides: &Overrides,
    ) -> Result<Bytes, CallError> {
        let mut oracle = self.oracle(at, overrides)?;
        let limit = oracle.gas_limit(request);
        succeeded(oracle.run(request, limit)?.result)
    }

    /// The least gas limit with which a transaction succeeds.
    pub(crate) fn estimate_gas(
        &self,
        request: &TransactionRequest,
        at: At,
        overrides: &Overrides,
    ) -> Result<u64, CallError> {
        let mut oracle = self.oracle(at, overrides)?;
        let limit = oracle.gas_limit(request);
        let result = oracle.run(request, limit)?.result;
        let spent = result.gas().total_gas_spent();
        let used = result.tx_gas_used();
        succeeded(result).map_err(|error| match error {
            CallError::OutOfGas => CallError::Allowance { limit },
            other => other,
        })?;
        let (mut fails, mut succeeds) = (used.saturating_sub(1), limit);
        // Most transactions need what they spend, and a 64th more where a call holds it back.
        let guess = spent.max(used).saturating_add(CALL_STIPEND_GAS);
        for try_first in [used, guess.saturating_add(guess / CALL_GAS_DENOMINATOR)] {
            if fails < try_first && try_first < succeeds {
                match suffices(&mut oracle, request, try_first)? {
                    true => succeeds = try_first,
                    false => fails = try_first,
                }
            }
        }
        while fails + 1 < succeeds {
            let middle = fails + (succeeds - fails) / 2;
            match suffices(&mut oracle, request, middle)? {
                true => succeeds = middle,
                false => fails = middle,
            }
        }
        Ok(succeeds)
    }

    /// Which addresses and storage slots a call touches, apart from those that are free for it.
    pub(crate) fn access_list(
        &self,
        request: &TransactionRequest,
        at: At,
    ) -> Result<AccessListAnswer, CallError> {
        let mut oracle = self.oracle(at, &Overrides::default())?;
        let limit = oracle.gas_limit(request);
        let sender = request.from.unwrap_or_default();
        let target = match request.to {
            Some(TxKind::Call(to)) => to,
            _ => sender.create(self.nonce(sender, at)),
        };
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(HARDFORK));
        let free = [sender, target, oracle.context.coinbase];
        let is_free = |address: &Address| free.contains(address) || precompiles.contains(address);
        let touched = oracle.run(request, limit)?.state;
        let mut items: Vec<AccessListItem> = touched
            .iter()
            .filter(|(address, account)| !account.storage.is_empty() || !is_free(address))
            .map(|(address, account)| AccessListItem {
                address: *address,
                storage_keys: sorted(account.storage.keys().map(|slot| B256::from(*slot))),
            })
            .collect();
        items.sort_unstable_by_key(|item| item.address);
        let list = AccessList(items);
        let with_list = TransactionRequest {
            access_list: Some(list.clone()),
            ..request.clone()
        };
        let result = oracle.run(&with_list, limit)?.result;
        Ok(AccessListAnswer {
            list,
            gas_used: result.tx_gas_used(),
            error: succeeded(result).err(),
        })
    }

    fn oracle(&self, at: At, overrides: &Overrides) -> Result<Oracle<'_>, CallError> {
        let (mut context, mut database) = match at {
            At::Block(number) => (
                BlockContext::from(&**self.block(number).unwrap_or(self.head())),
                CacheDB::new(self.view(at)),
            ),
            At::Pending => {
                let (block, database) = self.pending();
                (BlockContext::from(&block), database)
            }
        };
        context.base_fee_wei = 0;
        overrides.apply(&mut database, &mut context)?;
        Ok(Oracle {
            database,
            chain_id: self.chain_id,
            context,
        })
    }
}

fn sorted(keys: impl Iterator<Item = B256>) -> Vec<B256> {
    let mut keys: Vec<B256> = keys.collect();
    keys.sort_unstable();
    keys
}

/// Whether the transaction succeeds with this gas limit.
fn suffices(
    oracle: &mut Oracle<'_>,
    request: &TransactionRequest,
    gas_limit: u64,
) -> Result<bool, CallError> {
    match oracle.run(request, gas_limit) {
        Ok(outcome) => Ok(outcome.result.is_success()),
        Err(InvalidTransaction::CallGasCostMoreThanGasLimit { .. })
        | Err(InvalidTransaction::GasFloorMoreThanGasLimit { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// The output of a successful execution.
fn succeeded(result: ExecutionResult) -> Result<Bytes, CallError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(CallError::Reverted {
            reason: revert_reason(&output),
            data: output,
        }),
        ExecutionResult::Halt {
            reason: HaltReason::OutOfGas(_),
            ..
        } => Err(CallError::OutOfGas),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halted(reason)),
    }
}

/// What Solidity says in an `Error(string)` or `Panic(uint256)`.
fn revert_reason(data: &[u8]) -> Option<String> {
    let error = Revert::abi_decode(data).map(|error| error.reason);
    error
        .or_else(|_| Panic::abi_decode(data).map(|panic| panic.to_string()))
        .ok()
}
