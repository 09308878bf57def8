//! What the commands of the sender share: options, and what is made of them.

use crate::args::{ContractArgs, NodeArgs};
use crate::keys::KeyArgs;
use crate::proxy::check_play_money;
use crate::{Failure, data_folder, deployment_file};
use clap::Args;
use microraiden_chain::{Contract, Node};
use microraiden_protocol::{Address, B256, BlockNumber};
use microraiden_sender::{AllowedContract, Client, ClientOptions};
use std::path::PathBuf;
use std::time::Duration;

/// How long another command that pays with the same book is waited for.
const BOOK_WAIT: Duration = Duration::from_secs(5);

/// Which node and contract the sender uses, and with which key and channel book.
#[derive(Debug, Args)]
pub(crate) struct SenderArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The channel book: what was deposited and signed. By default in your folder for data, by a name that begins with the
    /// addresses of contract and sender
    #[arg(long, value_name = "FILE")]
    pub(crate) book: Option<PathBuf>,
    /// Trust a contract of unknown code with deposits: the Keccak-256 hash of its code
    #[arg(long, value_name = "HASH")]
    pub(crate) trust_code: Option<B256>,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long)]
    pub(crate) unaudited_real_money: bool,
}

impl SenderArgs {
    /// A client that may pay, with its channel book.
    ///
    /// # Errors
    /// When the key, the node, the contract or the book cannot be used, or the tokens are real and nobody accepted that.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let key = self.key.load()?;
        let node = self.node.connect().await?;
        check_play_money(node.chain_id(), self.unaudited_real_money)?;
        node.check_block_numbers().await?;
        let (contract, scan_from) = contract(node, &self.contract).await?;
        let allowed = self.trust_code.map(|code_hash| AllowedContract {
            chain_id: contract.node().chain_id(),
            contract: contract.address(),
            code_hash: Some(code_hash),
        });
        let options = ClientOptions {
            book: Some(self.book(contract.address(), key.address())?),
            book_wait: BOOK_WAIT,
            scan_from,
            allowed: allowed.into_iter().collect(),
            ..ClientOptions::default()
        };
        Ok(Client::open(contract, key, options).await?)
    }

    /// A client that only looks, for which no password is asked; another process may be paying meanwhile.
    ///
    /// # Errors
    /// When the address, the node, the contract or the book cannot be read.
    pub(crate) async fn looking(&self) -> Result<Client, Failure> {
        let sender = self.key.address()?;
        let node = self.node.connect().await?;
        let (contract, scan_from) = contract(node, &self.contract).await?;
        let options = ClientOptions {
            book: Some(self.book(contract.address(), sender)?),
            scan_from,
            ..ClientOptions::default()
        };
        Ok(Client::look(contract, sender, options).await?)
    }

    /// The channel book of a sender at a contract: the one that was named, or the usual one, whose folder is created.
    ///
    /// # Errors
    /// When that folder is not known, or cannot be created.
    pub(crate) fn book(&self, contract: Address, sender: Address) -> Result<PathBuf, Failure> {
        match &self.book {
            Some(file) => Ok(file.clone()),
            None => {
                let name = data_folder::name(contract, sender, "book");
                Ok(data_folder::create("--book")?.join(name))
            }
        }
    }
}

/// The contract that was named, and the first block that can hold a channel of it.
///
/// # Errors
/// When it is not there, or the deployment file cannot be used.
pub(crate) async fn contract(node: Node, args: &ContractArgs) -> Result<(Contract, BlockNumber), Failure> {
    let (address, start_block) = deployment_file::locate(args, node.chain_id())?;
    Ok((Contract::at(node, address).await?, start_block))
}
