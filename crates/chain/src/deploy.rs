//! New contracts.

use crate::bindings::{CustomToken, RaidenMicroTransferChannels as Channels};
use crate::error::{ChainError, TransactionError};
use crate::wallet::{Receipt, Wallet};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolConstructor;

/// The shortest challenge period that the contract takes, in blocks.
pub const MINIMUM_CHALLENGE_PERIOD: u32 = 500;

/// A development token that anybody can mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenParams {
    /// What the deployer receives, in base units. The channel contract wants a token with some.
    pub supply: U256,
    /// The token's name.
    pub name: String,
    /// The name of its amounts.
    pub symbol: String,
    /// How many decimal digits of a token the base unit is.
    pub decimals: u8,
}

/// Deploys a development token; the wallet owns its supply.
///
/// # Errors
/// When the transaction fails.
pub async fn token(wallet: &Wallet, params: TokenParams) -> Result<(Address, Receipt), TransactionError> {
    let arguments = CustomToken::constructorCall {
        initial_supply: params.supply,
        token_name: params.name,
        token_symbol: params.symbol,
        decimal_units: params.decimals,
    };
    create(wallet, &CustomToken::BYTECODE, &arguments).await
}

/// Deploys a channel contract for a token, with a challenge period in blocks and no trusted contracts.
///
/// # Errors
/// When the challenge period is below [`MINIMUM_CHALLENGE_PERIOD`], `token` is not a contract, the chain numbers its
/// blocks in two ways, or the transaction fails.
pub async fn channels(
    wallet: &Wallet,
    token: Address,
    challenge_period: u32,
) -> Result<(Address, Receipt), TransactionError> {
    if challenge_period < MINIMUM_CHALLENGE_PERIOD {
        return Err(TransactionError::ChallengePeriod {
            given: challenge_period,
            minimum: MINIMUM_CHALLENGE_PERIOD,
        });
    }
    if wallet.node().code(token).await?.is_empty() {
        return Err(ChainError::NoCode(token).into());
    }
    wallet.node().check_block_numbers().await?;
    let arguments = Channels::constructorCall {
        _token_address: token,
        _challenge_period: challenge_period,
        _trusted_contracts: vec![],
    };
    create(wallet, &Channels::BYTECODE, &arguments).await
}

async fn create(
    wallet: &Wallet,
    bytecode: &Bytes,
    arguments: &impl SolConstructor,
) -> Result<(Address, Receipt), TransactionError> {
    let init_code = [bytecode.as_ref(), &arguments.abi_encode()].concat();
    let receipt = wallet.send(None, init_code.into(), U256::ZERO, None).await?;
    let address = receipt.contract_address.ok_or(TransactionError::Incomplete {
        transaction: receipt.transaction,
        missing: "contract address",
    })?;
    Ok((address, receipt))
}
