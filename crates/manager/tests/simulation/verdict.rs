//! What must hold at the end of every run.

use crate::bindings::RaidenMicroTransferChannels::ChannelSettled;
use crate::chain::Chain;
use crate::disk::Kept;
use crate::expectations::{CLAIMS_HONEST_CLOSES, LEAVES_DUST};
use crate::stage::{Stage, small};
use crate::witness::{Book, Witness};
use crate::world::{REACTION, World};
use alloy_primitives::U256;
use alloy_sol_types::SolEvent;
use microraiden_manager::{ChannelState, Filter, PageQuery};
use microraiden_protocol::ledger::{AccountRow, Promise};
use microraiden_protocol::{ChannelChange, ChannelId, Phase};
use microraiden_store::TaskKind;
use std::collections::{BTreeMap, BTreeSet};

/// An excuse: nothing else may be signed any more.
const PROMISED_ABOVE: &str = "claims promised above the deposit that was left";

/// How a channel was settled.
struct Settled {
    balance: u64,
    /// What the sender had claimed, or the receiver withdrawn, if it had asked for a close.
    claimed: Option<u64>,
    /// After the challenge period.
    late: bool,
    /// By the sender alone, after the challenge period.
    alone: bool,
}

/// Checks everything; the first that does not hold.
pub(crate) fn check(world: &World) -> Result<(), String> {
    let stage = &world.stage;
    let chain = stage.chain();
    let kept = stage.disk().kept.clone();
    let mut witness = stage.witness();
    let settled = settled(&chain);
    conservation(stage, &chain, &settled)?;
    for (channel, book) in &witness.books {
        let row = kept.rows.get(channel);
        match row {
            Some(row) => nothing_lost(row, book)?,
            // The operator may want what is not known.
            None if book.acknowledged.is_empty() && book.agreed.is_none() => {}
            None => return Err(format!("channel {channel}: its account is lost")),
        }
    }
    let mut excuses = match stage.terms.instances {
        0 => Vec::new(),
        _ => witness.charged_for_nothing()?,
    };
    for (channel, how) in &settled {
        if let Some(row) = kept.rows.get(channel) {
            let longest = world
                .challenges
                .get(channel)
                .map_or(0, |challenge| challenge.longest);
            excuses.extend(paid(stage, &witness, &kept, row, how, longest)?);
        }
    }
    for (channel, found) in &chain.contract().channels {
        let Some(row) = kept.rows.get(channel) else {
            continue;
        };
        // The last payments of all are made when everything else is closed.
        let is_closed = small(row.balance) <= world.starts.len() as u64;
        let deposit = found.deposit.to();
        let shaken = witness.books.get(channel).is_some_and(|book| book.shaken);
        if !is_closed && shaken && is_promised_above(row, deposit) {
            excuses.push(PROMISED_ABOVE);
        } else if !is_closed && shaken && best_claim(row, deposit).is_none() {
            excuses.push("nothing that the deposit left covers");
        } else if !is_closed {
            return Err(format!(
                "channel {channel} is not closed: {found:?}, {:?}",
                row.promise
            ));
        }
    }
    let left = kept
        .tasks
        .keys()
        .find(|(channel, _)| settled.contains_key(channel));
    if let Some((channel, kind)) = left {
        return Err(format!(
            "channel {channel} is settled, and its {kind:?} is not done"
        ));
    }
    excuses.into_iter().for_each(|excuse| witness.met(excuse, 1));
    witness.met("settled", settled.len());
    Ok(())
}

/// What each program shows of its channels and of itself is what is stored.
pub(crate) fn memory_is_what_is_stored(world: &World) -> Result<(), String> {
    let kept = world.stage.disk().kept.clone();
    let stored: Vec<_> = kept
        .rows
        .values()
        .filter_map(|row| {
            let is_closed = match row.facts.phase {
                Phase::Pending | Phase::Settled { .. } => return None,
                Phase::Challenged { .. } => true,
                Phase::Open => row.promise.is_some(),
            };
            Some((row.channel, row.balance, row.facts.deposit, is_closed))
        })
        .collect();
    let mut left = BTreeSet::new();
    for program in world.stage.programs().iter().flatten() {
        let (manager, number) = (&program.manager, program.life.number);
        let page = manager.page(PageQuery {
            filter: Filter::All,
            sender: None,
            after: None,
            limit: usize::MAX,
        });
        let shown = page.channels.iter().map(|shown| {
            let is_closed = shown.state == ChannelState::Closed;
            (shown.channel, shown.balance, shown.deposit, is_closed)
        });
        let shown: Vec<_> = shown.collect();
        if shown != stored {
            let wrong: Vec<_> = shown.iter().filter(|shown| !stored.contains(*shown)).collect();
            let missing: Vec<_> = stored.iter().filter(|stored| !shown.contains(*stored)).collect();
            return Err(format!(
                "life {number} shows {wrong:?} where {missing:?} is stored"
            ));
        }
        if manager.head().0 != kept.head || manager.halts().is_empty() == kept.halted {
            return Err(format!(
                "life {number} knows block {} and {:?}; stored are block {} and halts: {}",
                manager.head(),
                manager.halts(),
                kept.head,
                kept.halted
            ));
        }
        let kinds = [TaskKind::Dispute, TaskKind::Close, TaskKind::Withdraw];
        left.insert(kinds.map(|kind| manager.transactions_left(kind)));
    }
    match left.len() {
        0 | 1 => Ok(()),
        _ => Err(format!(
            "the programs do not agree on what is to be done: {left:?}"
        )),
    }
}

/// Whether the one claim that was promised is above the deposit that a reorganisation has left.
fn is_promised_above(row: &AccountRow, deposit: u64) -> bool {
    let promised = row.promise.as_ref().and_then(Promise::dispute);
    promised.is_some_and(|promised| small(promised) > deposit)
}

/// The best proof that is kept and that a deposit covers.
fn best_kept(row: &AccountRow, deposit: u64) -> Option<u64> {
    let kept = row.proofs.iter().map(|proof| small(proof.balance));
    kept.filter(|balance| *balance <= deposit).max()
}

/// What the sender has left unsettled was claimed by us, where that brings in enough.
pub(crate) fn nothing_unclaimed(world: &World) -> Result<(), String> {
    let (chain, disk) = (world.stage.chain(), world.stage.disk());
    let contract = chain.contract();
    for (channel, found) in &contract.channels {
        let (Some((claimed, _)), Some(row)) = (found.closing, disk.row(channel)) else {
            continue;
        };
        let best = best_claim(row, found.deposit.to()).unwrap_or_default();
        let gain = best.saturating_sub(contract.withdrawn(channel).to());
        if CLAIMS_HONEST_CLOSES && best >= claimed.to() && gain > 0 && gain >= world.stage.terms.min_claim {
            return Err(format!(
                "channel {channel}: closed at {claimed}, left unsettled, and {best} are not claimed"
            ));
        }
    }
    Ok(())
}

/// The balance that we can claim with what is kept and promised.
fn best_claim(row: &AccountRow, deposit: u64) -> Option<u64> {
    let closing = row.promise.as_ref().and_then(Promise::closing);
    let agreed = closing.filter(|closing| closing.sender_signature.is_some());
    let agreed = agreed
        .map(|closing| small(closing.at))
        .filter(|at| *at <= deposit);
    let promised = row.promise.as_ref().and_then(Promise::dispute).map(small);
    agreed.or_else(|| promised.or_else(|| best_kept(row, deposit)))
}

/// Every settlement on the canonical chain.
fn settled(chain: &Chain) -> BTreeMap<ChannelId, Settled> {
    let mut settled = BTreeMap::new();
    let contract = chain.contract().address;
    for (before, block) in chain.blocks().iter().zip(&chain.blocks()[1..]) {
        let logs = block.receipts.iter().flat_map(|receipt| &receipt.logs);
        for (_, _, log) in logs.filter(|(_, address, _)| *address == contract) {
            let Ok(event) = ChannelSettled::decode_log_data(log) else {
                continue;
            };
            let channel = ChannelId {
                sender: event._sender_address,
                receiver: event._receiver_address,
                open_block: event._open_block_number,
            };
            let contract = &before.state.contract;
            let closing = contract.channels.get(&channel).and_then(|found| found.closing);
            // What was withdrawn comes in any case.
            let claimed = closing.map(|(claimed, _)| claimed.max(contract.withdrawn(&channel)).to());
            let late = closing.is_some_and(|(_, settle_block)| block.number > u64::from(settle_block));
            let balance = event._balance.to();
            settled.insert(
                channel,
                Settled {
                    balance,
                    claimed,
                    late,
                    alone: late && claimed == Some(balance),
                },
            );
        }
    }
    settled
}

/// No token came from nowhere or went there.
fn conservation(stage: &Stage, chain: &Chain, settled: &BTreeMap<ChannelId, Settled>) -> Result<(), String> {
    let contract = chain.contract();
    let first = &chain.blocks()[0].state.contract.token;
    let held: U256 = contract
        .channels
        .iter()
        .map(|(channel, found)| U256::from(found.deposit - contract.withdrawn(channel)))
        .sum();
    let earned: u64 = settled.values().map(|settled| settled.balance).sum();
    let withdrawn = contract
        .channels
        .keys()
        .map(|channel| contract.withdrawn(channel).to::<u64>());
    let earned = U256::from(earned + withdrawn.sum::<u64>());
    let token = &contract.token;
    if token.supply() != first.supply() || token.balance(contract.address) != held {
        return Err(format!(
            "the contract holds {}, not {held}",
            token.balance(contract.address)
        ));
    }
    let receiver = token.balance(stage.receiver.address());
    if receiver != earned {
        return Err(format!("the receiver owns {receiver}, not {earned}"));
    }
    Ok(())
}

/// What was acknowledged, sold and signed is all in the account.
fn nothing_lost(row: &AccountRow, book: &Book) -> Result<(), String> {
    let (channel, balance) = (row.channel, small(row.balance));
    let spent = small(row.spent().ok_or("spent is negative")?);
    let acknowledged = book.acknowledged.last().copied().unwrap_or_default();
    if acknowledged > balance {
        return Err(format!(
            "channel {channel}: {acknowledged} was acknowledged, {balance} is kept"
        ));
    }
    if book.served > spent {
        return Err(format!(
            "channel {channel}: {} were sold, {spent} count as spent",
            book.served
        ));
    }
    let closing = row
        .promise
        .as_ref()
        .and_then(|promise| promise.closing())
        .map(|closing| small(closing.at));
    let dispute = row.promise.as_ref().and_then(Promise::dispute).map(small);
    let forgotten = book.agreed.is_some() && book.agreed != closing;
    if forgotten
        || book
            .brought
            .iter()
            .any(|at| ![closing, dispute].contains(&Some(*at)))
    {
        return Err(format!(
            "channel {channel}: signed {:?} and {:?}, promised {:?}",
            book.agreed, book.brought, row.promise
        ));
    }
    Ok(())
}

/// Whether the receiver got what it was owed on a channel, or why not; and how.
fn paid(
    stage: &Stage,
    witness: &Witness,
    kept: &Kept,
    row: &AccountRow,
    how: &Settled,
    longest: usize,
) -> Result<Option<&'static str>, String> {
    let channel = row.channel;
    let deposit: u64 = kept
        .events
        .iter()
        .filter(|event| event.channel == channel)
        .map(|event| match event.change {
            ChannelChange::Created { deposit } => small(deposit),
            ChannelChange::ToppedUp { added } => small(added),
            _ => 0,
        })
        .sum();
    let spent = small(row.spent().ok_or("spent is negative")?);
    let book = witness.books.get(&channel);
    let acknowledged = book.and_then(|book| book.acknowledged.range(..=deposit).next_back().copied());
    let shaken = book.is_some_and(|book| book.shaken);
    let best = if shaken {
        best_kept(row, deposit)
    } else {
        acknowledged
    };
    let is_covered = small(row.balance) <= deposit;
    let owed = if is_covered {
        spent
    } else {
        spent.min(best.unwrap_or_default())
    };
    if !is_covered && !shaken {
        return Err(format!(
            "channel {channel}: {} was accepted above {deposit}",
            row.balance
        ));
    }
    // What the operator or the sender wanted goes on chain whatever it costs; and what the sender leaves
    // unsettled is claimed for all that it brings in.
    let agreed = row.promise.as_ref().and_then(Promise::closing);
    let is_wanted = shaken || agreed.is_some() || book.is_some_and(|book| book.is_wanted);
    let min_claim = stage.terms.min_claim;
    let is_dust = |claimed: u64| claimed < how.balance && how.balance - claimed < min_claim;
    if LEAVES_DUST && !is_wanted && !how.late && how.claimed.is_some_and(is_dust) {
        return Err(format!(
            "channel {channel}: a gain below {min_claim} was not worth the gas"
        ));
    }
    if how.balance >= owed {
        let what = match how.claimed {
            _ if !is_covered => "settled with a deposit below the balance",
            Some(claimed) if claimed < owed => "stale closes answered",
            Some(_) => "settled after an honest close",
            None => "settled by agreement or by the operator",
        };
        return Ok(Some(what));
    }
    if shaken && is_promised_above(row, deposit) {
        return Ok(Some(PROMISED_ABOVE));
    }
    if shaken && book.is_some_and(|book| book.short) {
        return Ok(Some("claims promised while the deposit was short"));
    }
    let gain = best_claim(row, deposit)
        .unwrap_or_default()
        .saturating_sub(how.balance);
    if how.alone && LEAVES_DUST && gain < min_claim {
        return Ok(Some("closes not worth the gas"));
    }
    if how.alone && longest < REACTION {
        return Ok(Some("closes that could not be answered in time"));
    }
    Err(format!(
        "channel {channel}: settled at {}, but {owed} were owed; {longest} slots to answer; {:?}, deposit {deposit}",
        how.balance, row.promise
    ))
}
