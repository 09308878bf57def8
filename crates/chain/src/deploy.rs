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

impl TokenParams {
    /// A token of which the deployer receives `supply` whole ones; `None` when these are more base units than fit
    /// 256 bits.
    pub fn with_whole_supply(supply: u128, name: String, symbol: String, decimals: u8) -> Option<Self> {
        let unit = U256::from(10).checked_pow(U256::from(decimals))?;
        let supply = U256::from(supply).checked_mul(unit)?;
        Some(Self {
            supply,
            name,
            symbol,
            decimals,
        })
    }
}

/// Deploys a development token; the wallet owns its supply.
///
/// # Errors
/// When the transaction fails.
pub async fn token(wallet: &Wallet, params: TokenParams) -> Result<(Address, Receipt), TransactionError> {
    create(wallet, token_init_code(&params)).await
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
    create(wallet, channels_init_code(token, challenge_period)).await
}

/// What is sent to deploy a development token.
pub(crate) fn token_init_code(params: &TokenParams) -> Bytes {
    let arguments = CustomToken::constructorCall {
        initial_supply: params.supply,
        token_name: params.name.clone(),
        token_symbol: params.symbol.clone(),
        decimal_units: params.decimals,
    };
    init_code(&CustomToken::BYTECODE, &arguments)
}

/// What is sent to deploy a channel contract.
pub(crate) fn channels_init_code(token: Address, challenge_period: u32) -> Bytes {
    let arguments = Channels::constructorCall {
        _token_address: token,
        _challenge_period: challenge_period,
        _trusted_contracts: vec![],
    };
    init_code(&Channels::BYTECODE, &arguments)
}

fn init_code(bytecode: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [bytecode.as_ref(), &arguments.abi_encode()].concat().into()
}

async fn create(wallet: &Wallet, init_code: Bytes) -> Result<(Address, Receipt), TransactionError> {
    let receipt = wallet.send(None, init_code, U256::ZERO, None).await?;
    let address = receipt.contract_address.ok_or(TransactionError::Incomplete {
        transaction: receipt.transaction,
        missing: "contract address",
    })?;
    Ok((address, receipt))
}
