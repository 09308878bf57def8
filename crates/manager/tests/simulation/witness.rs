//! Who sees everything that the receiver does, keeps own books of it, and complains at once.

use crate::bindings::RaidenMicroTransferChannels::{cooperativeCloseCall, withdrawCall};
use crate::disk::Kept;
use crate::doubts::{Accepted, Told};
use crate::expectations::{BRINGS_AGREED_CLOSES, STOPS_AFTER_DEEP_REORGANISATIONS};
use crate::life::Life;
use crate::stage::{Stage, Terms, small};
use crate::transaction::Transaction;
use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use microraiden_chain::RpcError;
use microraiden_manager::{Asker, CloseRequest};
use microraiden_protocol::ledger::{AccountRow, Promise};
use microraiden_protocol::{Balance, ChannelChange, ChannelId, Phase, Signature};
use microraiden_store::{Batch, TaskKind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Nothing is sold when the node was silent for so long: the manager's limit, and what waits for the
/// disk.
const SILENCE: Duration = Duration::from_secs(35);
/// What waits for a store that is shared waits longer, and the program may hang.
const SHARED_SILENCE: Duration = Duration::from_secs(60);

/// What was sold on a channel, and signed for it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What was accepted in this life without a permit so far.
    pub(crate) accepted: Vec<Accepted>,
    /// Units that content was given for, or may still be.
    sold: BTreeSet<u64>,
    /// How many these are.
    pub(crate) served: u64,
    /// Balances that a permit was given for: the sender knows that we have its proof.
    pub(crate) acknowledged: BTreeSet<u64>,
    /// The close that was agreed, once a signature of ours has left.
    pub(crate) agreed: Option<u64>,
    /// Balances of ours that went to the chain.
    pub(crate) brought: BTreeSet<u64>,
    /// A claim was promised when the deposit did not cover the balance: nothing better may be signed
    /// when it comes back.
    pub(crate) short: bool,
    /// A confirmed deposit has vanished. The best proof for what is left may not have been kept, where a
    /// later deposit stayed.
    pub(crate) shaken: bool,
    /// The operator wants it closed, whatever that costs.
    pub(crate) is_wanted: bool,
    /// A close of it is to be brought on chain by us, and that is durable.
    pub(crate) to_close: bool,
}

pub(crate) struct Witness {
    terms: Terms,
    /// What was handed in, durable or not.
    handed: Kept,
    pub(crate) books: BTreeMap<ChannelId, Book>,
    complaints: Vec<String>,
    /// What has happened, and how often.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    node_heard: Instant,
    pub(crate) told: Told,
}

impl Witness {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            handed: Kept::default(),
            books: BTreeMap::new(),
            complaints: Vec::new(),
            counts: BTreeMap::new(),
            node_heard: Instant::now(),
            told: Told::default(),
        }
    }

    pub(crate) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    pub(crate) fn complaint(&self) -> Option<&String> {
        self.complaints.first()
    }

    pub(crate) fn met(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += times;
    }

    /// The program begins with what is durable.
    pub(crate) fn begin_life(&mut self, kept: Kept) {
        self.handed = kept;
        for book in self.books.values_mut() {
            book.accepted.clear();
        }
    }

    /// The node has answered the program.
    pub(crate) fn answered(&mut self, method: &str, answer: &Result<Value, RpcError>) {
        match answer {
            Err(RpcError::Refused { code: -32601, .. }) => {
                self.complain(format!("the scripted node has no {method}: add it to rpc.rs"));
            }
            Ok(_) if method == "eth_getBlockByNumber" => self.node_heard = Instant::now(),
            _ => {}
        }
    }

    /// The program hands a batch in, or has written it to a store that is shared: nothing in it may be against
    /// the rules.
    pub(crate) fn handed_in(&mut self, batch: &Batch, life: &Arc<Life>) {
        let mut rows = BTreeMap::new();
        for transition in &batch.transitions {
            let after = transition.after().row();
            let before = rows
                .get(&after.channel)
                .or_else(|| self.handed.rows.get(&after.channel))
                .cloned();
            self.covered(&after.channel, life);
            if let Some(before) = before {
                let complaint = self.check(&before, after, life);
                self.complaints.extend(
                    complaint
                        .err()
                        .map(|what| format!("channel {}: {what}", after.channel)),
                );
            }
            rows.insert(after.channel, after.clone());
        }
        self.note_vanished(batch);
        self.handed.apply(batch, self.terms.n_confirmations);
        if !self.handed.halted {
            self.told.resumed();
        }
    }

    /// Notes whose confirmed events a reorganisation takes away.
    fn note_vanished(&mut self, batch: &Batch) {
        let Some(last) = batch.chain.as_ref().and_then(|update| update.rewind_to) else {
            return;
        };
        let confirmed = self.handed.head.saturating_sub(self.terms.n_confirmations);
        for event in &self.handed.events {
            if event.block > last && event.block.0 <= confirmed {
                self.books.entry(event.channel).or_default().shaken = true;
            }
        }
    }

    fn check(&mut self, before: &AccountRow, after: &AccountRow, life: &Arc<Life>) -> Result<(), String> {
        if after.balance < before.balance {
            return Err(format!(
                "the balance went from {} to {}",
                before.balance, after.balance
            ));
        }
        let closing = |row: &AccountRow| row.promise.as_ref()?.closing().map(|closing| closing.at);
        let dispute = |row: &AccountRow| row.promise.as_ref().and_then(Promise::dispute);
        for promised in [closing, dispute] {
            if promised(before).is_some() && promised(before) != promised(after) {
                return Err(format!("promised {:?}, then {:?}", before.promise, after.promise));
            }
        }
        if let (None, Some(claim)) = (dispute(before), dispute(after)) {
            self.check_claim(after, small(claim))?;
        }
        if after.spends > before.spends {
            return self.check_acceptance(before, after, life);
        }
        let is_free = |unit: u64| after.unspent.contains(Balance::from(unit));
        self.freed(&after.channel, is_free);
        Ok(())
    }

    /// A claim was promised: the best that the deposit covers.
    fn check_claim(&mut self, after: &AccountRow, claim: u64) -> Result<(), String> {
        let deposit = small(after.facts.deposit);
        let book = self.books.entry(after.channel).or_default();
        let best = book.acknowledged.range(..=deposit).next_back();
        let best = best.filter(|_| !book.shaken);
        if claim > deposit || best.is_some_and(|best| *best > claim) {
            return Err(format!("claims {claim} where {best:?} is covered by {deposit}"));
        }
        book.short = small(after.balance) > deposit;
        Ok(())
    }

    /// A payment was accepted: was the channel for sale, and which units did it take?
    fn check_acceptance(
        &mut self,
        before: &AccountRow,
        after: &AccountRow,
        life: &Arc<Life>,
    ) -> Result<(), String> {
        let channel = after.channel;
        if let Some(promise) = before.promise {
            return Err(format!("sold after {promise:?}"));
        }
        let is_told = self.terms.instances == 0 || self.told.is_halted(life);
        if STOPS_AFTER_DEEP_REORGANISATIONS && self.handed.halted && is_told {
            return Err("sold after a reorganisation deeper than the confirmations".to_owned());
        }
        let confirmed = self.handed.head.saturating_sub(self.terms.n_confirmations);
        let mut deposit = 0;
        for event in self.handed.events.iter().filter(|event| event.channel == channel) {
            let added = match event.change {
                ChannelChange::Created { deposit } => small(deposit),
                ChannelChange::ToppedUp { added } => small(added),
                ChannelChange::Withdrawn { .. } => 0,
                ChannelChange::CloseRequested { .. } | ChannelChange::Settled { .. } => {
                    return Err(format!(
                        "sold after {:?} was seen in block {}",
                        event.change, event.block
                    ));
                }
            };
            if event.block.0 <= confirmed {
                deposit += added;
            }
        }
        let free_before =
            |unit: u64| unit > small(before.balance) || before.unspent.contains(Balance::from(unit));
        let free_after =
            |unit: u64| unit <= small(after.balance) && after.unspent.contains(Balance::from(unit));
        let gone: Vec<_> = (1..=small(after.balance))
            .filter(|unit| free_before(*unit) && !free_after(*unit))
            .collect();
        if small(after.balance) > deposit {
            return Err(format!("accepted {}, but {deposit} are confirmed", after.balance));
        }
        let folded = usize::try_from(small(after.refund) - small(before.refund)).unwrap();
        let book = self.books.entry(channel).or_default();
        book.accepted.push(Accepted::new(gone, folded, life));
        Ok(())
    }
}

/// A payment that was permitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    pub(crate) channel: ChannelId,
    /// The proof's balance, and its highest unit.
    pub(crate) top: u64,
    pub(crate) price: u64,
}

impl Stage {
    /// A permit was given: content may leave now.
    pub(crate) fn permitted(&self, sale: Sale) -> Vec<u64> {
        let Sale { channel, top, price } = sale;
        let row = self.disk().row(&channel).cloned();
        let mut witness = self.witness();
        let unit = Balance::from(top);
        let durable = row.is_some_and(|row| row.balance >= unit && !row.unspent.contains(unit));
        if !durable {
            witness.complain(format!(
                "channel {channel}: a permit for unit {top} that is not durable"
            ));
        }
        let limit = match witness.terms.instances {
            0 => SILENCE,
            _ => SHARED_SILENCE,
        };
        if witness.node_heard.elapsed() > limit {
            witness.complain(format!(
                "channel {channel}: sold unit {top} while the node is silent"
            ));
        }
        witness.met("permits", 1);
        let book = witness.books.entry(channel).or_default();
        let accepted = book
            .accepted
            .iter()
            .rposition(|accepted| accepted.gone.contains(&top));
        let accepted = accepted.map(|at| book.accepted.remove(at));
        let count = usize::try_from(price).unwrap();
        let exact = accepted
            .as_ref()
            .is_some_and(|accepted| accepted.gone.len() - accepted.folded == count);
        // The unit of the proof and the highest free ones below.
        let gone = accepted.map(|accepted| accepted.gone).unwrap_or_default();
        let mut taken: Vec<_> = gone.into_iter().filter(|unit| *unit <= top).collect();
        taken.drain(..taken.len().saturating_sub(count));
        let again = taken.iter().find(|unit| !book.sold.insert(**unit)).copied();
        book.served += price;
        book.acknowledged.insert(top);
        if !exact {
            witness.complain(format!(
                "channel {channel}: {price} paid at unit {top} for units {taken:?}"
            ));
        }
        if let Some(unit) = again {
            witness.complain(format!(
                "channel {channel}: unit {unit} was sold twice, again at {top}"
            ));
        }
        taken
    }

    /// Only `cost` of a sale is content: the lowest of its units were not sold after all.
    pub(crate) fn given_back(&self, sale: Sale, mut taken: Vec<u64>, cost: u64) {
        let mut witness = self.witness();
        let book = witness.books.entry(sale.channel).or_default();
        taken.truncate(usize::try_from(sale.price - cost).unwrap());
        for unit in &taken {
            book.sold.remove(unit);
        }
        book.served -= sale.price - cost;
    }

    /// The operator wants a channel closed.
    pub(crate) fn wanted(&self, channel: ChannelId) {
        self.witness().books.entry(channel).or_default().is_wanted = true;
    }

    /// The operator was told that a channel will be closed. What is settled already, or has nothing to
    /// claim, takes nothing to be done.
    pub(crate) fn forced(&self, channel: ChannelId) {
        let is_to_do = self.is_to_close(channel);
        let mut witness = self.witness();
        witness.met("closes forced", 1);
        witness.books.entry(channel).or_default().to_close |= is_to_do;
    }

    fn is_to_close(&self, channel: ChannelId) -> bool {
        let disk = self.disk();
        disk.kept.tasks.contains_key(&(channel, TaskKind::Close))
    }

    /// A closing signature of ours has left, for a close that was agreed.
    pub(crate) fn agreed(&self, request: &CloseRequest, signature: &Signature) {
        let CloseRequest {
            channel,
            balance,
            asker,
        } = *request;
        let (promise, is_to_close) = (self.promise(&channel), self.is_to_close(channel));
        let mut witness = self.witness();
        let scheme = self.scheme();
        let signed = scheme.is_closing_signature(signature, &channel, balance);
        let closing = promise.and_then(|promise| promise.closing().map(|closing| closing.at));
        if !signed || closing != Some(balance) {
            witness.complain(format!(
                "channel {channel}: signed a close at {balance} with {promise:?} durable"
            ));
        }
        let by_sender = matches!(asker, Asker::Sender { .. });
        if BRINGS_AGREED_CLOSES && by_sender && !is_to_close && self.is_worth_closing(channel, small(balance))
        {
            witness.complain(format!(
                "channel {channel}: a close at {balance} was agreed, and we will not bring it on chain"
            ));
        }
        let book = witness.books.entry(channel).or_default();
        book.to_close |= is_to_close;
        let before = book.agreed.replace(small(balance));
        if before.is_some_and(|before| before != small(balance)) {
            witness.complain(format!(
                "channel {channel}: agreed to {before:?} and to {balance}"
            ));
        }
    }

    /// Whether a close at a balance brings in enough, as far as the program knows.
    fn is_worth_closing(&self, channel: ChannelId, at: u64) -> bool {
        let disk = self.disk();
        let Some(facts) = disk.row(&channel).map(|row| &row.facts) else {
            return false;
        };
        let gain = at.saturating_sub(small(facts.withdrawn()));
        let is_settled = matches!(facts.phase, Phase::Settled { .. });
        !is_settled && gain > 0 && gain >= self.terms.min_claim
    }

    fn promise(&self, channel: &ChannelId) -> Option<Promise> {
        self.disk().row(channel)?.promise
    }

    /// The receiver sends a transaction: what it signs must be promised.
    pub(crate) fn sent_by_receiver(&self, transaction: &Transaction) {
        if let Ok(call) = withdrawCall::abi_decode(&transaction.input) {
            return self.withdraws(transaction.from, &call);
        }
        let Ok(call) = cooperativeCloseCall::abi_decode(&transaction.input) else {
            return;
        };
        let (scheme, balance) = (self.scheme(), Balance::new(call._balance));
        let mut channel = ChannelId {
            sender: transaction.from,
            receiver: call._receiver_address,
            open_block: call._open_block_number,
        };
        let proof = Signature::from_bytes(&call._balance_msg_sig).unwrap();
        channel.sender = proof
            .recover(scheme.balance_proof_hash(&channel, balance))
            .unwrap();
        let promise = self.promise(&channel);
        let promised = [
            promise.and_then(|promise| promise.closing().map(|closing| closing.at)),
            promise.and_then(|promise| promise.dispute()),
        ];
        let at = small(balance);
        self.note(format_args!("the receiver brings {at} on channel {channel}"));
        let mut witness = self.witness();
        if !promised.contains(&Some(balance)) {
            witness.complain(format!(
                "channel {channel}: brings {at} on chain with {promise:?} durable"
            ));
        }
        witness.met("closes brought by the receiver", 1);
        witness.books.entry(channel).or_default().brought.insert(at);
    }

    /// A withdrawal makes its proof public: that must be noted before.
    fn withdraws(&self, receiver: Address, call: &withdrawCall) {
        let (scheme, balance) = (self.scheme(), Balance::new(call._balance));
        let mut channel = ChannelId {
            sender: receiver,
            receiver,
            open_block: call._open_block_number,
        };
        let proof = Signature::from_bytes(&call._balance_msg_sig).unwrap();
        channel.sender = proof
            .recover(scheme.balance_proof_hash(&channel, balance))
            .unwrap();
        let sent = self.disk().row(&channel).map(|row| row.sent_withdrawals.clone());
        let mut witness = self.witness();
        witness.met("withdrawals sent", 1);
        if !sent.is_some_and(|sent| sent.contains(&balance)) {
            witness.complain(format!(
                "channel {channel}: withdraws {balance}, and that is not durable"
            ));
        }
    }
}
