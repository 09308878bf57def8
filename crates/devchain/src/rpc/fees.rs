//! Gas prices, now and in the past.

use alloy_consensus::Transaction;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U64;
use alloy_rpc_types_eth::FeeHistory;

use super::{Answer, Methods, error::invalid};
use crate::chain::{At, Block, Chain, PRIORITY_FEE_WEI};

/// How many blocks one answer covers at most.
const FEE_HISTORY_BLOCKS: u64 = 1_024;

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_gasPrice", |node, _| {
        Ok(U64::from(node.chain().gas_price_wei()))
    });
    methods.add("eth_maxPriorityFeePerGas", |_, _| Ok(U64::from(PRIORITY_FEE_WEI)));
    methods.add("eth_blobBaseFee", |_, _| Ok(U64::ONE));
    methods.add("eth_feeHistory", |node, params| {
        let (blocks, newest): (U64, BlockNumberOrTag) = (params.next()?, params.next()?);
        let percentiles: Option<Vec<f64>> = params.optional_next()?;
        fee_history(&node.chain(), blocks.to(), newest, percentiles)
    });
}

fn fee_history(
    chain: &Chain,
    blocks: u64,
    newest: BlockNumberOrTag,
    percentiles: Option<Vec<f64>>,
) -> Answer<FeeHistory> {
    if percentiles
        .iter()
        .flatten()
        .any(|percentile| !(0.0..=100.0).contains(percentile))
    {
        return Err(invalid("reward percentiles must be between 0 and 100"));
    }
    let newest = match chain.resolve(BlockId::Number(newest))? {
        At::Block(number) => number,
        At::Pending => chain.number(),
    };
    let count = blocks.clamp(1, FEE_HISTORY_BLOCKS).min(newest + 1);
    let oldest = newest + 1 - count;
    let range: Vec<&Block> = (oldest..=newest)
        .filter_map(|number| chain.block(number).map(|block| &**block))
        .collect();
    let next = chain
        .block(newest + 1)
        .map_or_else(|| chain.next_base_fee_wei(), |block| block.base_fee_wei());
    Ok(FeeHistory {
        oldest_block: oldest,
        base_fee_per_gas: range
            .iter()
            .map(|block| block.base_fee_wei())
            .chain([next])
            .map(u128::from)
            .collect(),
        gas_used_ratio: range
            .iter()
            .map(|block| block.header.gas_used as f64 / block.header.gas_limit as f64)
            .collect(),
        base_fee_per_blob_gas: vec![1; range.len() + 1],
        blob_gas_used_ratio: vec![0.0; range.len()],
        reward: percentiles
            .map(|percentiles| range.iter().map(|block| rewards(block, &percentiles)).collect()),
    })
}

/// The priority fees of a block at these percentiles of its gas, cheapest first.
fn rewards(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.base_fee_wei();
    let mut paid: Vec<(u128, u64)> = block
        .transactions
        .iter()
        .map(|one| {
            (
                one.transaction
                    .effective_tip_per_gas(base_fee)
                    .unwrap_or_default(),
                one.gas_used,
            )
        })
        .collect();
    paid.sort_unstable();
    let reward = |percentile: &f64| {
        let threshold = block.header.gas_used as f64 * percentile / 100.0;
        let mut gas = 0;
        let reached = paid.iter().find(|(_, used)| {
            gas += used;
            gas as f64 >= threshold
        });
        reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(reward).collect()
}
