//! Waiting until a transaction lies deep enough in the chain.

use crate::error::{ChainError, TransactionError};
use crate::node::Node;
use crate::wallet::{Receipt, Wallet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(200);

/// How long the chain may stand still while a transaction is to be confirmed.
const PATIENCE: Duration = Duration::from_secs(300);

impl Wallet {
    /// Waits until `confirmations` blocks lie above a transaction; its receipt of then, since it may have moved to
    /// another block.
    ///
    /// # Errors
    /// [`TransactionError::Unconfirmed`] when the chain stands still for five minutes, or does not have the transaction
    /// for so long.
    pub async fn confirm(&self, receipt: Receipt, confirmations: u64) -> Result<Receipt, TransactionError> {
        confirm(self, receipt, confirmations, PATIENCE).await
    }
}

/// Waits until `confirmations` blocks lie above a transaction; its receipt of then, since it may have moved to another
/// block. Gives up when the chain stands still for `patience`, or does not have the transaction for so long.
async fn confirm(
    wallet: &Wallet,
    mut receipt: Receipt,
    confirmations: u64,
    patience: Duration,
) -> Result<Receipt, TransactionError> {
    let mut progress = (None, 0);
    let mut since = Instant::now();
    loop {
        let (canonical, above) = depth(wallet, &receipt).await?;
        match canonical {
            Some(found) if above >= confirmations && found.block == receipt.block => return Ok(found),
            Some(found) => receipt = found,
            None => {}
        }
        let now = (Some(receipt.block), above);
        if now != progress {
            (progress, since) = (now, Instant::now());
        }
        if since.elapsed() >= patience {
            return Err(TransactionError::Unconfirmed {
                transaction: receipt.transaction,
                above,
                confirmations,
            });
        }
        sleep(POLL).await;
    }
}

/// The receipt as the chain has it now, and how many blocks lie above it.
async fn depth(wallet: &Wallet, receipt: &Receipt) -> Result<(Option<Receipt>, u64), ChainError> {
    let node: &Node = wallet.node();
    let head = node.block_number().await?;
    let found = wallet.receipt_of(receipt.transaction).await?;
    let above = found
        .as_ref()
        .map_or(0, |found| head.0.saturating_sub(found.block.number.0));
    Ok((found, above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::{self, TokenParams};
    use microraiden_devchain::{Config, DevChain};
    use microraiden_protocol::SecretKey;

    const IMPATIENCE: Duration = Duration::from_millis(500);

    async fn mined() -> (DevChain, Wallet, Receipt) {
        let chain = DevChain::start(Config::default()).await.unwrap();
        let node = Node::connect(&chain.url().parse().unwrap()).await.unwrap();
        let key = SecretKey::from_bytes(chain.accounts()[0].secret_key.as_slice()).unwrap();
        let wallet = Wallet::new(node, key);
        let params = TokenParams::with_whole_supply(1, "Test token".into(), "TST".into(), 2).unwrap();
        let (_, receipt) = deploy::token(&wallet, params).await.unwrap();
        (chain, wallet, receipt)
    }

    #[tokio::test]
    async fn a_chain_that_stands_still_is_given_up() {
        let (chain, wallet, receipt) = mined().await;
        let at_once = confirm(&wallet, receipt.clone(), 0, IMPATIENCE).await.unwrap();
        assert_eq!(at_once, receipt);
        chain.mine(2);
        let error = confirm(&wallet, receipt.clone(), 3, IMPATIENCE)
            .await
            .unwrap_err();
        let TransactionError::Unconfirmed {
            above, confirmations, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((above, confirmations), (2, 3));
        chain.mine(1);
        assert_eq!(
            confirm(&wallet, receipt.clone(), 3, IMPATIENCE).await.unwrap(),
            receipt
        );
    }

    #[tokio::test]
    async fn a_transaction_that_moved_is_followed_and_one_that_vanished_is_given_up() {
        let (chain, wallet, receipt) = mined().await;
        chain.mine(3);
        chain.reorganise(4, true).unwrap();
        chain.mine(3);
        let moved = confirm(&wallet, receipt.clone(), 2, IMPATIENCE).await.unwrap();
        assert_eq!(moved.transaction, receipt.transaction);
        assert_ne!(moved.block, receipt.block);
        chain.reorganise(chain.block_number(), false).unwrap();
        let error = confirm(&wallet, moved, 0, IMPATIENCE).await.unwrap_err();
        assert!(
            matches!(error, TransactionError::Unconfirmed { above: 0, .. }),
            "{error}"
        );
    }
}
