//! Acting on a state file that no proxy uses: begun, and waited for until it is on chain.

use super::args::Direct;
use crate::args::ContractArgs;
use crate::proxy::Database;
use crate::{Failure, deployment_file, interrupted, keys, state};
use microraiden_chain::Node;
use microraiden_http::rest::{Begun, WithdrawRequest};
use microraiden_manager::{ChannelManager, Config, OpenError, Receiver, StoreLocation, Withdrawing};
use microraiden_protocol::Amount;
use microraiden_proxy::rest;
use microraiden_store::{OpenError as StateError, TaskKind};
use std::time::Duration;

/// The pause between two looks at what is left.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Closes all channels that bring in enough.
pub(super) async fn close_all(direct: &Direct, minimum: Option<Amount>) -> Result<Begun, Failure> {
    let manager = open(direct).await?;
    let begun = manager.close_all(minimum.unwrap_or(manager.min_claim())).await?;
    finish(&manager, TaskKind::Close).await?;
    Ok(rest::begun(begun))
}

/// Withdraws from all channels that bring in enough.
pub(super) async fn withdraw(direct: &Direct, request: &WithdrawRequest) -> Result<Begun, Failure> {
    let manager = open(direct).await?;
    let which = Withdrawing {
        minimum: request.minimum_amount.unwrap_or(manager.min_claim()),
        takes_credit: request.takes_credit,
    };
    let begun = manager.withdraw(which).await?;
    finish(&manager, TaskKind::Withdraw).await?;
    Ok(rest::begun(begun))
}

async fn open(direct: &Direct) -> Result<ChannelManager, Failure> {
    let Some(key) = &direct.private_key else {
        return Err("name the running proxy with --proxy, or the receiver's key with --private-key".into());
    };
    let key = keys::load(key, direct.private_key_password_file.as_deref())?;
    let contract = ContractArgs {
        channel_manager_address: direct.channel_manager_address,
        deployment_file: direct.deployment_file.clone(),
    };
    let node = Node::connect_to(&direct.rpc_provider, Default::default()).await?;
    let (contract, start_block) = deployment_file::locate(&contract, node.chain_id())?;
    let store = match (&direct.store, &direct.state_file) {
        (Some(Database(url)), _) => StoreLocation::Database(url.clone()),
        (None, Some(file)) => StoreLocation::File(file.clone()),
        (None, None) => StoreLocation::File(state::default_file(contract, key.address())?),
    };
    if let StoreLocation::File(file) = &store
        && !file.exists()
    {
        // Opening would make a new one.
        return Err(format!("there is no state file {}", file.display()).into());
    }
    let receiver = Receiver {
        rpc: direct.rpc_provider.clone(),
        contract,
        key,
        store,
    };
    let config = Config {
        start_block,
        ..Config::default()
    };
    match ChannelManager::open(receiver, config).await {
        Err(OpenError::State(error @ StateError::Locked { .. })) => {
            Err(format!("{error}; or ask the proxy that uses it, with --proxy").into())
        }
        opened => Ok(opened?),
    }
}

/// Waits until everything of this kind is on chain.
async fn finish(manager: &ChannelManager, kind: TaskKind) -> Result<(), Failure> {
    let mut interrupted = Box::pin(interrupted());
    let mut told = usize::MAX;
    loop {
        let left = manager.transactions_left(kind);
        if left == 0 {
            manager.stop().await;
            return Ok(());
        }
        if left < told {
            eprintln!("{left} transactions to go");
            told = left;
        }
        tokio::select! {
            () = &mut interrupted => {
                manager.stop().await;
                return Err(format!("{left} transactions are not on chain yet; the next start of this command or of the proxy goes on").into());
            }
            failure = manager.failed() => return Err(failure.into()),
            () = tokio::time::sleep(LOOK_PAUSE) => {}
        }
    }
}
