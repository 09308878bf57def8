//! Gas money: nothing is sold that could not be brought on chain.
//!
//! A stale close must be answered by a transaction of ours. So selling stops while the wallet cannot
//! pay one for each channel on which enough is owed, and resumes by itself. Channels of dust do not
//! count, and there is a cap, so that nobody can stop the selling by opening many.

use crate::manager::Shared;
use crate::overview::ChannelState;
use alloy_primitives::U256;
use microraiden_chain::ChainError;
use microraiden_protocol::Amount;
use microraiden_protocol::ledger::Account;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// What a `cooperativeClose` takes at most (83,001 measured, to a receiver without tokens), with room.
const CLOSE_GAS: u128 = 110_000;
/// The price of gas may double before a close is mined.
const ROOM: u128 = 2;

/// Looks again and again, until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            looked = look(&shared) => if let Err(error) = looked {
                // A node that stays silent stops the selling by itself.
                tracing::debug!(%error, "the gas money could not be looked at");
            },
        }
        let pause = shared.config.poll_interval;
        // A change of the flag ends the pause early.
        let _ = tokio::time::timeout(pause, stop.changed()).await;
    }
}

/// Compares what the wallet holds with what the claims would cost now.
async fn look(shared: &Shared) -> Result<(), ChainError> {
    let claims = claims(shared);
    let (mut short, mut held, mut needed) = (false, None, 0);
    if claims > 0 {
        let node = shared.contract.node();
        let balance = node.eth_balance(shared.wallet.address()).await?;
        let each = node.gas_price().await?.saturating_mul(CLOSE_GAS * ROOM);
        needed = each.saturating_mul(u128::from(claims));
        short = balance < U256::from(needed);
        held = Some(balance);
    }
    if shared.gas_short.swap(short, Ordering::Relaxed) != short {
        if short {
            let wallet = shared.wallet.address();
            tracing::error!(%wallet, held_wei = ?held, needed_wei = needed, claims, "selling stops: the wallet cannot pay the gas of its claims; send it ether");
        } else {
            tracing::info!("the wallet can pay the gas of its claims; selling resumes");
        }
    }
    Ok(())
}

/// How many unsettled channels owe enough to be worth a transaction, up to the cap.
fn claims(shared: &Shared) -> u32 {
    let config = &shared.config;
    let slots = shared.accounts.all();
    let owing = slots
        .iter()
        .filter(|slot| is_claim(&slot.lock(), config.min_claim));
    let most = usize::try_from(config.most_claims).unwrap_or(usize::MAX);
    u32::try_from(owing.take(most).count()).unwrap_or(u32::MAX)
}

fn is_claim(account: &Account, min_claim: Amount) -> bool {
    if ChannelState::of(account).is_none() {
        return false;
    }
    // What was withdrawn may lie above what was sold.
    let unclaimed = account.spent().checked_since(account.facts().withdrawn());
    unclaimed.is_some_and(|unclaimed| !unclaimed.is_zero() && unclaimed >= min_claim)
}
