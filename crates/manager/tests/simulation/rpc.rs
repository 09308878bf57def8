//! What the scripted chain answers to JSON-RPC: exactly the methods that the program uses.

use crate::chain::{Block, Chain, GAS_USED, State, TIP};
use crate::transaction::Transaction;
use alloy_primitives::{Address, B256, Bytes, LogData, U64, U128, U256};
use microraiden_chain::RpcError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// An answer, or a refusal by the node.
pub(crate) type Answer = Result<Value, RpcError>;

/// A node that may be some blocks late.
pub(crate) struct Rpc<'a> {
    pub(crate) chain: &'a mut Chain,
    pub(crate) late: u64,
    /// From which block on what is sent now will be mined.
    pub(crate) not_before: u64,
}

fn refuse(message: impl Into<String>) -> RpcError {
    RpcError::Refused {
        code: -32000,
        message: message.into(),
        data: None,
    }
}

fn reverted(data: Bytes) -> RpcError {
    RpcError::Refused {
        code: 3,
        message: "execution reverted".to_owned(),
        data: Some(data),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, RpcError> {
    serde_json::from_value(value.clone())
        .map_err(|error| refuse(format!("invalid argument {value}: {error}")))
}

impl Rpc<'_> {
    /// Answers a request. A method that the model does not have is refused in a way that its callers
    /// must not take for an answer.
    pub(crate) fn answer(&mut self, method: &str, params: &Value) -> Answer {
        Ok(match method {
            "eth_chainId" => json!(U64::from(self.chain.id)),
            "eth_blockNumber" => json!(U64::from(self.tip())),
            "eth_getBlockByNumber" => self.at(&params[0])?.map_or(Value::Null, |block| header(&block)),
            "eth_getLogs" => self.logs(&params[0])?,
            "eth_getCode" => self.code(read(&params[0])?),
            "eth_call" => self.call(&params[0], &params[1])?,
            "eth_estimateGas" => self.estimate(&params[0])?,
            "eth_getBalance" => json!(self.chain.state().ether(read(&params[0])?)),
            "eth_gasPrice" => json!(U128::from(self.chain.base_fee + TIP)),
            "eth_maxPriorityFeePerGas" => json!(U128::from(TIP)),
            "eth_getTransactionCount" => json!(U64::from(self.chain.next_nonce(read(&params[0])?))),
            "eth_sendRawTransaction" => self.send(read(&params[0])?)?,
            "eth_getTransactionReceipt" => self.receipt(read(&params[0])?),
            _ => {
                return Err(RpcError::Refused {
                    code: -32601,
                    message: format!("the method {method} does not exist"),
                    data: None,
                });
            }
        })
    }

    fn tip(&self) -> u64 {
        self.chain.head().number.saturating_sub(self.late)
    }

    fn at(&self, tag: &Value) -> Result<Option<Arc<Block>>, RpcError> {
        let number = match tag.as_str() {
            Some("latest") => self.tip(),
            _ => read::<U64>(tag)?.to(),
        };
        let within = number <= self.tip();
        // Before the first block the chain is empty, and nobody looks at it closely.
        Ok(self.chain.block(number).filter(|_| within).cloned())
    }

    fn code(&self, address: Address) -> Value {
        let contract = self.chain.contract();
        let exists = address == contract.address || address == contract.token.address;
        if exists { json!("0x00") } else { json!("0x") }
    }

    fn state_at(&self, tag: &Value) -> Result<(State, u64), RpcError> {
        if tag == "pending" {
            return Ok(self.chain.pending());
        }
        let block = self.at(tag)?.ok_or_else(|| refuse("header not found"))?;
        Ok((block.state.clone(), block.number))
    }

    fn call(&self, call: &Value, tag: &Value) -> Answer {
        let (state, number) = self.state_at(tag)?;
        let answer = execute(&state, number, call)?.map_err(reverted)?;
        Ok(json!(answer))
    }

    fn estimate(&self, call: &Value) -> Answer {
        let (state, number) = self.chain.pending();
        execute(&state, number, call)?.map_err(reverted)?;
        Ok(json!(U64::from(GAS_USED)))
    }

    fn send(&mut self, raw: Bytes) -> Answer {
        let transaction = Transaction::decode(&raw, self.chain.id).map_err(refuse)?;
        let hash = transaction.hash;
        self.chain.submit(transaction, self.not_before).map_err(refuse)?;
        Ok(json!(hash))
    }

    fn receipt(&self, transaction: B256) -> Value {
        let Some((block, receipt)) = self.chain.receipt(&transaction) else {
            return Value::Null;
        };
        let logs = receipt.logs.iter().map(|entry| log(block, entry));
        json!({
            "transactionHash": transaction,
            "blockNumber": U64::from(block.number),
            "blockHash": block.hash,
            "gasUsed": U64::from(GAS_USED),
            "effectiveGasPrice": U128::from(receipt.gas_price),
            "status": U64::from(receipt.success),
            "logs": logs.collect::<Vec<_>>(),
            "contractAddress": null,
        })
    }

    fn logs(&self, filter: &Value) -> Answer {
        let blocks = if filter["blockHash"].is_null() {
            let from: u64 = read::<U64>(&filter["fromBlock"])?.to();
            let to: u64 = read::<U64>(&filter["toBlock"])?.to();
            let range = from..=to.min(self.tip());
            range
                .filter_map(|number| self.chain.block(number).cloned())
                .collect()
        } else {
            let block = self.chain.known(&read(&filter["blockHash"])?);
            // A late node does not have what came after.
            let had = block.filter(|block| block.number <= self.tip());
            vec![had.ok_or_else(|| refuse("unknown block"))?.clone()]
        };
        let address: Address = read(&filter["address"])?;
        let topics: Vec<Value> = read(&filter["topics"])?;
        let mut found = Vec::new();
        for block in &blocks {
            for entry in block.receipts.iter().flat_map(|receipt| &receipt.logs) {
                if entry.1 == address && matches(&topics, &entry.2) {
                    found.push(log(block, entry));
                }
            }
        }
        Ok(json!(found))
    }
}

fn execute(state: &State, number: u64, call: &Value) -> Result<Result<Bytes, Bytes>, RpcError> {
    let from = call["from"]
        .as_str()
        .map_or(Ok(Address::ZERO), |_| read(&call["from"]))?;
    let (to, data): (Address, Bytes) = (read(&call["to"])?, read(&call["data"])?);
    Ok(state.call(from, to, &data, number))
}

/// Whether a log has what a filter asks for in each place: anything, one, or one of several.
fn matches(topics: &[Value], log: &LogData) -> bool {
    topics.iter().enumerate().all(|(at, wanted)| {
        let has = |wanted: &Value| {
            let topic = log.topics().get(at);
            topic.is_some_and(|topic| read::<B256>(wanted).is_ok_and(|wanted| wanted == *topic))
        };
        match wanted {
            Value::Null => true,
            Value::Array(any) => any.iter().any(has),
            one => has(one),
        }
    })
}

fn header(block: &Block) -> Value {
    json!({
        "number": U64::from(block.number),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": U64::from(block.timestamp),
        "baseFeePerGas": U128::from(block.base_fee),
    })
}

fn log(block: &Block, (index, address, data): &(u64, Address, LogData)) -> Value {
    json!({
        "address": address,
        "topics": data.topics(),
        "data": data.data,
        "blockNumber": U64::from(block.number),
        "blockHash": block.hash,
        "logIndex": U64::from(*index),
        "removed": false,
    })
}

/// Enough for all that is ever paid, in wei.
pub(crate) fn plenty() -> U256 {
    U256::from(10).pow(U256::from(20))
}
