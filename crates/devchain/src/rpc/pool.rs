//! The methods that look at the transactions that wait, and drop them.

use std::collections::BTreeMap;

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, U64};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Methods, format};
use crate::chain::Chain;

/// Transactions by sender and nonce.
type BySender<T> = BTreeMap<Address, BTreeMap<u64, T>>;

pub(super) fn register(methods: &mut Methods) {
    methods.add("txpool_status", |node, _| {
        let chain = node.chain();
        let count = |pool: BySender<()>| U64::from(pool.values().map(BTreeMap::len).sum::<usize>());
        let [pending, queued] = pool(&chain, |_| ());
        Ok(json!({ "pending": count(pending), "queued": count(queued) }))
    });
    methods.add("txpool_content", |node, _| {
        Ok(both(pool(&node.chain(), format::waiting)))
    });
    methods.add("txpool_inspect", |node, _| Ok(both(pool(&node.chain(), summary))));
    methods.add("anvil_dropTransaction", |node, params| {
        let hash: B256 = params.next()?;
        Ok(node.chain().drop_transaction(&hash).then_some(hash))
    });
    methods.alias("anvil_dropTransaction", &["hardhat_dropTransaction"]);
    methods.add("anvil_dropAllTransactions", |node, _| {
        node.chain().drop_all_transactions();
        Ok(Value::Null)
    });
    methods.add("anvil_removePoolTransactions", |node, params| {
        let sender: Address = params.next()?;
        node.chain().drop_transactions_of(sender);
        Ok(Value::Null)
    });
}

/// The transactions that the next block can have, and those that cannot be executed yet.
fn pool<T>(chain: &Chain, show: impl Fn(&Recovered<TxEnvelope>) -> T) -> [BySender<T>; 2] {
    let mut split = [BySender::new(), BySender::new()];
    let ready = chain.ready();
    for transaction in chain.pool().all() {
        let is_ready = ready.iter().any(|ready| ready.hash() == transaction.hash());
        split[usize::from(!is_ready)]
            .entry(transaction.signer())
            .or_default()
            .insert(transaction.nonce(), show(transaction));
    }
    split
}

fn both<T: Serialize>([pending, queued]: [BySender<T>; 2]) -> Value {
    json!({ "pending": pending, "queued": queued })
}

fn summary(transaction: &Recovered<TxEnvelope>) -> String {
    let to = transaction
        .to()
        .map_or_else(|| "contract creation".to_owned(), |to| format!("{to:#x}"));
    format!(
        "{to}: {} wei + {} gas × {} wei",
        transaction.value(),
        transaction.gas_limit(),
        transaction.max_fee_per_gas()
    )
}
