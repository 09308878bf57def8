//! The senders as parties to the contract: they open, top up, close in every way, and settle. And the
//! receiver's operator, who has some ways too.

use crate::bindings::CustomToken;
use crate::bindings::RaidenMicroTransferChannels as abi;
use crate::life::Program;
use crate::stage::{Stage, small};
use crate::transaction::Transaction;
use crate::world::World;
use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use fastrand::Rng;
use microraiden_manager::{Asker, CloseRequest, Withdrawing};
use microraiden_protocol::{ChannelId, SecretKey, Signature};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What a sender pays for a unit of gas at most: it is always in time.
const SENDER_FEE: u128 = 1_000_000_000_000;
/// How many channels a sender has at a time.
const CHANNELS: usize = 3;

/// What a sender does with a close that was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreed {
    Brings,
    Vanishes,
    ClosesAt(u64),
}

/// What becomes of a channel that the sender has closed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Settles,
    Vanishes,
}

impl Stage {
    /// A sender's transaction, mined as soon as possible.
    fn send(&self, from: Address, to: Address, call: &impl SolCall) {
        let mut chain = self.chain();
        let nonce = chain.next_nonce(from);
        let transaction = Transaction::unsigned(from, nonce, to, call.abi_encode(), SENDER_FEE);
        let taken = chain.submit(transaction, 0);
        drop(chain);
        taken.unwrap();
        let name = std::any::type_name_of_val(call).rsplit("::").next();
        self.note(format_args!("{from} sends {name:?}"));
    }

    fn uncooperative_close(&self, channel: ChannelId, balance: u64) {
        self.note(format_args!("the sender closes {channel} at {balance}"));
        let call = abi::uncooperativeCloseCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: U192::from(balance),
        };
        self.send(channel.sender, self.contract(), &call);
    }

    fn cooperative_close(&self, channel: ChannelId, balance: u64, closing: &Signature) {
        let call = abi::cooperativeCloseCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: U192::from(balance),
            _balance_msg_sig: self.proof(channel, balance).to_bytes().into(),
            _closing_sig: closing.to_bytes().into(),
        };
        self.send(channel.sender, self.contract(), &call);
    }

    /// What is owed on a channel, what was ever paid, and whether a close of it was asked for.
    fn debt(&self, channel: &ChannelId) -> Option<(u64, u64, bool)> {
        let closing = self.chain().contract().channels.get(channel)?.closing.is_some();
        let disk = self.disk();
        let row = disk.row(channel)?;
        Some((small(row.spent()?), small(row.balance), closing))
    }
}

impl World {
    pub(crate) fn open_channel(&mut self) {
        let sender = self
            .rng
            .choice(&self.stage.senders)
            .map(SecretKey::address)
            .unwrap();
        let channels = self
            .stage
            .chain()
            .contract()
            .channels
            .keys()
            .filter(|channel| channel.sender == sender)
            .count();
        if channels >= CHANNELS {
            return;
        }
        let deposit = self.rng.u64(1..200);
        if self.rng.u8(..4) > 0 {
            return self.open_erc223(sender, deposit);
        }
        for value in [0, deposit] {
            let call = CustomToken::approveCall {
                _spender: self.stage.contract(),
                _value: U256::from(value),
            };
            self.stage.send(sender, self.stage.token(), &call);
        }
        let call = abi::createChannelCall {
            _receiver_address: self.stage.receiver.address(),
            _deposit: U192::from(deposit),
        };
        self.stage.send(sender, self.stage.contract(), &call);
    }

    pub(crate) fn open_erc223(&self, sender: Address, deposit: u64) {
        let receiver = self.stage.receiver.address();
        let data = [sender.as_slice(), receiver.as_slice()].concat();
        self.erc223(sender, deposit, data);
    }

    fn erc223(&self, sender: Address, amount: u64, data: Vec<u8>) {
        let call = CustomToken::transfer_1Call {
            _to: self.stage.contract(),
            _value: U256::from(amount),
            _data: data.into(),
        };
        self.stage.send(sender, self.stage.token(), &call);
    }

    /// A channel that the chain has.
    pub(crate) fn existing(&mut self) -> Option<ChannelId> {
        let chain = self.stage.chain();
        self.rng.choice(chain.contract().channels.keys()).copied()
    }

    pub(crate) fn top_up(&mut self, channel: ChannelId) {
        self.newest = Some(channel);
        let open_block = channel.open_block.to_be_bytes();
        let data = [
            channel.sender.as_slice(),
            channel.receiver.as_slice(),
            &open_block,
        ]
        .concat();
        let added = self.rng.u64(1..200);
        self.erc223(channel.sender, added, data);
    }

    /// The sender closes alone, claiming less than it owes, or not.
    pub(crate) fn close(&mut self, honest: bool) {
        let Some(channel) = self.existing() else { return };
        let Some((spent, balance, false)) = self.stage.debt(&channel) else {
            return;
        };
        let claimed = match honest {
            true => self.rng.u64(spent..=balance),
            // Often by very little.
            false if self.rng.u8(..3) == 0 => spent.saturating_sub(self.rng.u64(1..=20)),
            false => self.rng.u64(..=spent),
        };
        let vanishes = honest && self.rng.u8(..3) == 0;
        let after = if vanishes { After::Vanishes } else { After::Settles };
        self.afterwards.insert(channel, after);
        self.stage.uncooperative_close(channel, claimed);
    }

    /// The sender asks for a close by agreement.
    pub(crate) fn agree(&mut self) {
        let Some(channel) = self.existing() else { return };
        let Some((spent, balance, _)) = self.stage.debt(&channel) else {
            return;
        };
        let at = match self.rng.u8(..6) {
            0 => self.rng.u64(..=balance + 5),
            1 => balance,
            _ => self.rng.u64(spent..=balance),
        };
        let next = match self.rng.u8(..5) {
            0 => Agreed::Vanishes,
            1 => Agreed::ClosesAt(self.rng.u64(..=balance)),
            _ => Agreed::Brings,
        };
        let asker = if self.rng.u8(..5) == 0 {
            *self.rng.choice(&[Asker::Anybody, Asker::Operator]).unwrap()
        } else {
            let signature = self.stage.proof(channel, at);
            let other = at
                .checked_sub(1)
                .map(|less| (less.into(), self.stage.proof(channel, less)));
            Asker::Sender { signature, other }
        };
        let request = CloseRequest {
            channel,
            balance: at.into(),
            asker,
        };
        // Some ask twice, at one program or at two.
        let times = match self.stage.terms.is_rush {
            true => self.rng.u64(1..=3),
            false if self.rng.u8(..3) == 0 => 2,
            false => 1,
        };
        for time in 0..times {
            let way = Duration::from_millis(time * self.rng.u64(..60));
            if let Some(program) = self.program_for(&channel) {
                ask(&self.stage, &program, request, way, next);
            }
        }
    }

    /// The operator closes a channel.
    pub(crate) fn force_close(&mut self, channel: Option<ChannelId>) {
        let Some(channel) = channel.or_else(|| self.existing()) else {
            return;
        };
        let Some(program) = self.program_for(&channel) else {
            return;
        };
        let (stage, manager) = (self.stage.clone(), program.manager.clone());
        stage.wanted(channel);
        program.requests.lock().unwrap().spawn(async move {
            let closed = manager.force_close(&channel).await;
            stage.note(format_args!("the operator closes {channel}: {closed:?}"));
            if closed.is_ok() {
                stage.forced(channel);
            }
        });
    }

    /// The operator withdraws from all channels that are worth it.
    pub(crate) fn withdraw(&mut self) {
        let which = Withdrawing {
            minimum: self.rng.u64(1..50).into(),
            takes_credit: self.rng.bool(),
        };
        let place = self.rng.usize(..self.starts.len());
        let Some(program) = self.stage.program(place) else {
            return;
        };
        let (stage, manager) = (self.stage.clone(), program.manager.clone());
        program.requests.lock().unwrap().spawn(async move {
            let begun = manager.withdraw(which).await;
            stage.note(format_args!("the operator withdraws, {which:?}: {begun:?}"));
        });
    }

    /// Senders settle as soon as they can.
    pub(crate) fn settle_due(&mut self) {
        let (pending, number) = self.stage.chain().pending();
        for (channel, found) in pending.contract.channels {
            let due = found
                .closing
                .is_some_and(|(_, settle_block)| number > u64::from(settle_block));
            if due && self.afterwards.get(&channel) != Some(&After::Vanishes) {
                let call = abi::settleCall {
                    _receiver_address: channel.receiver,
                    _open_block_number: channel.open_block,
                };
                self.stage.send(channel.sender, self.stage.contract(), &call);
            }
        }
    }
}

/// Asks a program for a close, after some time on the way.
fn ask(stage: &Arc<Stage>, program: &Program, request: CloseRequest, way: Duration, next: Agreed) {
    let (stage, manager) = (stage.clone(), program.manager.clone());
    let what = match program.leads() {
        true => "closes agreed",
        false => "closes agreed at followers",
    };
    program.requests.lock().unwrap().spawn(async move {
        sleep(way).await;
        let (channel, at) = (request.channel, small(request.balance));
        match manager.close(request).await {
            Ok(signature) => {
                stage.note(format_args!(
                    "a close of {channel} at {at} is agreed; the sender: {next:?}"
                ));
                stage.agreed(&request, &signature);
                stage.witness().met(what, 1);
                act_on(&stage, channel, at, &signature, next);
            }
            Err(error) => {
                stage.note(format_args!(
                    "a close of {channel} at {at} is not agreed: {error}"
                ));
                stage.witness().met("closes not agreed", 1);
            }
        }
    });
}

fn act_on(stage: &Arc<Stage>, channel: ChannelId, at: u64, closing: &Signature, next: Agreed) {
    match next {
        Agreed::Brings => stage.cooperative_close(channel, at, closing),
        Agreed::Vanishes => {}
        Agreed::ClosesAt(balance) => stage.uncooperative_close(channel, balance),
    }
}

/// One of several, by weight.
pub(crate) fn weighted<T: Copy>(rng: &mut Rng, of: &[(u32, T)]) -> T {
    let all: u32 = of.iter().map(|(weight, _)| weight).sum();
    let mut drawn = rng.u32(..all);
    for (weight, thing) in of {
        if drawn < *weight {
            return *thing;
        }
        drawn -= weight;
    }
    unreachable!("the weights add up");
}
