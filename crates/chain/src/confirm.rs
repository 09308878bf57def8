//! Waiting until a transaction lies deep enough in the chain.

use crate::deployment::DeployError;
use crate::error::ChainError;
use crate::node::Node;
use crate::wallet::{Receipt, Wallet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `confirmations` blocks lie above a transaction; its receipt of then, since it may have moved to another
/// block. Gives up when the chain stands still for `patience`, or does not have the transaction for so long.
pub(crate) async fn confirm(
    wallet: &Wallet,
    mut receipt: Receipt,
    confirmations: u64,
    patience: Duration,
) -> Result<Receipt, DeployError> {
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
            return Err(DeployError::Unconfirmed {
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
