//! Questions to the EVM: calls and gas estimates.

use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{Panic, Revert, SolError};
use revm::{
    DatabaseCommit,
    context_interface::result::{ExecutionResult, HaltReason, InvalidTransaction},
    database::CacheDB,
};

use super::{
    At, Chain,
    execute::{self, BlockContext, Purpose},
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

impl Oracle<'_> {
    fn run(
        &mut self,
        request: &TransactionRequest,
        gas_limit: u64,
    ) -> Result<ExecutionResult, InvalidTransaction> {
        let sender = request.from.unwrap_or_default();
        let nonce = self
            .database
            .load_account(sender)
            .map_or(0, |account| account.info.nonce);
        let transaction = execute::call(request, nonce, gas_limit);
        let context = BlockContext {
            base_fee_wei: 0,
            ..self.context.clone()
        };
        execute::transact(
            &mut self.database,
            self.chain_id,
            &context,
            transaction,
            Purpose::Ask,
        )
        .map(|outcome| outcome.result)
    }
}

impl Chain {
    /// What a call answers. It costs nothing: gas prices in the request are ignored, and the base fee is zero.
    pub(crate) fn call(&self, request: &TransactionRequest, at: At) -> Result<Bytes, CallError> {
        let limit = request.gas.unwrap_or(u64::MAX).min(self.block_gas_limit);
        succeeded(self.oracle(at).run(request, limit)?)
    }

    /// The least gas limit with which a transaction succeeds.
    pub(crate) fn estimate_gas(&self, request: &TransactionRequest, at: At) -> Result<u64, CallError> {
        let mut oracle = self.oracle(at);
        let limit = request.gas.unwrap_or(u64::MAX).min(self.block_gas_limit);
        let result = oracle.run(request, limit)?;
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

    fn oracle(&self, at: At) -> Oracle<'_> {
        let mut database = CacheDB::new(self.view(at));
        let context = match at {
            At::Block(number) => BlockContext::from(self.block(number).unwrap_or(self.head())),
            At::Pending => self.next_context(),
        };
        if at == At::Pending {
            for transaction in self.ready() {
                let transaction = execute::signed(&transaction);
                if let Ok(outcome) = execute::transact(
                    &mut database,
                    self.chain_id,
                    &context,
                    transaction,
                    Purpose::Include,
                ) {
                    database.commit(outcome.state);
                }
            }
        }
        Oracle {
            database,
            chain_id: self.chain_id,
            context,
        }
    }
}

/// Whether the transaction succeeds with this gas limit.
fn suffices(
    oracle: &mut Oracle<'_>,
    request: &TransactionRequest,
    gas_limit: u64,
) -> Result<bool, CallError> {
    match oracle.run(request, gas_limit) {
        Ok(result) => Ok(result.is_success()),
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
