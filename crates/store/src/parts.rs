//! What databases have in common: values as text, and the columns that a value of several parts is kept in.

use crate::store::{HaltKind, TaskKind};
use microraiden_protocol::ledger::{AccountRow, Closing, CorruptRow, Promise, StoredProof};
use microraiden_protocol::{Amount, Balance, BlockNumber, ChannelChange, Deposit, Phase, Signature};
use std::fmt;
use std::str::FromStr;

/// Columns that do not go together, or a name that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not written so")]
pub(crate) struct NoneOfItsKind(&'static str);

/// A list, one entry per line.
pub(crate) fn print_lines<T: fmt::Display>(entries: impl IntoIterator<Item = T>) -> String {
    let lines: Vec<String> = entries.into_iter().map(|entry| entry.to_string()).collect();
    lines.join("\n")
}

/// Reads a list.
pub(crate) fn parse_lines<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    let mut entries = text.lines().map(str::parse).collect::<Result<Vec<_>, _>>()?;
    // Accounts stay in memory, and most have one entry.
    entries.shrink_to_fit();
    Ok(entries)
}

/// A proof as `balance:0xsignature`.
pub(crate) struct ProofLine(pub(crate) StoredProof);

/// Why a line is not a proof.
#[derive(Debug, thiserror::Error)]
#[error("a proof is written as balance:0xsignature")]
pub(crate) struct ParseProofError;

impl fmt::Display for ProofLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.balance, self.0.signature)
    }
}

impl FromStr for ProofLine {
    type Err = ParseProofError;

    fn from_str(line: &str) -> Result<Self, ParseProofError> {
        let (balance, signature) = line.split_once(':').ok_or(ParseProofError)?;
        Ok(Self(StoredProof {
            balance: balance.parse().map_err(|_| ParseProofError)?,
            signature: signature.parse::<Signature>().map_err(|_| ParseProofError)?,
        }))
    }
}

/// A phase's columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhaseColumns<N> {
    pub(crate) phase: N,
    pub(crate) requested_at: Option<u64>,
    pub(crate) settle_block: Option<u64>,
    pub(crate) closing_balance: Option<Balance>,
    pub(crate) settled_at: Option<u64>,
}

impl From<Phase> for PhaseColumns<&'static str> {
    fn from(phase: Phase) -> Self {
        let named = |phase| Self {
            phase,
            requested_at: None,
            settle_block: None,
            closing_balance: None,
            settled_at: None,
        };
        match phase {
            Phase::Pending => named("pending"),
            Phase::Open => named("open"),
            Phase::Challenged {
                requested_at,
                settle_block,
                closing_balance,
            } => Self {
                requested_at: Some(requested_at.0),
                settle_block: Some(settle_block.0),
                closing_balance: Some(closing_balance),
                ..named("challenged")
            },
            Phase::Settled { at } => Self {
                settled_at: Some(at.0),
                ..named("settled")
            },
        }
    }
}

impl TryFrom<PhaseColumns<&str>> for Phase {
    type Error = NoneOfItsKind;

    fn try_from(columns: PhaseColumns<&str>) -> Result<Self, NoneOfItsKind> {
        let PhaseColumns {
            phase,
            requested_at,
            settle_block,
            closing_balance,
            settled_at,
        } = columns;
        match (phase, requested_at, settle_block, closing_balance, settled_at) {
            ("pending", None, None, None, None) => Ok(Self::Pending),
            ("open", None, None, None, None) => Ok(Self::Open),
            ("challenged", Some(requested_at), Some(settle_block), Some(closing_balance), None) => {
                Ok(Self::Challenged {
                    requested_at: BlockNumber(requested_at),
                    settle_block: BlockNumber(settle_block),
                    closing_balance,
                })
            }
            ("settled", None, None, None, Some(at)) => Ok(Self::Settled { at: BlockNumber(at) }),
            _ => Err(NoneOfItsKind("a phase")),
        }
    }
}

/// Puts a promise together.
pub(crate) fn promise(
    closing_at: Option<Balance>,
    sender_signature: Option<Signature>,
    dispute_at: Option<Balance>,
) -> Option<Promise> {
    let closing = closing_at.map(|at| Closing { at, sender_signature });
    match (closing, dispute_at) {
        (Some(closing), Some(at)) => Some(Promise::ClosingAndDispute(closing, at)),
        (Some(closing), None) => Some(Promise::Closing(closing)),
        (None, Some(at)) => Some(Promise::Dispute(at)),
        (None, None) => None,
    }
}

/// Compares what was stored as spent with what follows from the rest of the row.
pub(crate) fn check_spent(row: &AccountRow, spent: Balance) -> Result<(), CorruptRow> {
    if row.spent() == Some(spent) {
        return Ok(());
    }
    Err(CorruptRow {
        channel: row.channel,
        reason: "spent is not the balance less unspent units and refund",
    })
}

/// The columns of what an event tells: its kind, an amount, and the receiver's tokens.
pub(crate) fn change_columns(change: &ChannelChange) -> (&'static str, Amount, Option<Amount>) {
    match *change {
        ChannelChange::Created { deposit } => ("created", deposit.into(), None),
        ChannelChange::ToppedUp { added } => ("topped_up", added, None),
        ChannelChange::CloseRequested { closing_balance } => {
            ("close_requested", closing_balance.into(), None)
        }
        ChannelChange::Withdrawn { amount } => ("withdrawn", amount, None),
        ChannelChange::Settled {
            balance,
            receiver_tokens,
        } => ("settled", balance.into(), Some(receiver_tokens)),
    }
}

/// Puts what an event tells together.
pub(crate) fn change(
    kind: &str,
    amount: Amount,
    receiver_tokens: Option<Amount>,
) -> Result<ChannelChange, NoneOfItsKind> {
    let deposit = Deposit::new(amount.base_units());
    let balance = Balance::new(amount.base_units());
    Ok(match (kind, receiver_tokens) {
        ("created", None) => ChannelChange::Created { deposit },
        ("topped_up", None) => ChannelChange::ToppedUp { added: amount },
        ("close_requested", None) => ChannelChange::CloseRequested {
            closing_balance: balance,
        },
        ("withdrawn", None) => ChannelChange::Withdrawn { amount },
        ("settled", Some(receiver_tokens)) => ChannelChange::Settled {
            balance,
            receiver_tokens,
        },
        _ => return Err(NoneOfItsKind("an event")),
    })
}

impl TaskKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dispute => "dispute",
            Self::Close => "close",
            Self::Withdraw => "withdraw",
        }
    }

    pub(crate) fn of_name(name: &str) -> Result<Self, NoneOfItsKind> {
        match name {
            "dispute" => Ok(Self::Dispute),
            "close" => Ok(Self::Close),
            "withdraw" => Ok(Self::Withdraw),
            _ => Err(NoneOfItsKind("the kind of a task")),
        }
    }
}

impl HaltKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reorganised => "reorganised",
            Self::Restored => "restored",
        }
    }

    pub(crate) fn of_name(name: &str) -> Result<Self, NoneOfItsKind> {
        match name {
            "reorganised" => Ok(Self::Reorganised),
            "restored" => Ok(Self::Restored),
            _ => Err(NoneOfItsKind("the kind of a halt")),
        }
    }
}
