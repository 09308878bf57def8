//! Transactions that wait for a block.

use std::collections::{BTreeMap, HashMap};

use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256};

/// The transactions that wait, by sender and nonce.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    senders: HashMap<Address, BTreeMap<u64, Pooled>>,
    arrivals: u64,
}

#[derive(Clone)]
struct Pooled {
    transaction: Recovered<TxEnvelope>,
    arrival: u64,
}

/// Why the pool did not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolRefusal {
    /// The same transaction waits already.
    AlreadyKnown,
    /// Another transaction with this nonce waits and pays too much to be replaced.
    Underpriced,
}

impl Pool {
    /// Adds a transaction. One with the same sender and nonce is replaced if both fees are at least a tenth higher.
    pub(crate) fn add(&mut self, transaction: Recovered<TxEnvelope>) -> Result<(), PoolRefusal> {
        let waiting = self.senders.entry(transaction.signer()).or_default();
        if let Some(old) = waiting.get(&transaction.nonce()) {
            let old = &old.transaction;
            if old.hash() == transaction.hash() {
                return Err(PoolRefusal::AlreadyKnown);
            }
            if !outbids(transaction.max_fee_per_gas(), old.max_fee_per_gas())
                || !outbids(transaction.priority_fee_or_price(), old.priority_fee_or_price())
            {
                return Err(PoolRefusal::Underpriced);
            }
        }
        self.arrivals += 1;
        waiting.insert(
            transaction.nonce(),
            Pooled {
                transaction,
                arrival: self.arrivals,
            },
        );
        Ok(())
    }

    /// The transactions that can be executed: first come, first served, but each sender's in their order.
    ///
    /// One that leaves a gap before its nonce, pays less than the base fee or wants more gas than a block has holds up its
    /// sender's later ones. `nonce_of` gives the nonce of an account's next transaction.
    pub(crate) fn ready(
        &self,
        base_fee_wei: u64,
        block_gas_limit: u64,
        nonce_of: impl Fn(Address) -> u64,
    ) -> Vec<Recovered<TxEnvelope>> {
        let mut ready = Vec::new();
        for (sender, waiting) in &self.senders {
            let mut turn = 0;
            for (expected, (nonce, pooled)) in (nonce_of(*sender)..=u64::MAX).zip(waiting) {
                let transaction = &pooled.transaction;
                if *nonce != expected
                    || transaction.max_fee_per_gas() < u128::from(base_fee_wei)
                    || transaction.gas_limit() > block_gas_limit
                {
                    break;
                }
                turn = pooled.arrival.max(turn);
                ready.push((turn, *nonce, &pooled.transaction));
            }
        }
        ready.sort_unstable_by_key(|(turn, nonce, _)| (*turn, *nonce));
        ready
            .into_iter()
            .map(|(_, _, transaction)| transaction.clone())
            .collect()
    }

    /// The nonce after the transactions of a sender that are ready, if the account's own is `nonce`.
    pub(crate) fn next_nonce(&self, sender: Address, nonce: u64) -> u64 {
        let waiting = self.senders.get(&sender);
        (nonce..=u64::MAX)
            .find(|next| !waiting.is_some_and(|waiting| waiting.contains_key(next)))
            .unwrap_or(nonce)
    }

    /// Finds a waiting transaction.
    pub(crate) fn get(&self, hash: &B256) -> Option<&Recovered<TxEnvelope>> {
        self.all().find(|transaction| transaction.hash() == hash)
    }

    /// All transactions that wait, each sender's in the order of their nonces.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Recovered<TxEnvelope>> {
        self.senders
            .values()
            .flat_map(BTreeMap::values)
            .map(|pooled| &pooled.transaction)
    }

    /// All transactions that wait, in the order in which they arrived.
    pub(crate) fn in_order(&self) -> Vec<&Recovered<TxEnvelope>> {
        let mut waiting: Vec<&Pooled> = self.senders.values().flat_map(BTreeMap::values).collect();
        waiting.sort_unstable_by_key(|pooled| pooled.arrival);
        waiting.iter().map(|pooled| &pooled.transaction).collect()
    }

    /// Takes one transaction out; whether it was there.
    pub(crate) fn remove_hash(&mut self, hash: &B256) -> bool {
        let Some((sender, nonce)) = self.get(hash).map(|found| (found.signer(), found.nonce())) else {
            return false;
        };
        self.retain(sender, |waiting| *waiting != nonce);
        true
    }

    /// Takes out those of a sender that can never be executed since its nonce is now `nonce`.
    pub(crate) fn forget_before(&mut self, sender: Address, nonce: u64) {
        self.retain(sender, |waiting| *waiting >= nonce);
    }

    fn retain(&mut self, sender: Address, keep: impl Fn(&u64) -> bool) {
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.retain(|nonce, _| keep(nonce));
            if waiting.is_empty() {
                self.senders.remove(&sender);
            }
        }
    }
}

/// Whether a fee is at least a tenth higher than the old one.
fn outbids(fee: u128, old: u128) -> bool {
    fee > old && fee - old >= old.div_ceil(10)
}
