//! What `proxy --dev` sells on: a development chain with contracts and keys, which ends with the proxy.

use crate::Failure;
use crate::sandbox::Sandbox;
use microraiden_devchain::StartError;
use microraiden_protocol::{Address, BlockNumber};
use microraiden_proxy::OfferedChain;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use url::Url;

/// Where the other commands look for a node when nobody says.
const USUAL_PORT: u16 = 8545;
/// How many whole tokens the sender owns besides: for prices at which those that it buys are not enough for a channel.
const TOKENS: u128 = 10_000;

/// A chain in this process, a channel contract on it, a receiver, and a sender who owns tokens.
pub(crate) struct Dev(Sandbox);

impl Dev {
    /// Starts it at a port of this machine: 8545 if that is free, or else any, unless it is said.
    ///
    /// # Errors
    /// When the port is taken, or there is no place for files.
    pub(crate) async fn start(port: Option<u16>) -> Result<Self, Failure> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sandbox = match Sandbox::start(at(port.unwrap_or(USUAL_PORT))).await {
            Err(error) if port.is_none() && is_taken(&*error) => Sandbox::start(at(0)).await?,
            started => started?,
        };
        sandbox.give_to_sender(TOKENS).await?;
        let dev = Self(sandbox);
        tracing::warn!(
            node = %dev.0.rpc,
            contract = %dev.contract(),
            "this is a development chain: everybody knows its keys, nothing on it is worth anything, and it is gone \
             when the proxy ends"
        );
        Ok(dev)
    }

    /// Where the node is. Over WebSocket, so that the proxy hears of each block at once.
    pub(crate) fn node_url(&self) -> Url {
        let mut url = self.0.rpc.clone();
        // Of http and ws either can take the place of the other.
        let _ = url.set_scheme("ws");
        url
    }

    /// The channel contract. Its token is called TKN and has 18 decimals.
    pub(crate) fn contract(&self) -> Address {
        self.0.contract.address()
    }

    /// The first block that can hold a channel.
    pub(crate) fn start_block(&self) -> BlockNumber {
        self.0.start_block
    }

    /// The key of whoever is paid.
    pub(crate) fn receiver_key_file(&self) -> PathBuf {
        self.0.file("receiver.key")
    }

    /// Where accounts and proofs are kept, for as long as the chain lasts.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.0.file("receiver.db")
    }

    /// What browsers may use of it.
    ///
    /// # Errors
    /// When the key is none, which cannot be.
    pub(crate) fn dev_chain(&self) -> Result<OfferedChain, Failure> {
        self.0.dev_chain()
    }

    /// What to try, which buys what is at `url` for `price`.
    ///
    /// # Errors
    /// When the program's own file is not known.
    pub(crate) fn by_hand(&self, url: &Url, price: &str) -> Result<String, Failure> {
        let commands = self.0.by_hand(url, url, price)?;
        Ok(format!("\nThe proxy sells until Ctrl-C. {commands}"))
    }

    /// Ends the chain and removes the files.
    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

fn is_taken(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(StartError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse
    )
}
