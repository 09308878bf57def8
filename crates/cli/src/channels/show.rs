//! Channels as a table, or as JSON in base units.

use crate::units::Units;
use comfy_table::{Table, presets};
use microraiden_chain::ChannelInfo;
use microraiden_protocol::Amount;
use microraiden_sender::ChannelRecord;
use serde_json::{Value, json};

/// What a program is told of a channel.
pub(super) fn json(record: &ChannelRecord) -> Value {
    json!({
        "receiver": record.channel.receiver.to_string(),
        "open_block": record.channel.open_block,
        "state": record.state.to_string(),
        "deposit": record.deposit.to_string(),
        "signed": record.signed_balance().to_string(),
        "owed": record.owed().to_string(),
        "credit": record.credit.to_string(),
        "unanswered": record.unanswered.len(),
        "remaining": record.remaining().to_string(),
        "balance_known": record.synced,
        "agreed_close": record.agreed.map(|agreed| agreed.balance.to_string()),
        "server": record.server.as_ref().map(ToString::to_string),
    })
}

/// The same, with what the contract holds now.
pub(super) fn json_with(record: &ChannelRecord, info: Option<&ChannelInfo>) -> Value {
    let mut told = json(record);
    told["on_chain"] = match info {
        None => Value::Null,
        Some(info) => json!({
            "deposit": info.deposit.to_string(),
            "withdrawn": info.withdrawn.to_string(),
            "settle_block": info.settle_block.map(|block| block.0),
            "closing_balance": info.closing_balance.to_string(),
        }),
    };
    told
}

/// What a person is told of several channels.
pub(super) fn table(records: &[ChannelRecord], units: &Units) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "Receiver",
        "Block",
        "State",
        "Deposit",
        "Signed",
        "Remaining",
        "Server",
    ]);
    for record in records {
        table.add_row([
            record.channel.receiver.to_string(),
            record.channel.open_block.to_string(),
            record.state.to_string(),
            units.show(record.deposit),
            known(record, record.signed_balance(), units),
            known(record, record.remaining(), units),
            record
                .server
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ]);
    }
    table
}

/// What a person is told of one channel, and what the contract holds of it now.
pub(super) fn table_of(record: &ChannelRecord, info: Option<&ChannelInfo>, units: &Units) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("Receiver", record.channel.receiver.to_string());
    row("Opened in block", record.channel.open_block.to_string());
    row("State", record.state.to_string());
    row("Deposit", units.show(record.deposit));
    row("Signed", known(record, record.signed_balance(), units));
    row("Owed at most", known(record, record.owed(), units));
    if !record.unanswered.is_empty() {
        row("Payments without an answer", record.unanswered.len().to_string());
    }
    if !record.credit.is_zero() {
        row("Credit", units.show(record.credit));
    }
    row("Remaining", known(record, record.remaining(), units));
    if let Some(agreed) = record.agreed {
        row("Close agreed at", units.show(agreed.balance));
    }
    if let Some(server) = &record.server {
        row("Server", server.to_string());
    }
    let Some(info) = info else {
        row("In the contract", "nothing: settled".to_owned());
        return table;
    };
    row("Withdrawn by the receiver", units.show(info.withdrawn));
    if let Some(block) = info.settle_block {
        row("To be settled after block", block.to_string());
        row("Closing at", units.show(info.closing_balance));
    }
    table
}

/// An amount that only the receiver knows while the book has not been told.
fn known(record: &ChannelRecord, amount: impl Into<Amount>, units: &Units) -> String {
    match record.synced {
        true => units.show(amount),
        false => "known to the receiver".to_owned(),
    }
}
