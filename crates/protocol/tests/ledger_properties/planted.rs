//! Ledgers with one bug each. They are the real one with its inputs or its results altered, never
//! into a state that `from_row` refuses: what the checker finds, a store would have kept.

use crate::line::small;
use crate::rules::{Claimed, Ledger, Request, Rules, accept};
use microraiden_protocol::ledger::{
    Account, AccountRow, CloseRefusal, Closing, Limits, Payment, Promise, Refusal, ReleaseError, Spend,
    Standing, StoredProof, UnitSet, Units, Writer,
};
use microraiden_protocol::{Amount, Balance, ChainFacts, Deposit, Phase, Price, Signature, VerifiedProof};

/// The account with another row, if there can be one such; what is in flight stays in flight.
fn alter(account: Account, change: impl FnOnce(&mut AccountRow)) -> Account {
    let mut row = account.row().clone();
    change(&mut row);
    let durable = account.version().number;
    account.reload(row, durable).unwrap_or(account)
}

/// The units from 1 to `end`, one by one, for which it holds.
fn units(end: Balance, holds: impl Fn(Balance) -> bool) -> UnitSet {
    let mut set = UnitSet::default();
    for unit in (1..=small(end)).map(Balance::from).filter(|unit| holds(*unit)) {
        set.insert(Units {
            first: unit,
            last: unit,
        });
    }
    set
}

/// The units that were given back between two states.
fn released(before: &Account, after: &Account) -> UnitSet {
    let (before, after) = (before.row(), after.row());
    units(after.balance, |unit| {
        after.unspent.contains(unit) && !before.unspent.contains(unit)
    })
}

/// The account with other units unspent, and still as much sold.
fn with_unspent(account: Account, holds: impl Fn(Balance) -> bool) -> Account {
    let (spent, before) = (account.spent(), account.clone());
    let after = alter(account, |row| {
        row.unspent = units(row.balance, holds);
        let rest = row.balance.checked_since(spent);
        row.refund = rest
            .and_then(|rest| rest.checked_sub(row.unspent.total()))
            .unwrap_or(row.refund);
    });
    if after.spent() == spent { after } else { before }
}

/// Decides under other facts or with fewer memories, and puts them back. A refusal stays the same.
fn accept_as_if(
    on: &Account,
    request: &Request,
    by: Writer,
    change: impl FnOnce(&mut AccountRow),
) -> Result<(Account, Spend), Refusal> {
    let refusal = accept(on, request, by).map(|_| ()).err();
    let (after, spend) =
        accept(&alter(on.clone(), change), request, by).map_err(|other| refusal.unwrap_or(other))?;
    let restored = alter(after, |row| {
        row.facts = on.facts().clone();
        row.sent_withdrawals.clone_from(&on.row().sent_withdrawals);
        row.promise = on.promise().copied();
    });
    Ok((restored, spend))
}

macro_rules! planted {
    ($($(#[$doc:meta])* $name:ident { $($operation:item)+ })+) => {
        $($(#[$doc])* pub(crate) struct $name; impl Rules for $name { $($operation)+ })+
    };
}

planted! {
    /// A proof whose unit was sold sells the same units again.
    ReplaySellsAgain {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let result = accept(on, request, by);
            if result != Err(Refusal::AlreadySpent) {
                return result;
            }
            let top = request.proof.balance();
            let paid = small(request.price);
            accept_as_if(on, request, by, |row| {
                let below = small(top).saturating_sub(paid);
                let again = |unit: Balance| small(unit) > below && unit <= top;
                let unspent = row.unspent.clone();
                row.unspent = units(row.balance, |unit| again(unit) || unspent.contains(unit));
            })
        }
    }

    /// More than the price is as good as the price.
    OverpaymentSells {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let result = accept(on, request, by);
            match request.payment {
                Payment::Stated(paid) if result == Err(Refusal::InvalidAmount) && paid > request.price.into() => {
                    accept(on, &Request { price: Price::new(paid.base_units()), ..*request }, by)
                        .or(Err(Refusal::InvalidAmount))
                }
                _ => result,
            }
        }
    }

    /// A proof that arrives out of order takes the balance back.
    BalanceFollowsTheLastProof {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let (after, spend) = accept(on, request, by)?;
            let top = request.proof.balance();
            let lowered = alter(after, |row| {
                row.balance = top;
                row.unspent = units(top, |unit| row.unspent.contains(unit));
                row.proofs = vec![StoredProof { balance: top, signature: request.proof.signature() }];
            });
            Ok((lowered, spend))
        }
    }

    /// Credit that a payment uses up stays.
    CreditStaysWhenUsed {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let (after, spend) = accept(on, request, by)?;
            let kept = alter(after, |row| {
                let used = |unit| on.row().unspent.contains(unit) && unit != request.proof.balance();
                row.unspent = units(row.balance, |unit| used(unit) || row.unspent.contains(unit));
            });
            Ok((kept, spend))
        }
    }

    /// The signature is kept beside the balance of another proof.
    ProofOfAnotherBalance {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let (after, spend) = accept(on, request, by)?;
            let mixed = alter(after, |row| {
                let last: Option<&StoredProof> = on.row().proofs.last();
                if let (Some(before), Some(stored)) = (last, row.proofs.last_mut()) {
                    stored.signature = before.signature;
                }
            });
            Ok((mixed, spend))
        }
    }

    /// Only the newest proof is kept, whatever the deposit may fall back to.
    LowerProofsForgotten {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let (after, spend) = accept(on, request, by)?;
            Ok((alter(after, |row| { row.proofs.drain(..row.proofs.len() - 1); }), spend))
        }
    }

    /// Sells on while a close runs on chain.
    SellsWhileChallenged {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            match accept(on, request, by) {
                Err(Refusal::Challenged) => accept_as_if(on, request, by, |row| row.facts.phase = Phase::Open),
                result => result,
            }
        }
    }

    /// Sells on after a closing signature was given.
    SellsAfterAPromise {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            match accept(on, request, by) {
                Err(Refusal::ClosePromised) => accept_as_if(on, request, by, |row| row.promise = None),
                result => result,
            }
        }
    }

    /// Takes payments with a top-up that is not confirmed.
    SellsAboveTheConfirmedDeposit {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            match accept(on, request, by) {
                Err(Refusal::TopUpUnconfirmed) => {
                    accept_as_if(on, request, by, |row| row.facts.deposit = row.facts.unconfirmed_deposit)
                }
                result => result,
            }
        }
    }

    /// Sells although the chain holds less than was paid.
    SellsWhileImpaired {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            match accept(on, request, by) {
                Err(Refusal::Impaired) => accept_as_if(on, request, by, |row| row.facts.deposit = Deposit::MAX),
                result => result,
            }
        }
    }

    /// A proof that a withdrawal made public buys what was released under it.
    PublicProofBuys {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let forget = |row: &mut AccountRow| {
                row.sent_withdrawals.clear();
                row.facts.withdrawals.clear();
            };
            match accept(on, request, by) {
                Err(Refusal::AlreadySpent) => accept_as_if(on, request, by, forget),
                result => result,
            }
        }
    }

    /// The form of 2018 pays its price below the balance, from whatever is unspent.
    OldFormUsesAnyCredit {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            let stated = Request { payment: Payment::Stated(request.price.into()), ..*request };
            match accept(on, request, by) {
                Err(Refusal::DecreasingBalance) => accept(on, &stated, by).or(Err(Refusal::DecreasingBalance)),
                result => result,
            }
        }
    }

    /// New proofs may skip as much as they like.
    WindowIgnored {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            accept(on, &Request { limits: Limits::default(), ..*request }, by)
        }
    }

    /// A full window refuses also those who would empty it.
    FullWindowRefusesAll {
        fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
            if on.row().unspent.total() > Amount::from(2_000) {
                return Err(Refusal::WindowExceeded);
            }
            accept(on, request, by)
        }
    }

    /// A release is not remembered, and acts again.
    ReleaseActsTwice {
        fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
            let result = Ledger.release(on, spend, by);
            if result != Err(ReleaseError::NotOpen) || spend.amount() > on.spent().into() {
                return result;
            }
            Ok(alter(on.clone(), |row| {
                row.refund = row.refund.checked_add(spend.amount()).unwrap_or(row.refund);
                row.version.number += 1;
                row.version.writer = by;
            }))
        }
    }

    /// A release leaves the unit of the proof spent.
    TopUnitNotReleased {
        fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
            let after = Ledger.release(on, spend, by)?;
            let top = released(on, &after).highest();
            Ok(alter(after, |row| row.unspent = units(row.balance, |unit| {
                Some(unit) != top && row.unspent.contains(unit)
            })))
        }
    }

    /// A release gives a unit back that somebody else bought.
    OneUnitTooManyReleased {
        fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
            let after = Ledger.release(on, spend, by)?;
            let sold = (1..=small(after.balance())).map(Balance::from);
            let other = sold.rev().find(|unit| !after.row().unspent.contains(*unit));
            Ok(alter(after, |row| row.unspent = units(row.balance, |unit| {
                Some(unit) == other || row.unspent.contains(unit)
            })))
        }
    }

    /// A metered answer gives back the highest units, that of the proof included.
    HighestUnitsReleased {
        fn spend_partly(
            &self, on: &Account, spend: &Spend, cost: Amount, by: Writer,
        ) -> Result<Account, ReleaseError> {
            let all = released(on, &Ledger.release(on, spend, by)?);
            let after = Ledger.spend_partly(on, spend, cost, by)?;
            let mut highest = all;
            let _ = highest.take_lowest(cost);
            Ok(with_unspent(after, |unit| highest.contains(unit) || on.row().unspent.contains(unit)))
        }
    }

    /// A metered answer charges all that was authorised.
    UnusedPartKept {
        fn spend_partly(
            &self, on: &Account, spend: &Spend, cost: Amount, by: Writer,
        ) -> Result<Account, ReleaseError> {
            Ledger.spend_partly(on, spend, cost.max(spend.amount()), by)
        }
    }

    /// Intervals beyond the kept ones are dropped, and owed to nobody.
    FoldedWithoutRefund {
        fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
            let after = Ledger.release(on, spend, by)?;
            Ok(alter(after, |row| row.refund = on.row().refund))
        }
    }

    /// Nothing is ever folded, until no proof may skip any more.
    NeverFolded {
        fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
            let after = Ledger.release(on, spend, by)?;
            if after.row().refund == on.row().refund {
                return Ok(after);
            }
            let unfolded = after.row().unspent.clone();
            Ok(with_unspent(after, |unit| unfolded.contains(unit) || on.row().unspent.contains(unit)))
        }
    }

    /// What was in flight when the process died can still be released.
    CrashKeepsSpendsOpen {
        fn restart(&self, on: &Account) -> Account {
            on.clone()
        }
    }

    /// A second close replaces the first.
    PromiseOverwritten {
        fn close_at(
            &self, on: &Account, at: Balance, signature: Option<Signature>, by: Writer,
        ) -> Result<Claimed, CloseRefusal> {
            match Ledger.close_at(on, at, signature, by) {
                Err(CloseRefusal::OtherPromise) => {
                    let forgetful = alter(on.clone(), |row| row.promise = None);
                    Ledger.close_at(&forgetful, at, signature, by).or(Err(CloseRefusal::OtherPromise))
                }
                result => result,
            }
        }
    }

    /// A close may leave out what was sold last.
    CloseBelowSpent {
        fn close_at(
            &self, on: &Account, at: Balance, signature: Option<Signature>, by: Writer,
        ) -> Result<Claimed, CloseRefusal> {
            let short = on.spent().checked_since(at).unwrap_or(Amount::ZERO);
            let forgiving = alter(on.clone(), |row| {
                row.refund = row.refund.checked_add(short).unwrap_or(row.refund);
            });
            Ledger.close_at(&forgiving, at, signature, by)
        }
    }

    /// A close is agreed to, and not written down.
    PromiseNotCommitted {
        fn close_at(
            &self, on: &Account, at: Balance, signature: Option<Signature>, by: Writer,
        ) -> Result<Claimed, CloseRefusal> {
            let claimed = Ledger.close_at(on, at, signature, by)?;
            Ok(Claimed { after: None, ..claimed })
        }
    }

    /// A dispute takes the place of the close that was agreed to.
    DisputeForgetsTheClose {
        fn dispute(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
            let mut claimed = Ledger.dispute(on, by)?;
            claimed.after = claimed.after.map(|after| alter(after, |row| {
                row.promise = Some(Promise::Dispute(claimed.balance));
            }));
            Ok(claimed)
        }
    }

    /// A dispute is followed by a close.
    CloseAfterDispute {
        fn close_at(
            &self, on: &Account, at: Balance, sender_signature: Option<Signature>, by: Writer,
        ) -> Result<Claimed, CloseRefusal> {
            let result = Ledger.close_at(on, at, sender_signature, by);
            let Some(Promise::Dispute(disputed)) = on.promise().copied() else { return result };
            let after = alter(on.clone(), |row| {
                row.promise = Some(Promise::ClosingAndDispute(Closing { at, sender_signature }, disputed));
            });
            Ok(Claimed { balance: at, sender_signature, after: Some(after) })
        }
    }

    /// A dispute claims more than the deposit holds.
    DisputeAboveTheDeposit {
        fn dispute(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
            let rich = alter(on.clone(), |row| row.facts.deposit = Deposit::MAX);
            let mut claimed = Ledger.dispute(&rich, by)?;
            claimed.after = claimed.after.map(|after| alter(after, |row| row.facts = on.facts().clone()));
            Ok(claimed)
        }
    }

    /// A withdrawal that can never be mined, since the deposit shrank, stands in a dispute's way.
    DisputeWaitsForALostWithdrawal {
        fn dispute(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
            let claimed = Ledger.dispute(on, by)?;
            if claimed.balance < on.withdrawn() { Err(CloseRefusal::NothingToClaim) } else { Ok(claimed) }
        }
    }

    /// A withdrawal takes what a close at a lower balance left to the sender.
    WithdrawsAboveAPromise {
        fn withdraw(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
            let mut claimed = Ledger.withdraw(&alter(on.clone(), |row| row.promise = None), by)?;
            claimed.after = claimed.after.map(|after| alter(after, |row| row.promise = on.promise().copied()));
            Ok(claimed)
        }
    }

    /// A close that vanishes from the chain takes our signature with it.
    RewindDropsThePromise {
        fn observe(&self, on: &Account, facts: ChainFacts, by: Writer) -> Account {
            let is_undone = on.facts().phase != facts.phase && facts.phase == Phase::Open;
            let after = Ledger.observe(on, facts, by);
            if is_undone { alter(after, |row| row.promise = None) } else { after }
        }
    }

    /// A channel that vanishes and comes back begins again.
    RewindDropsTheBalance {
        fn observe(&self, on: &Account, facts: ChainFacts, by: Writer) -> Account {
            let has_vanished = facts.phase == Phase::Pending;
            let after = Ledger.observe(on, facts, by);
            if !has_vanished {
                return after;
            }
            alter(after, |row| {
                row.balance = Balance::ZERO;
                row.refund = Amount::ZERO;
                row.unspent = UnitSet::default();
                row.proofs.clear();
            })
        }
    }

    /// When the deposit shrinks, the proofs that it still covers are thrown away.
    ShrunkDepositForgetsProofs {
        fn observe(&self, on: &Account, facts: ChainFacts, by: Writer) -> Account {
            let after = Ledger.observe(on, facts, by);
            if !after.is_impaired() {
                return after;
            }
            alter(after, |row| {
                let levels = row.facts.lower_deposits.clone();
                let proofs = row.proofs.clone();
                let best_below = |level: &Deposit| {
                    proofs.iter().rev().map(|stored| stored.balance).find(|balance| *balance <= level.limit())
                };
                let kept: Vec<Balance> = levels.iter().filter_map(best_below).chain([row.balance]).collect();
                row.proofs.retain(|stored| kept.contains(&stored.balance));
            })
        }
    }

    /// A change is written over the version that it was made from.
    VersionStandsStill {
        fn observe(&self, on: &Account, facts: ChainFacts, by: Writer) -> Account {
            let mut row = Ledger.observe(on, facts, by).row().clone();
            row.version = on.version();
            on.reload(row, on.version().number).expect("any version will do")
        }
    }

    /// Whoever presents a withdrawn proof learns the newest one.
    PublicProofLearnsTheStanding {
        fn standing(&self, on: &Account, proof: &VerifiedProof) -> Option<Standing> {
            Ledger.standing(&alter(on.clone(), |row| {
                row.sent_withdrawals.clear();
                row.facts.withdrawals.clear();
            }), proof)
        }
    }
}
