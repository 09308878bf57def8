//! A token and a channel contract: planned, paid for, confirmed, and verified on the chain.

use crate::artifact::{Artifact, address_word, number_word};
use crate::bindings::{Erc20, RaidenMicroTransferChannels as Channels};
use crate::deploy::{self, MINIMUM_CHALLENGE_PERIOD, TokenParams};
use crate::error::{ChainError, TransactionError};
use crate::fees::Fees;
use crate::node::{Call, Node};
use crate::wallet::{Receipt, Wallet};
use alloy_primitives::utils::format_ether;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use microraiden_protocol::BlockNumber;
use serde::{Deserialize, Serialize, Serializer};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than any deployment file has.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Chains whose tokens are worth nothing: development chains and the public test networks.
const PLAY_MONEY_CHAINS: [u64; 6] = [1337, 31337, 5, 17_000, 560_048, 11_155_111];

/// What the constructor of the channel contract does, apart from what its size costs: storage is not touched, and the
/// development token is asked for its supply.
const CONSTRUCTOR_GAS: u64 = 10_000;

/// Why there is no deployment that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The chain, a contract or a transaction failed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The token says that there is nothing of it.
    #[error("the token at {0} has no supply, so nobody could deposit any")]
    WithoutSupply(Address),
    /// The new token would have no supply.
    #[error("a token without a supply is refused by the channel contract")]
    ZeroSupply,
    /// What is at the address is no token.
    #[error("the contract at {0} is no token: it does not tell its total supply")]
    NotAToken(Address),
    /// The owner cannot pay for the gas.
    #[error(
        "{wallet} holds {} ether, and the gas may cost up to {} ether: {} ether is missing",
        in_ether(*balance), in_ether(*needed), in_ether(needed.saturating_sub(*balance))
    )]
    InsufficientEther {
        /// Who deploys.
        wallet: Address,
        /// What it holds, in wei.
        balance: U256,
        /// What it should hold, in wei.
        needed: U256,
    },
    /// The code on the chain is not what was sent.
    #[error("the code at {address} is not that of {contract}: do not use it")]
    OtherCode {
        /// Where.
        address: Address,
        /// The contract that was deployed.
        contract: &'static str,
    },
    /// The contract says something else than it was told.
    #[error("{what}() of the contract at {address} is {found}, not {expected}: do not use it")]
    OtherValue {
        /// Where.
        address: Address,
        /// The function that was asked.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// Why a deployment file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentFileError {
    /// It is not there, or may not be read.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} is no deployment file")]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Whether the tokens of a chain are known to be worth nothing, as on development chains and public test networks. The
/// channel contract is unaudited: anywhere else, ask before you let it hold tokens.
pub fn is_play_money(chain_id: u64) -> bool {
    PLAY_MONEY_CHAINS.contains(&chain_id)
}

impl From<ChainError> for DeployError {
    fn from(error: ChainError) -> Self {
        Self::Transaction(error.into())
    }
}

/// Which token the deposits will be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChoice {
    /// A new development token.
    New(TokenParams),
    /// One that is there.
    Existing(Address),
}

/// What is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The token of all deposits.
    pub token: TokenChoice,
    /// The challenge period, in blocks.
    pub challenge_period: u32,
    /// How many blocks must lie above the transactions before they count.
    pub confirmations: u64,
}

/// Wei as ether, exactly.
pub fn in_ether(wei: U256) -> String {
    let digits = format_ether(wei);
    let digits = digits.trim_end_matches('0');
    digits.trim_end_matches('.').to_owned()
}

/// What a plan will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The gas of the token's transaction; `None` when the token is there already.
    pub token_gas: Option<u64>,
    /// The gas of the channel contract's transaction.
    pub contract_gas: u64,
    /// What a unit of gas costs now, in wei.
    pub gas_price_wei: u128,
    /// What a unit of gas may come to cost, in wei: the transactions leave room for dearer blocks.
    pub max_gas_price_wei: u128,
    /// What the owner holds, in wei.
    pub balance_wei: U256,
}

impl Estimate {
    /// All gas.
    pub fn gas(&self) -> u64 {
        self.contract_gas.saturating_add(self.token_gas.unwrap_or(0))
    }

    /// What all gas costs at the current price, in wei.
    pub fn cost_wei(&self) -> U256 {
        U256::from(self.gas()) * U256::from(self.gas_price_wei)
    }

    /// What a node wants the owner to hold, in wei: a fifth more gas, at the highest price.
    pub fn needed_wei(&self) -> U256 {
        let gas = self.gas().saturating_add(self.gas() / 5);
        U256::from(gas) * U256::from(self.max_gas_price_wei)
    }

    /// What the owner lacks of [`Self::needed_wei`], in wei.
    pub fn missing_wei(&self) -> U256 {
        self.needed_wei().saturating_sub(self.balance_wei)
    }
}

/// A step of a deployment that was taken.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The token is mined, at this address.
    Token(Address, &'a Receipt),
    /// The channel contract is mined, at this address.
    Contract(Address, &'a Receipt),
    /// Everything is confirmed; now the code is verified.
    Confirmed,
}

/// A channel contract that was deployed and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The EIP-155 id of its chain.
    pub chain_id: u64,
    /// Who may add and remove trusted contracts.
    #[serde(serialize_with = "checksummed")]
    pub owner: Address,
    /// The challenge period, in blocks.
    pub challenge_period: u32,
    /// The channel contract.
    pub contract: Deployed,
    /// The token of all deposits.
    pub token: Deployed,
}

/// A contract of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Where it is.
    #[serde(serialize_with = "checksummed")]
    pub address: Address,
    /// The Keccak-256 hash of the code there.
    pub code_hash: B256,
    /// The transaction that created it; `None` when it was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    /// The block of that transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
}

impl Deployment {
    /// Reads the file that `microraiden deploy` writes.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, DeploymentFileError> {
        let failed = |source| DeploymentFileError::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let text = io::read_to_string(file.take(MAX_FILE_BYTES)).map_err(failed)?;
        serde_json::from_str(&text).map_err(|source| DeploymentFileError::Content {
            path: path.into(),
            source,
        })
    }

    /// The first block that can hold a channel.
    pub fn start_block(&self) -> BlockNumber {
        BlockNumber(self.contract.block.unwrap_or(0))
    }
}

fn checksummed<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

impl Plan {
    /// Checks everything that can be known before, and estimates the gas; changes nothing.
    ///
    /// # Errors
    /// When the plan would fail but for lack of ether, or the node does.
    pub async fn estimate(&self, wallet: &Wallet) -> Result<Estimate, DeployError> {
        if self.challenge_period < MINIMUM_CHALLENGE_PERIOD {
            return Err(DeployError::Transaction(TransactionError::ChallengePeriod {
                given: self.challenge_period,
                minimum: MINIMUM_CHALLENGE_PERIOD,
            }));
        }
        let node = wallet.node();
        node.check_block_numbers().await?;
        let (token_gas, contract_gas) = match &self.token {
            TokenChoice::New(params) if params.supply.is_zero() => return Err(DeployError::ZeroSupply),
            TokenChoice::New(params) => {
                let gas = creation_gas(wallet, deploy::token_init_code(params)).await?;
                (Some(gas), self.contract_gas())
            }
            TokenChoice::Existing(token) => {
                check_token(node, *token).await?;
                let init_code = deploy::channels_init_code(*token, self.challenge_period);
                (None, creation_gas(wallet, init_code).await?)
            }
        };
        Ok(Estimate {
            token_gas,
            contract_gas,
            gas_price_wei: node.gas_price().await?,
            max_gas_price_wei: Fees::now(node, None).await?.most(),
            balance_wei: node.eth_balance(wallet.address()).await?,
        })
    }

    /// What the channel contract will cost while its token is not there, when no node can tell: by the price list of
    /// the EVM (a transaction, a creation, its data and words, each byte of code), and a bit for the constructor.
    fn contract_gas(&self) -> u64 {
        let init_code = deploy::channels_init_code(Address::repeat_byte(0xff), self.challenge_period);
        let data: u64 = init_code.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
        let [words, code_bytes] = [init_code.len().div_ceil(32), Artifact::channels().code_len()]
            .map(|length| u64::try_from(length).unwrap_or(u64::MAX));
        [
            53_000,
            data,
            words.saturating_mul(2),
            code_bytes.saturating_mul(200),
            CONSTRUCTOR_GAS,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Deploys, waits for confirmations, and verifies code and values on the chain; `taken` hears of each step.
    ///
    /// # Errors
    /// Before anything is sent, as [`Self::estimate`], or when the owner has too little ether; afterwards when a
    /// transaction fails, or what is on the chain is not what was sent.
    pub async fn carry_out(
        &self,
        wallet: &Wallet,
        mut taken: impl FnMut(Step<'_>),
    ) -> Result<Deployment, DeployError> {
        let estimate = self.estimate(wallet).await?;
        if !estimate.missing_wei().is_zero() {
            return Err(DeployError::InsufficientEther {
                wallet: wallet.address(),
                balance: estimate.balance_wei,
                needed: estimate.needed_wei(),
            });
        }
        let (token, token_receipt) = match &self.token {
            TokenChoice::Existing(token) => (*token, None),
            TokenChoice::New(params) => {
                let (token, receipt) = deploy::token(wallet, params.clone()).await?;
                taken(Step::Token(token, &receipt));
                (token, Some(receipt))
            }
        };
        let (contract, receipt) = deploy::channels(wallet, token, self.challenge_period).await?;
        taken(Step::Contract(contract, &receipt));
        let wait = async |receipt| wallet.confirm(receipt, self.confirmations).await;
        let receipt = wait(receipt).await?;
        let token_receipt = match token_receipt {
            Some(receipt) => Some(wait(receipt).await?),
            None => None,
        };
        taken(Step::Confirmed);
        let deployed = async |address, receipt: Option<Receipt>| {
            Ok::<_, ChainError>(Deployed {
                address,
                code_hash: keccak256(wallet.node().code(address).await?),
                transaction: receipt.as_ref().map(|receipt| receipt.transaction),
                block: receipt.map(|receipt| receipt.block.number.0),
            })
        };
        let deployment = Deployment {
            chain_id: wallet.node().chain_id(),
            owner: wallet.address(),
            challenge_period: self.challenge_period,
            contract: deployed(contract, Some(receipt)).await?,
            token: deployed(token, token_receipt).await?,
        };
        self.verify(wallet.node(), &deployment).await?;
        Ok(deployment)
    }

    /// Compares code and values on the chain with what was asked for.
    async fn verify(&self, node: &Node, deployment: &Deployment) -> Result<(), DeployError> {
        let (contract, token) = (deployment.contract.address, deployment.token.address);
        let owner = ("owner_address", address_word(deployment.owner));
        if let TokenChoice::New(params) = &self.token {
            let multiplier = U256::from(10).wrapping_pow(U256::from(params.decimals));
            let values = [
                owner,
                ("decimals", number_word(U256::from(params.decimals))),
                ("multiplier", number_word(multiplier)),
            ];
            verify_code(node, token, "the development token", Artifact::token(), &values).await?;
        }
        let values = [
            owner,
            ("token", address_word(token)),
            ("challenge_period", number_word(U256::from(self.challenge_period))),
        ];
        verify_code(
            node,
            contract,
            "the channel contract",
            Artifact::channels(),
            &values,
        )
        .await?;
        let same = |what, expected: String, found: String| match expected == found {
            true => Ok(()),
            false => Err(DeployError::OtherValue {
                address: contract,
                what,
                expected,
                found,
            }),
        };
        let found = node.read(contract, &Channels::tokenCall {}).await?;
        same("token", token.to_string(), found.to_string())?;
        let found = node.read(contract, &Channels::challenge_periodCall {}).await?;
        same(
            "challenge_period",
            self.challenge_period.to_string(),
            found.to_string(),
        )?;
        let found = node.read(contract, &Channels::owner_addressCall {}).await?;
        same("owner_address", deployment.owner.to_string(), found.to_string())?;
        let found = node.read(contract, &Channels::versionCall {}).await?;
        same("version", "0.2.0".to_owned(), found)
    }
}

/// Makes sure that the channel contract will take a token.
async fn check_token(node: &Node, token: Address) -> Result<(), DeployError> {
    if node.code(token).await?.is_empty() {
        return Err(ChainError::NoCode(token).into());
    }
    match node.read(token, &Erc20::totalSupplyCall {}).await {
        Ok(supply) if supply.is_zero() => Err(DeployError::WithoutSupply(token)),
        Ok(_) => Ok(()),
        Err(ChainError::Reverted { .. } | ChainError::Encoding { .. }) => Err(DeployError::NotAToken(token)),
        Err(error) => Err(error.into()),
    }
}

async fn creation_gas(wallet: &Wallet, init_code: Bytes) -> Result<u64, DeployError> {
    let call = Call {
        from: Some(wallet.address()),
        data: init_code,
        ..Call::default()
    };
    let gas = wallet.node().estimate_gas(&call).await?;
    gas.map_err(|revert| {
        DeployError::Transaction(TransactionError::Reverted {
            transaction: None,
            revert,
        })
    })
}

async fn verify_code(
    node: &Node,
    address: Address,
    contract: &'static str,
    artifact: &Artifact,
    values: &[(&str, B256)],
) -> Result<(), DeployError> {
    if node.code(address).await? != artifact.code_with(values) {
        return Err(DeployError::OtherCode { address, contract });
    }
    Ok(())
}
