//! The token that deposits are made of.

use crate::bindings::{CustomToken, Erc20};
use crate::error::{ChainError, TransactionError};
use crate::node::{At, Call, Node};
use crate::wallet::{Receipt, Wallet};
use alloy_primitives::aliases::U192;
use alloy_primitives::utils::Unit;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;
use microraiden_protocol::Amount;

/// A token and how its amounts are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The token's contract.
    pub address: Address,
    /// What it calls itself; empty when it does not.
    pub name: String,
    /// What its amounts are called; empty when it does not say.
    pub symbol: String,
    /// How many decimal digits of a token the base unit is; 0 when it does not say.
    pub decimals: u8,
}

impl TokenInfo {
    /// Asks a token what it is. Names and decimals are optional in ERC20: a token without them is taken as it is.
    ///
    /// # Errors
    /// When there is no contract at the address, or the node does not answer.
    pub async fn read(node: &Node, address: Address) -> Result<Self, ChainError> {
        if node.code(address).await?.is_empty() {
            return Err(ChainError::NoCode(address));
        }
        let text = async |call: Bytes| {
            let call = Call {
                to: Some(address),
                data: call,
                ..Call::default()
            };
            let answer = node.call(&call, At::Latest).await?;
            Ok::<_, ChainError>(answer.map(|answer| read_text(&answer)).unwrap_or_default())
        };
        let decimals = match node.read(address, &Erc20::decimalsCall {}).await {
            Ok(decimals) => decimals,
            Err(ChainError::Reverted { .. } | ChainError::Encoding { .. }) => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            address,
            name: text(Erc20::nameCall::SELECTOR.into()).await?,
            symbol: text(Erc20::symbolCall::SELECTOR.into()).await?,
            decimals,
        })
    }
}

/// A name as a string, or in the 32 bytes that tokens of 2017 used.
fn read_text(answer: &[u8]) -> String {
    if let Ok(text) = Erc20::nameCall::abi_decode_returns(answer) {
        return text;
    }
    let word = answer.get(..32).unwrap_or_default();
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// How many base units of a token an address holds; those above what a channel could hold are not counted.
///
/// # Errors
/// When the node does not answer.
pub async fn balance(node: &Node, token: Address, owner: Address) -> Result<Amount, ChainError> {
    let balance = node.read(token, &Erc20::balanceOfCall { owner }).await?;
    Ok(Amount::new(U192::saturating_from(balance)))
}

/// What the development token takes for minting: 0.1 ether.
pub fn mint_price_wei() -> U256 {
    Unit::ETHER.wei() / U256::from(10)
}

/// Whether a token's code knows the development token's `mint`: others may take the ether without giving any tokens.
///
/// # Errors
/// When the node does not answer.
pub async fn can_mint(node: &Node, token: Address) -> Result<bool, ChainError> {
    let code = node.code(token).await?;
    let selector = CustomToken::mintCall::SELECTOR;
    Ok(code.windows(selector.len()).any(|bytes| bytes == selector))
}

/// Buys 50 tokens of a development token for 0.1 ether.
///
/// # Errors
/// When the token is another one, or the transaction fails.
pub async fn mint(wallet: &Wallet, token: Address) -> Result<Receipt, TransactionError> {
    let data = CustomToken::mintCall {}.abi_encode().into();
    wallet.send(Some(token), data, mint_price_wei(), None).await
}

/// Transfers tokens of the wallet to somebody.
///
/// # Errors
/// When the wallet holds too few, or the transaction fails.
pub async fn transfer(
    wallet: &Wallet,
    token: Address,
    to: Address,
    amount: Amount,
) -> Result<Receipt, TransactionError> {
    require(wallet, token, amount).await?;
    let value = U256::from(amount.base_units());
    let data = Erc20::transferCall { to, value }.abi_encode().into();
    wallet.send(Some(token), data, U256::ZERO, None).await
}

/// Makes sure that the wallet holds so many tokens, before anything is paid for finding out.
pub(crate) async fn require(wallet: &Wallet, token: Address, needed: Amount) -> Result<(), TransactionError> {
    let balance = balance(wallet.node(), token, wallet.address()).await?;
    if balance < needed {
        return Err(TransactionError::InsufficientTokens {
            wallet: wallet.address(),
            balance,
            needed,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolValue;

    #[test]
    fn names_of_old_and_new_tokens() {
        assert_eq!(read_text(&"Maker".abi_encode()), "Maker");
        let mut word = [0; 32];
        word[..5].copy_from_slice(b"Maker");
        assert_eq!(read_text(&word), "Maker");
        assert_eq!(read_text(&[]), "");
    }
}
