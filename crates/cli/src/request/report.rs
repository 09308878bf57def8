//! What was paid, for people and for programs.

use crate::units::Units;
use microraiden_chain::deployment::in_ether;
use microraiden_protocol::Amount;
use microraiden_sender::{Action, Channel, Closed, Closing, Paid, Session};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// What is known when the head of the answer is there.
pub(super) struct Report {
    status: StatusCode,
    cost: Amount,
    lost: Amount,
    channels: Vec<Channel>,
}

impl Report {
    pub(super) fn of(paid: &Paid, session: &Session) -> Self {
        Self {
            status: paid.response.status(),
            cost: paid.cost,
            lost: paid.lost,
            channels: session.channels(),
        }
    }

    /// Tells a person.
    pub(super) fn tell(&self, units: &Units) {
        eprintln!("paid {}", units.show(self.cost));
        if !self.lost.is_zero() {
            eprintln!(
                "paid {} besides, for an answer that was lost",
                units.show(self.lost)
            );
        }
        for channel in &self.channels {
            for (action, receipts) in channel.transactions() {
                let what = match action {
                    Action::Open => "opened the channel",
                    Action::TopUp => "topped the channel up",
                    Action::CooperativeClose | Action::UncooperativeClose | Action::Settle => continue,
                };
                let (gas, cost) = (receipts.gas_used(), in_ether(receipts.cost_wei()));
                eprintln!("{what} ({gas} gas, {cost} ether)");
            }
            let (receiver, block) = (channel.receiver(), channel.block());
            let (deposit, left) = (units.show(channel.deposit()), units.show(channel.remaining()));
            eprintln!("channel to {receiver} opened in block {block}: {left} left of {deposit}");
        }
    }

    /// Tells a person of what was closed.
    pub(super) fn tell_closed(closed: &[Closed], units: &Units) {
        for closed in closed {
            match &closed.closing {
                Closing::Cooperative => eprintln!("closed at {}", units.show(closed.balance)),
                Closing::Uncooperative { denial } => eprintln!(
                    "the receiver did not agree to close ({denial}); asked the contract, settle after the challenge period"
                ),
            }
        }
    }

    /// All of it for a program, in base units.
    pub(super) fn json(&self, closed: &[Closed], units: &Units) -> Value {
        let channels: Vec<_> = self.channels.iter().map(channel_json).collect();
        let closed: Vec<_> = closed.iter().map(closed_json).collect();
        json!({
            "status": self.status.as_u16(),
            "paid": self.cost.to_string(),
            "lost": self.lost.to_string(),
            "token": units.json(),
            "channels": channels,
            "closed": closed,
        })
    }
}

/// A channel for a program.
pub(super) fn channel_json(channel: &Channel) -> Value {
    let transactions: Vec<_> = channel
        .transactions()
        .iter()
        .map(|(action, receipts)| {
            let action = match action {
                Action::Open => "open",
                Action::TopUp => "top_up",
                Action::CooperativeClose => "cooperative_close",
                Action::UncooperativeClose => "uncooperative_close",
                Action::Settle => "settle",
            };
            let cost = receipts.cost_wei().to_string();
            json!({ "action": action, "gas": receipts.gas_used(), "cost_wei": cost })
        })
        .collect();
    json!({
        "receiver": channel.receiver().to_string(),
        "open_block": channel.block(),
        "deposit": channel.deposit().to_string(),
        "signed": channel.balance().to_string(),
        "remaining": channel.remaining().to_string(),
        "transactions": transactions,
    })
}

fn closed_json(closed: &Closed) -> Value {
    let denial = match &closed.closing {
        Closing::Cooperative => None,
        Closing::Uncooperative { denial } => Some(denial.to_string()),
    };
    json!({
        "receiver": closed.channel.receiver.to_string(),
        "open_block": closed.channel.open_block,
        "balance": closed.balance.to_string(),
        "cooperative": denial.is_none(),
        "denial": denial,
    })
}
