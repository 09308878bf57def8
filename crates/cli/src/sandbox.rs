//! A chain to play on, with contracts, keys and tokens; for the demo, the bench, and `proxy --dev`.
//!
//! All keys on it are public, and nothing is worth anything.

use crate::{Failure, amounts};
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Wallet, keys, token};
use microraiden_devchain::{Config, DevChain, Mining};
use microraiden_protocol::{BlockNumber, SecretKey};
use microraiden_proxy::OfferedChain;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use url::Url;

/// Blocks come this often also without transactions, so that deposits are confirmed.
const BLOCK_TIME: Duration = Duration::from_millis(250);
/// How many whole tokens there are in the beginning.
const SUPPLY: u128 = 10_000_000;
const DECIMALS: u8 = 18;

/// Which account of the development chain deploys, and owns the supply of tokens.
const DEPLOYER: usize = 0;
/// Which one is paid.
pub(crate) const RECEIVER: usize = 1;
/// Which one pays.
const SENDER: usize = 2;
/// Whose ether the throw-away wallets of browsers begin with.
const FUNDER: usize = 9;

/// A chain with a channel contract, a receiver, a sender who owns tokens, and a folder for files that is removed in the
/// end.
pub(crate) struct Sandbox {
    chain: Option<DevChain>,
    pub(crate) rpc: Url,
    pub(crate) contract: Contract,
    pub(crate) start_block: BlockNumber,
    pub(crate) receiver: SecretKey,
    pub(crate) sender: SecretKey,
    files: TempDir,
}

impl Sandbox {
    /// On a chain of its own in this process, at an address of this machine.
    ///
    /// # Errors
    /// When the address is taken, or there is no place for files.
    pub(crate) async fn start(listen: SocketAddr) -> Result<Self, Failure> {
        let mining = Mining {
            instant: true,
            interval: Some(BLOCK_TIME),
        };
        let config = Config {
            listen,
            mining,
            ..Config::default()
        };
        let chain = DevChain::start(config).await?;
        let rpc = chain.url().parse()?;
        Self::set_up(Some(chain), rpc).await
    }

    /// On a node that is there, which knows the accounts of the development chain and mines by itself.
    ///
    /// # Errors
    /// When the node does not answer, or there is no place for files.
    pub(crate) async fn on(rpc: Url) -> Result<Self, Failure> {
        Self::set_up(None, rpc).await
    }

    async fn set_up(chain: Option<DevChain>, rpc: Url) -> Result<Self, Failure> {
        let private = Permissions::from_mode(0o700);
        let files = tempfile::Builder::new()
            .prefix("microraiden")
            .permissions(private)
            .tempdir()?;
        let (receiver, sender) = (key_of(RECEIVER)?, key_of(SENDER)?);
        for (name, key) in [("receiver.key", &receiver), ("sender.key", &sender)] {
            keys::create(&files.path().join(name), key)?;
        }
        let (contract, start_block) = deploy(&rpc).await?;
        let wallet = Wallet::new(contract.node().clone(), sender.clone());
        token::mint(&wallet, contract.token().address).await?;
        Ok(Self {
            chain,
            rpc,
            contract,
            start_block,
            receiver,
            sender,
            files,
        })
    }

    /// Transfers whole tokens to the sender.
    ///
    /// # Errors
    /// When the deployer has fewer.
    pub(crate) async fn give_to_sender(&self, tokens: u128) -> Result<(), Failure> {
        let token = self.contract.token();
        let deployer = Wallet::new(self.contract.node().clone(), key_of(DEPLOYER)?);
        let amount = amounts::parse(
            &format!("{tokens} {}", token.symbol),
            &token.symbol,
            token.decimals,
        )?;
        token::transfer(&deployer, token.address, self.sender.address(), amount).await?;
        Ok(())
    }

    /// A file in the folder, which nobody else can look into.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What browsers may use of the chain, to pay from throw-away wallets.
    ///
    /// # Errors
    /// When the key is none, which cannot be.
    pub(crate) fn dev_chain(&self) -> Result<OfferedChain, Failure> {
        let mut node = self.rpc.clone();
        let by_http = match node.scheme() {
            "ws" => Some("http"),
            "wss" => Some("https"),
            _ => None,
        };
        if let Some(scheme) = by_http {
            // Of these either can take the place of the other.
            let _ = node.set_scheme(scheme);
        }
        let funder = key_of(FUNDER)?;
        Ok(OfferedChain { node, funder })
    }

    /// What to try while the chain is up: a browser begins at `page`, and commands buy what is at `url` for `max_price` at
    /// most.
    ///
    /// # Errors
    /// When the program's own file is not known.
    pub(crate) fn by_hand(&self, page: &Url, url: &Url, max_price: &str) -> Result<String, Failure> {
        let program = std::env::current_exe()?;
        let [key, book] = ["sender.key", "sender.book"].map(|name| self.file(name));
        Ok(format!(
            "Open this in a browser to see the page, and to pay from a throw-away wallet:\n\n  \
             {page}\n\n\
             Ask for something without paying:\n\n  \
             curl -i {url}\n\n\
             Pay for it, from a channel that is opened for it, and once more from the same channel:\n\n  \
             {} get {url} \\\n    --private-key {} \\\n    --book {} \\\n    --rpc-provider {} \\\n    \
             --channel-manager-address {} \\\n    --max-price '{max_price}'\n\n\
             See what the receiver holds:\n\n  curl {}\n",
            program.display(),
            key.display(),
            book.display(),
            self.rpc,
            self.contract.address(),
            url.join("/api/1/stats")?,
        ))
    }

    /// Ends the chain, if it is its own, and removes the files.
    pub(crate) async fn stop(self) {
        if let Some(chain) = self.chain {
            chain.stop().await;
        }
    }
}

/// The key of an account of the development chain.
///
/// # Errors
/// When it is not one, which cannot be.
pub(crate) fn key_of(account: usize) -> Result<SecretKey, Failure> {
    let account = microraiden_devchain::ACCOUNTS[account];
    Ok(SecretKey::from_bytes(account.secret_key.as_slice())?)
}

/// Deploys a token of 18 decimals and a channel contract for it; the first block that can hold a channel.
///
/// # Errors
/// When the node does not answer, or does not know the accounts of the development chain.
pub(crate) async fn deploy(rpc: &Url) -> Result<(Contract, BlockNumber), Failure> {
    let node = Node::connect(rpc).await?;
    let deployer = Wallet::new(node.clone(), key_of(DEPLOYER)?);
    let params = TokenParams::with_whole_supply(SUPPLY, "CustomToken".to_owned(), "TKN".to_owned(), DECIMALS)
        .ok_or("the token has too many decimals")?;
    let (token, _) = deploy::token(&deployer, params).await?;
    let (address, receipt) = deploy::channels(&deployer, token, deploy::MINIMUM_CHALLENGE_PERIOD).await?;
    Ok((Contract::at(node, address).await?, receipt.block.number))
}
