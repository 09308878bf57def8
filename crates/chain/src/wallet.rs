//! A key that signs and sends transactions.

use crate::error::{ChainError, TransactionError};
use crate::events::RpcLog;
use crate::fees::Fees;
use crate::node::{At, Call, Node};
use crate::nonces::{HeldNonce, HeldNonces};
use crate::revert::Revert;
use crate::rpc::RpcError;
use crate::signer::Signer;
use crate::transaction::{Draft, SignedTransaction};
use alloy_primitives::{Address, B256, Bytes, Log, U64, U128, U256};
use microraiden_protocol::{BlockNumber, BlockRef};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How often a transaction is offered to a node that does not answer, or has another idea of the nonce.
const ATTEMPTS: u32 = 4;
/// How long to wait between these offers.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The first wait for a receipt; each is half as long again as the one before.
const FIRST_POLL: Duration = Duration::from_millis(20);
/// How often the fees are raised at once, to replace a transaction whose fees are not known: forty times as much in all.
const RAISES: u32 = 32;
/// How long a nonce must have been used, and none of ours been mined with it, before that counts.
const SUPERSEDED_AFTER: Duration = Duration::from_secs(5);
/// The longest wait between two looks for a receipt.
const LONGEST_POLL: Duration = Duration::from_secs(2);

/// How long a wallet waits, and what it may pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletOptions {
    /// How long to wait until a transaction is mined, 5 minutes by default.
    pub receipt_timeout: Duration,
    /// How long to wait before the transaction is replaced by the same with higher fees, again and again; a minute by
    /// default.
    pub raise_fees_after: Duration,
    /// The most that a unit of gas may cost, in wei; without one by default.
    pub max_fee_per_gas: Option<u128>,
    /// Whether this wallet is the only one that ever sends with its key; false by default. Then a transaction that
    /// waits for its block, and that nobody here waits for, was sent before a restart, or given up: its nonce is used
    /// again, so that it holds nothing up.
    pub is_exclusive: bool,
}

impl Default for WalletOptions {
    fn default() -> Self {
        Self {
            receipt_timeout: Duration::from_secs(300),
            raise_fees_after: Duration::from_secs(60),
            max_fee_per_gas: None,
            is_exclusive: false,
        }
    }
}

/// A key with a node; clones share the order of its transactions.
///
/// No other program may send transactions with the same key at the same time: its transactions would take the nonces
/// of ours.
#[derive(Debug, Clone)]
pub struct Wallet {
    inner: Arc<Inner>,
    /// The most that the gas of one transaction may cost, in wei.
    max_cost: Option<U256>,
}

#[derive(Debug)]
struct Inner {
    node: Node,
    signer: Signer,
    address: Address,
    options: WalletOptions,
    /// Held from asking for a nonce until the node has taken the transaction with it.
    submission: Mutex<()>,
    /// The nonces of transactions that somebody here waits for.
    held: HeldNonces,
}

/// A transaction that the node has taken.
struct Submitted {
    draft: Draft,
    fees: Fees,
    sent: SignedTransaction,
    _nonce: HeldNonce,
}

/// What became of a transaction that was mined and not reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub transaction: B256,
    /// The block that holds it, for now.
    pub block: BlockRef,
    /// The gas that it used.
    pub gas_used: u64,
    /// What a unit of gas cost, in wei.
    pub effective_gas_price: u128,
    /// What it logged.
    pub logs: Vec<Log>,
    /// The contract that it created.
    pub contract_address: Option<Address>,
}

impl Receipt {
    /// What the gas cost, in wei.
    pub fn cost_wei(&self) -> U256 {
        U256::from(self.gas_used) * U256::from(self.effective_gas_price)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcReceipt {
    transaction_hash: B256,
    block_number: U64,
    block_hash: B256,
    gas_used: U64,
    #[serde(default)]
    effective_gas_price: U128,
    status: U64,
    logs: Vec<RpcLog>,
    contract_address: Option<Address>,
}

impl Wallet {
    /// A wallet with the default options.
    pub fn new(node: Node, signer: impl Into<Signer>) -> Self {
        Self::with_options(node, signer, WalletOptions::default())
    }

    /// A wallet with options of one's own.
    pub fn with_options(node: Node, signer: impl Into<Signer>, options: WalletOptions) -> Self {
        let signer = signer.into();
        let inner = Inner {
            node,
            address: signer.address(),
            signer,
            options,
            submission: Mutex::new(()),
            held: HeldNonces::default(),
        };
        Self {
            inner: Arc::new(inner),
            max_cost: None,
        }
    }

    /// The same wallet, and the order of its transactions, with a limit on what the gas of each may cost, in wei.
    #[must_use]
    pub fn with_max_cost(&self, wei: U256) -> Self {
        Self {
            inner: self.inner.clone(),
            max_cost: Some(wei),
        }
    }

    /// The address of its key.
    pub fn address(&self) -> Address {
        self.inner.address
    }

    /// The node it sends to.
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// Sends a transaction and waits until it is mined. Without `to` it creates a contract; without `gas` the gas is
    /// estimated on the pending block, with a fifth added.
    ///
    /// If the future is dropped, a transaction that was sent already goes its way.
    ///
    /// # Errors
    /// When the contract refuses, before or after sending; the wallet cannot pay; or the node fails. See
    /// [`TransactionError`].
    pub async fn send(
        &self,
        to: Option<Address>,
        data: Bytes,
        value: U256,
        gas: Option<u64>,
    ) -> Result<Receipt, TransactionError> {
        let call = Call {
            from: Some(self.address()),
            to,
            data,
            value,
        };
        let gas = match gas {
            Some(gas) => gas,
            None => self.estimate(&call).await?,
        };
        let receipt = self.wait(self.submit(&call, gas).await?).await?;
        if receipt.status.is_zero() {
            let revert = self.why_reverted(&call, gas, &receipt).await;
            return Err(TransactionError::Reverted {
                transaction: Some(receipt.transaction_hash),
                revert,
            });
        }
        Ok(receipt.into())
    }

    async fn estimate(&self, call: &Call) -> Result<u64, TransactionError> {
        match self.node().estimate_gas(call).await {
            Ok(Ok(gas)) => Ok(gas.saturating_add(gas / 5)),
            Ok(Err(revert)) => Err(TransactionError::Reverted {
                transaction: None,
                revert,
            }),
            Err(ChainError::Request { source, .. }) if is_insufficient_funds(&source) => {
                Err(self.insufficient_funds(&source))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The most that a unit of gas may cost in a transaction that takes so much of it.
    fn ceiling(&self, gas: u64) -> Option<u128> {
        let share = |cost: U256| {
            let price = cost.checked_div(U256::from(gas)).unwrap_or(U256::MAX);
            u128::try_from(price).unwrap_or(u128::MAX)
        };
        let ceilings = [self.inner.options.max_fee_per_gas, self.max_cost.map(share)];
        ceilings.into_iter().flatten().min()
    }

    /// The nonce of the next transaction. Where the wallet is the only one, the first that nobody here waits for;
    /// otherwise the first that the node knows no transaction with.
    async fn next_nonce(&self) -> Result<HeldNonce, ChainError> {
        let state = match self.inner.options.is_exclusive {
            true => "latest",
            false => "pending",
        };
        let count: U64 = self
            .node()
            .ask("eth_getTransactionCount", json!([self.address(), state]))
            .await?;
        Ok(match self.inner.options.is_exclusive {
            true => self.inner.held.first_free(count.to()),
            false => self.inner.held.hold(count.to()),
        })
    }

    /// Takes the next nonce and has the node take the transaction.
    async fn submit(&self, call: &Call, gas: u64) -> Result<Submitted, TransactionError> {
        let _turn = self.inner.submission.lock().await;
        let ceiling = self.ceiling(gas);
        let mut fees = Fees::now(self.node(), ceiling).await?;
        let (mut attempt, mut raises) = (1, 0);
        loop {
            let nonce = self.next_nonce().await?;
            let draft = Draft {
                chain_id: self.node().chain_id(),
                nonce: nonce.number(),
                to: call.to.into(),
                data: call.data.clone(),
                value: call.value,
                gas,
            };
            let sent = draft.sign(fees, &self.inner.signer).await?;
            let source = match self.offer(&sent).await {
                Ok(()) => {
                    return Ok(Submitted {
                        draft,
                        fees,
                        sent,
                        _nonce: nonce,
                    });
                }
                Err(TransactionError::Refused { source, .. }) if is_nonce_taken(&source) => source,
                Err(error) => return Err(error),
            };
            if self.inner.options.is_exclusive && is_underpriced(&source) && raises < RAISES {
                // One that was sent before a restart has this nonce, at a higher fee.
                raises += 1;
                fees = fees
                    .raised(fees, ceiling)
                    .ok_or(TransactionError::FeeAboveCeiling {
                        price: fees.most(),
                        ceiling: ceiling.unwrap_or(u128::MAX),
                    })?;
            } else if attempt < ATTEMPTS {
                // Another part of the node took a transaction of ours that this one had not seen.
                attempt += 1;
                sleep(ATTEMPT_DELAY).await;
            } else {
                let transaction = sent.hash;
                return Err(TransactionError::Refused { transaction, source });
            }
        }
    }

    /// Offers a transaction until the node takes or refuses it; offering it twice does no harm.
    async fn offer(&self, signed: &SignedTransaction) -> Result<(), TransactionError> {
        let transaction = signed.hash;
        let mut attempt = 1;
        loop {
            let source = match self
                .node()
                .ask::<B256>("eth_sendRawTransaction", json!([signed.encoded]))
                .await
            {
                Ok(_) => return Ok(()),
                Err(ChainError::Request { source, .. }) => source,
                Err(error) => return Err(error.into()),
            };
            // After an answer that was lost, a nonce that is taken was taken by this transaction itself.
            if is_known(&source) || (attempt > 1 && is_nonce_taken(&source)) {
                return Ok(());
            }
            match (source.is_transient(), attempt) {
                (true, ..ATTEMPTS) => {}
                (false, 1) if is_insufficient_funds(&source) => return Err(self.insufficient_funds(&source)),
                (false, 1) => return Err(TransactionError::Refused { transaction, source }),
                // Whatever is said now, the node may have taken it before.
                _ => return Err(TransactionError::Unanswered { transaction, source }),
            }
            attempt += 1;
            sleep(ATTEMPT_DELAY).await;
        }
    }

    /// Waits for the receipt of a transaction or of one that replaced it.
    async fn wait(&self, submitted: Submitted) -> Result<RpcReceipt, TransactionError> {
        let Submitted {
            draft,
            mut fees,
            sent,
            _nonce,
        } = submitted;
        let options = &self.inner.options;
        let started = Instant::now();
        let mut raise_at = started + options.raise_fees_after;
        let mut hashes = vec![sent.hash];
        let mut pause = FIRST_POLL;
        let mut superseded_since = None;
        loop {
            for hash in &hashes {
                match self.receipt(*hash).await {
                    Ok(Some(receipt)) => return Ok(receipt),
                    Ok(None) => {}
                    // It was sent: no trouble with the node ends the waiting before its time.
                    Err(error) => tracing::debug!(%error, "no receipt for now"),
                }
            }
            let transaction = *hashes.last().unwrap_or(&sent.hash);
            if self.is_mined(draft.nonce).await {
                // Not at once: another node may have been asked for the receipt, one that is behind.
                let since = *superseded_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SUPERSEDED_AFTER {
                    return Err(TransactionError::Superseded { transaction });
                }
            } else {
                superseded_since = None;
            }
            if started.elapsed() >= options.receipt_timeout {
                return Err(TransactionError::NotMined {
                    transaction,
                    waited: options.receipt_timeout,
                });
            }
            if Instant::now() >= raise_at {
                raise_at += options.raise_fees_after;
                if let Some((raised, hash)) = self.replace(&draft, fees).await {
                    fees = raised;
                    hashes.push(hash);
                }
            }
            sleep(pause).await;
            pause = (pause + pause / 2).min(LONGEST_POLL);
        }
    }

    /// Whether a transaction with this nonce is in the chain, ours or another one.
    async fn is_mined(&self, nonce: u64) -> bool {
        let asked = self
            .node()
            .ask::<U64>("eth_getTransactionCount", json!([self.address(), "latest"]));
        asked.await.is_ok_and(|count| count.to::<u64>() > nonce)
    }

    /// Offers the same transaction with higher fees; the old one goes on waiting if that fails.
    async fn replace(&self, draft: &Draft, fees: Fees) -> Option<(Fees, B256)> {
        let ceiling = self.ceiling(draft.gas);
        let now = Fees::now(self.node(), ceiling).await.unwrap_or(fees);
        let raised = fees.raised(now, ceiling)?;
        let signed = draft.sign(raised, &self.inner.signer).await.ok()?;
        match self.offer(&signed).await {
            Ok(()) | Err(TransactionError::Unanswered { .. }) => {
                tracing::info!(transaction = %signed.hash, wei = raised.most(), "replaced with higher fees");
                Some((raised, signed.hash))
            }
            Err(error) => {
                tracing::debug!(%error, "not replaced");
                None
            }
        }
    }

    /// What became of a transaction; `None` while no block of the chain holds it.
    pub(crate) async fn receipt_of(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        Ok(self.receipt(transaction).await?.map(Receipt::from))
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<RpcReceipt>, ChainError> {
        self.node()
            .ask_maybe("eth_getTransactionReceipt", json!([transaction]))
            .await
    }

    /// Plays the transaction again in its block; at best a guess, when the block held others of the same channel.
    async fn why_reverted(&self, call: &Call, gas: u64, receipt: &RpcReceipt) -> Revert {
        if receipt.gas_used.to::<u64>() == gas {
            return Revert::without_data("out of gas");
        }
        let block = BlockNumber(receipt.block_number.to());
        match self.node().call(call, At::Block(block)).await {
            Ok(Err(revert)) => revert,
            _ => Revert::without_data("the reason cannot be found any more"),
        }
    }

    fn insufficient_funds(&self, source: &RpcError) -> TransactionError {
        TransactionError::InsufficientFunds {
            wallet: self.address(),
            message: source.to_string(),
        }
    }
}

impl From<RpcReceipt> for Receipt {
    fn from(receipt: RpcReceipt) -> Self {
        let number = BlockNumber(receipt.block_number.to());
        Self {
            transaction: receipt.transaction_hash,
            block: BlockRef {
                number,
                hash: receipt.block_hash,
            },
            gas_used: receipt.gas_used.to(),
            effective_gas_price: receipt.effective_gas_price.to(),
            logs: receipt.logs.into_iter().map(Log::from).collect(),
            contract_address: receipt.contract_address,
        }
    }
}

/// Whether a node's refusal has one of these in it. Nodes have no codes for them.
fn says(error: &RpcError, signs: &[&str]) -> bool {
    let RpcError::Refused { message, .. } = error else {
        return false;
    };
    let message = message.to_ascii_lowercase();
    signs.iter().any(|sign| message.contains(sign))
}

fn is_insufficient_funds(error: &RpcError) -> bool {
    says(
        error,
        &["insufficient funds", "insufficient balance", "not enough funds"],
    )
}

fn is_known(error: &RpcError) -> bool {
    says(
        error,
        &[
            "already known",
            "known transaction",
            "already imported",
            "already in pool",
        ],
    )
}

/// Whether another transaction with the same nonce offers more.
fn is_underpriced(error: &RpcError) -> bool {
    says(error, &["underpriced"])
}

fn is_nonce_taken(error: &RpcError) -> bool {
    says(
        error,
        &[
            "nonce too low",
            "nonce is too low",
            "underpriced",
            "nonce too small",
        ],
    )
}
