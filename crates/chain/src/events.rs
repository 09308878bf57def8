//! The contract's events: which are asked for, and what they say.

use crate::bindings::RaidenMicroTransferChannels::{
    ChannelCloseRequested, ChannelCreated, ChannelSettled, ChannelToppedUp, ChannelWithdraw,
};
use crate::chunk::Chunk;
use crate::contract::Contract;
use crate::error::ChainError;
use crate::node::quantity;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, U64};
use alloy_sol_types::SolEvent;
use microraiden_protocol::{
    Amount, Balance, BlockNumber, BlockRef, ChannelChange, ChannelEvent, ChannelId, Deposit,
};
use serde::Deserialize;
use serde_json::{Value, json};

const METHOD: &str = "eth_getLogs";

/// Whose channels the events are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// All channels of the contract.
    Any,
    /// The channels to this receiver.
    Receiver(Address),
    /// The channels from this sender.
    Sender(Address),
}

/// A log as nodes write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: Option<U64>,
    block_hash: Option<B256>,
    log_index: Option<U64>,
    #[serde(default)]
    removed: bool,
}

impl From<RpcLog> for Log {
    fn from(log: RpcLog) -> Self {
        Self {
            address: log.address,
            data: LogData::new_unchecked(log.topics, log.data),
        }
    }
}

impl Contract {
    /// The channel events of a range of blocks, both ends included, in the order of the chain.
    ///
    /// One request: nodes refuse ranges that are too long for them. A block that the node does not have yet counts as
    /// empty.
    ///
    /// # Errors
    /// When the node refuses or does not answer.
    pub async fn events(
        &self,
        party: Party,
        from: BlockNumber,
        to: BlockNumber,
    ) -> Result<Vec<ChannelEvent>, ChainError> {
        let mut filter = self.filter(party);
        filter["fromBlock"] = quantity(from);
        filter["toBlock"] = quantity(to);
        let events = self.logs(filter).await?;
        if events
            .iter()
            .any(|(_, event)| !(from..=to).contains(&event.block))
        {
            return Err(ChainError::Nonsense {
                method: METHOD,
                why: "a log is of a block outside the range",
            });
        }
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    /// The channel events from a block on, of as many blocks as the node answers for, and the last of these blocks;
    /// for blocks that are not replaced any more, or by one who looks at them again.
    ///
    /// # Errors
    /// When the node refuses or does not answer.
    pub async fn events_from(
        &self,
        party: Party,
        from: BlockNumber,
        limit: BlockNumber,
        chunk: &mut Chunk,
    ) -> Result<(Vec<ChannelEvent>, BlockNumber), ChainError> {
        loop {
            let to = from.saturating_add(chunk.blocks() - 1).min(limit);
            let asked = to.0.saturating_sub(from.0).saturating_add(1);
            match self.events(party, from, to).await {
                Ok(events) => {
                    chunk.answered();
                    return Ok((events, to));
                }
                Err(error) if chunk.shrinks(asked, &error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The channel events of exactly this block; an error when the node does not have it.
    pub(crate) async fn events_in(
        &self,
        party: Party,
        block: BlockRef,
    ) -> Result<Vec<ChannelEvent>, ChainError> {
        let mut filter = self.filter(party);
        filter["blockHash"] = json!(block.hash);
        let events = self.logs(filter).await?;
        if events.iter().any(|(found, _)| *found != block) {
            return Err(ChainError::Nonsense {
                method: METHOD,
                why: "a log is of another block",
            });
        }
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    fn filter(&self, party: Party) -> Value {
        let kinds = [
            ChannelCreated::SIGNATURE_HASH,
            ChannelToppedUp::SIGNATURE_HASH,
            ChannelCloseRequested::SIGNATURE_HASH,
            ChannelSettled::SIGNATURE_HASH,
            ChannelWithdraw::SIGNATURE_HASH,
        ];
        let topics = match party {
            Party::Any => json!([kinds]),
            Party::Sender(sender) => json!([kinds, sender.into_word()]),
            Party::Receiver(receiver) => json!([kinds, null, receiver.into_word()]),
        };
        json!({"address": self.address(), "topics": topics})
    }

    async fn logs(&self, filter: Value) -> Result<Vec<(BlockRef, ChannelEvent)>, ChainError> {
        let logs: Vec<RpcLog> = self.node().ask(METHOD, json!([filter])).await?;
        let mut events = Vec::with_capacity(logs.len());
        for log in &logs {
            if log.address != self.address() {
                return Err(ChainError::Nonsense {
                    method: METHOD,
                    why: "a log is of another contract",
                });
            }
            events.push(decode(log)?);
        }
        events.sort_by_key(|(_, event)| (event.block, event.log_index));
        Ok(events)
    }
}

/// What a log says, and the block that holds it.
pub(crate) fn decode(log: &RpcLog) -> Result<(BlockRef, ChannelEvent), ChainError> {
    let nonsense = |why| ChainError::Nonsense { method: METHOD, why };
    if log.removed {
        return Err(nonsense("a log was removed"));
    }
    let (Some(number), Some(hash), Some(log_index)) = (log.block_number, log.block_hash, log.log_index)
    else {
        return Err(nonsense("a log is of no block"));
    };
    let number = BlockNumber(number.to());
    let (channel, change) = match log.topics.first() {
        Some(&ChannelCreated::SIGNATURE_HASH) => created(log, number)?,
        Some(&ChannelToppedUp::SIGNATURE_HASH) => topped_up(log)?,
        Some(&ChannelCloseRequested::SIGNATURE_HASH) => close_requested(log)?,
        Some(&ChannelSettled::SIGNATURE_HASH) => settled(log)?,
        Some(&ChannelWithdraw::SIGNATURE_HASH) => withdrawn(log)?,
        _ => return Err(nonsense("a log is of another event")),
    };
    let event = ChannelEvent {
        channel,
        block: number,
        log_index: log_index.to(),
        change,
    };
    Ok((BlockRef { number, hash }, event))
}

type Decoded = Result<(ChannelId, ChannelChange), ChainError>;

fn read<E: SolEvent>(log: &RpcLog) -> Result<E, ChainError> {
    E::decode_raw_log(&log.topics, &log.data).map_err(|source| ChainError::Encoding {
        what: E::SIGNATURE,
        source,
    })
}

/// The event does not name the block that opened the channel: it is the block of the log.
fn created(log: &RpcLog, block: BlockNumber) -> Decoded {
    let event: ChannelCreated = read(log)?;
    let open_block = u32::try_from(block.0).map_err(|_| ChainError::Nonsense {
        method: METHOD,
        why: "a block number is above 32 bits",
    })?;
    let channel = ChannelId {
        sender: event._sender_address,
        receiver: event._receiver_address,
        open_block,
    };
    let deposit = Deposit::new(event._deposit);
    Ok((channel, ChannelChange::Created { deposit }))
}

macro_rules! channel_of {
    ($event:ident) => {
        ChannelId {
            sender: $event._sender_address,
            receiver: $event._receiver_address,
            open_block: $event._open_block_number,
        }
    };
}

fn topped_up(log: &RpcLog) -> Decoded {
    let event: ChannelToppedUp = read(log)?;
    let added = Amount::new(event._added_deposit);
    Ok((channel_of!(event), ChannelChange::ToppedUp { added }))
}

fn close_requested(log: &RpcLog) -> Decoded {
    let event: ChannelCloseRequested = read(log)?;
    let closing_balance = Balance::new(event._balance);
    Ok((
        channel_of!(event),
        ChannelChange::CloseRequested { closing_balance },
    ))
}

fn settled(log: &RpcLog) -> Decoded {
    let event: ChannelSettled = read(log)?;
    let (balance, receiver_tokens) = (Balance::new(event._balance), Amount::new(event._receiver_tokens));
    Ok((
        channel_of!(event),
        ChannelChange::Settled {
            balance,
            receiver_tokens,
        },
    ))
}

fn withdrawn(log: &RpcLog) -> Decoded {
    let event: ChannelWithdraw = read(log)?;
    let amount = Amount::new(event._withdrawn_balance);
    Ok((channel_of!(event), ChannelChange::Withdrawn { amount }))
}
