//! What a unit of gas is paid with.

use crate::error::{ChainError, TransactionError};
use crate::node::Node;
use crate::rpc::RpcError;
use alloy_primitives::U128;
use serde_json::json;

/// What is tipped where the node does not suggest a tip: 1 gwei.
const DEFAULT_TIP_WEI: u128 = 1_000_000_000;

/// What is offered for a unit of gas, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fees {
    /// Base fee and tip together cost at most `max_fee`.
    Eip1559 { max_fee: u128, tip: u128 },
    /// One price, on chains without a base fee.
    Legacy { price: u128 },
}

impl Fees {
    /// What gets a transaction mined soon: the suggested tip, and room for the base fee to double.
    pub(crate) async fn now(node: &Node, ceiling: Option<u128>) -> Result<Self, TransactionError> {
        let ceiling = ceiling.unwrap_or(u128::MAX);
        let Some(base_fee) = node.latest_header().await?.base_fee_wei else {
            let price = node.gas_price().await?;
            return below(price, ceiling).map(|()| Self::Legacy { price });
        };
        below(base_fee, ceiling)?;
        let tip = suggested_tip(node).await?;
        let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(ceiling);
        Ok(Self::Eip1559 {
            max_fee,
            tip: tip.min(max_fee),
        })
    }

    /// What replaces a transaction that offered `self`: nodes want an eighth more at least. `None` above the ceiling.
    pub(crate) fn raised(self, now: Self, ceiling: Option<u128>) -> Option<Self> {
        let more = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
        let raised = match (self, now) {
            (
                Self::Eip1559 { max_fee, tip },
                Self::Eip1559 {
                    max_fee: max_fee_now,
                    tip: tip_now,
                },
            ) => {
                let tip = more(tip).max(tip_now);
                Self::Eip1559 {
                    max_fee: more(max_fee).max(max_fee_now).max(tip),
                    tip,
                }
            }
            (Self::Legacy { price }, _) => Self::Legacy {
                price: more(price).max(now.most()),
            },
            (Self::Eip1559 { max_fee, tip }, Self::Legacy { .. }) => Self::Eip1559 {
                max_fee: more(max_fee),
                tip: more(tip),
            },
        };
        (raised.most() <= ceiling.unwrap_or(u128::MAX)).then_some(raised)
    }

    /// The most that a unit of gas can cost.
    pub(crate) const fn most(self) -> u128 {
        match self {
            Self::Eip1559 { max_fee, .. } => max_fee,
            Self::Legacy { price } => price,
        }
    }
}

fn below(price: u128, ceiling: u128) -> Result<(), TransactionError> {
    if price > ceiling {
        return Err(TransactionError::FeeAboveCeiling { price, ceiling });
    }
    Ok(())
}

async fn suggested_tip(node: &Node) -> Result<u128, ChainError> {
    match node.ask::<U128>("eth_maxPriorityFeePerGas", json!([])).await {
        Ok(tip) => Ok(tip.to()),
        Err(ChainError::Request {
            source: RpcError::Refused { .. },
            ..
        }) => Ok(DEFAULT_TIP_WEI),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_offers_an_eighth_more_of_both_fees() {
        let old = Fees::Eip1559 {
            max_fee: 800,
            tip: 80,
        };
        let cheap = Fees::Eip1559 {
            max_fee: 100,
            tip: 10,
        };
        assert_eq!(
            old.raised(cheap, None),
            Some(Fees::Eip1559 {
                max_fee: 901,
                tip: 91
            })
        );
        let dear = Fees::Eip1559 {
            max_fee: 2000,
            tip: 200,
        };
        assert_eq!(old.raised(dear, None), Some(dear));
        assert_eq!(old.raised(dear, Some(1999)), None);
        let legacy = Fees::Legacy { price: 8 };
        assert_eq!(
            legacy.raised(Fees::Legacy { price: 3 }, Some(10)),
            Some(Fees::Legacy { price: 10 })
        );
        assert_eq!(legacy.raised(Fees::Legacy { price: 3 }, Some(9)), None);
    }
}
