//! Promises, disputes and withdrawals, and a chain that goes back.

use crate::fixture::{open_facts, proof, writer};
use crate::shop::{OLD, Shop};
use microraiden_protocol::ledger::{Claim, CloseRefusal, Closing, Promise, Refusal, StoredProof};
use microraiden_protocol::{BalanceProof, BlockNumber, ChainFacts, Phase};

/// Deposit, lower levels that it may fall back to, and what was withdrawn.
fn facts(deposit: u64, lower: &[u64], withdrawals: &[u64]) -> ChainFacts {
    ChainFacts {
        lower_deposits: lower.iter().map(|level| (*level).into()).collect(),
        withdrawals: withdrawals.iter().map(|balance| (*balance).into()).collect(),
        ..open_facts(deposit)
    }
}

fn challenged(deposit: u64, closing_balance: u64) -> ChainFacts {
    ChainFacts {
        phase: Phase::Challenged {
            requested_at: BlockNumber(20),
            settle_block: BlockNumber(520),
            closing_balance: closing_balance.into(),
        },
        ..open_facts(deposit)
    }
}

fn in_phase(phase: Phase) -> ChainFacts {
    ChainFacts {
        phase,
        ..open_facts(100)
    }
}

/// Balance 20, of which 15 is spent and 6–10 is credit.
fn shop_with_credit() -> Shop {
    let mut shop = Shop::with(100);
    shop.pay(5, 5);
    let failed = shop.pay(10, 5);
    shop.pay(20, 10);
    shop.release(&failed).expect("it is in flight");
    shop
}

#[test]
fn a_close_may_be_promised_from_spent_to_balance() {
    for (at, expected) in [
        (14, Err(CloseRefusal::WrongBalance)),
        (15, Ok(15)),
        (17, Ok(17)),
        (20, Ok(20)),
        (21, Err(CloseRefusal::WrongBalance)),
    ] {
        assert_eq!(shop_with_credit().close_at(at), expected, "{at}");
    }
    // Not below what was withdrawn, on chain or by a transaction that was sent.
    let mut shop = shop_with_credit();
    shop.observe(facts(100, &[], &[17]));
    assert_eq!(shop.close_at(16), Err(CloseRefusal::WrongBalance));
    assert_eq!(shop.withdraw(), Ok(20));
    assert_eq!(shop.close_at(19), Err(CloseRefusal::WrongBalance));
    assert_eq!(shop.close_at(20), Ok(20));
}

#[test]
fn a_promise_is_given_once_and_nothing_is_sold_after_it() {
    let mut shop = shop_with_credit();
    assert_eq!(shop.close_at(15), Ok(15));
    assert_eq!(shop.sell(25, Some(5), 5), Err(Refusal::ClosePromised));
    assert_eq!(shop.sell(10, OLD, 5), Err(Refusal::ClosePromised));
    let version = shop.account.version();
    assert_eq!(shop.close_at(15), Ok(15), "the same again");
    assert_eq!(shop.account.version(), version, "and nothing to commit");
    assert_eq!(shop.close_at(16), Err(CloseRefusal::OtherPromise));
    // Whatever the chain does afterwards.
    for phase in [
        Phase::Pending,
        Phase::Settled { at: BlockNumber(30) },
        Phase::Open,
    ] {
        shop.observe(in_phase(phase));
        assert_eq!(shop.sell(25, Some(5), 5), Err(Refusal::ClosePromised));
        assert_eq!(shop.close_at(15), Ok(15));
        assert_eq!(shop.close_at(20), Err(CloseRefusal::OtherPromise));
    }
}

#[test]
fn a_close_keeps_the_senders_signature() {
    let by = writer(1);
    let signed = |claim: &Claim| claim.sender_signature;
    let at_15 = Some(proof(15).signature());
    // Given with the request; or only when it is repeated; and never undone.
    let mut shop = shop_with_credit();
    let claim = shop.account.close_at(15.into(), at_15, by);
    assert_eq!(claim.as_ref().map(signed), Ok(at_15));
    let claim = shop.account.close_at(15.into(), None, by);
    assert_eq!(claim.as_ref().map(signed), Ok(None));
    shop.take(claim).unwrap();
    let claim = shop.account.close_at(15.into(), at_15, by);
    assert_eq!(claim.as_ref().map(signed), Ok(at_15));
    shop.take(claim).unwrap();
    assert_eq!(shop.close_at(15), Ok(15));
    let closing = Closing {
        at: 15.into(),
        sender_signature: at_15,
    };
    assert_eq!(shop.account.promise(), Some(&Promise::Closing(closing)));
    // At a stored balance there is one anyway.
    let claim = shop_with_credit().account.close_at(20.into(), None, by);
    assert_eq!(claim.as_ref().map(signed), Ok(Some(proof(20).signature())));
}

#[test]
fn a_dispute_follows_a_close_and_never_precedes_one() {
    let mut shop = shop_with_credit();
    shop.close_at(15).unwrap();
    shop.observe(challenged(100, 3));
    assert_eq!(shop.dispute(), Ok(20));
    assert_eq!(shop.dispute(), Ok(20), "the same again");
    assert_eq!(shop.close_at(15), Ok(15));
    assert_eq!(shop.account.promise().and_then(Promise::dispute), Some(20.into()));
    assert_eq!(
        shop.account
            .promise()
            .and_then(Promise::closing)
            .map(|closing| closing.at),
        Some(15.into())
    );

    let mut shop = shop_with_credit();
    assert_eq!(shop.dispute(), Ok(20));
    for at in [15, 20] {
        assert_eq!(shop.close_at(at), Err(CloseRefusal::OtherPromise));
    }
    assert_eq!(shop.sell(25, Some(5), 5), Err(Refusal::ClosePromised));
}

#[test]
fn a_release_after_a_promise_leaves_the_promise() {
    let mut shop = Shop::with(100);
    let in_flight = shop.pay(10, 10);
    assert_eq!(
        shop.close_at(9),
        Err(CloseRefusal::WrongBalance),
        "in flight is spent"
    );
    shop.close_at(10).unwrap();
    shop.release(&in_flight).unwrap();
    assert_eq!(shop.state(), "10; 1-10; 0; 0");
    assert_eq!(shop.close_at(10), Ok(10));
    assert_eq!(shop.close_at(0), Err(CloseRefusal::OtherPromise));
}

#[test]
fn nothing_is_signed_before_the_channel_is_confirmed_or_after_it_is_settled() {
    for (phase, refusal) in [
        (Phase::Pending, CloseRefusal::Unconfirmed),
        (Phase::Settled { at: BlockNumber(30) }, CloseRefusal::Settled),
    ] {
        let mut shop = shop_with_credit();
        shop.observe(in_phase(phase));
        assert_eq!(shop.close_at(20), Err(refusal));
        assert_eq!(shop.dispute(), Err(refusal));
        assert_eq!(shop.withdraw(), Err(refusal));
    }
    assert_eq!(Shop::with(100).dispute(), Err(CloseRefusal::NothingToClaim));
    assert_eq!(Shop::with(100).close_at(0), Ok(0), "never used");
}

#[test]
fn a_close_on_chain_is_stale_below_spent_and_below_what_was_withdrawn() {
    let mut shop = shop_with_credit();
    let stale = |shop: &Shop, at: u64| shop.account.is_stale_close(at.into());
    assert!(stale(&shop, 14) && !stale(&shop, 15));
    shop.observe(facts(100, &[], &[17]));
    assert!(stale(&shop, 16) && !stale(&shop, 17));
    // A withdrawal that was sent and overtaken by the close takes no credit from the sender.
    shop.withdraw().unwrap();
    assert!(!stale(&shop, 17));
}

#[test]
fn a_withdrawal_takes_the_best_proof_and_makes_it_public() {
    let mut shop = shop_with_credit();
    assert!(shop.account.standing(&proof(20)).is_some());
    assert_eq!(shop.withdraw(), Ok(20));
    let version = shop.account.version();
    assert_eq!(shop.withdraw(), Ok(20), "sent again");
    assert_eq!(shop.account.version(), version);
    assert_eq!(shop.account.standing(&proof(20)), None);
    assert!(
        shop.account.standing(&proof(19)).is_some(),
        "the sender alone has this one"
    );
    // Mined, vanished, mined: it stays public, and is not taken twice.
    shop.observe(facts(100, &[], &[20]));
    assert_eq!(shop.withdraw(), Err(CloseRefusal::NothingToClaim));
    shop.observe(facts(100, &[], &[]));
    assert_eq!(shop.account.standing(&proof(20)), None);
    assert_eq!(shop.withdraw(), Ok(20));
    shop.pay(30, 10);
    assert_eq!(shop.withdraw(), Ok(30));
    assert_eq!(shop.account.standing(&proof(20)), None);
    shop.observe(challenged(100, 30));
    assert_eq!(
        shop.withdraw(),
        Err(CloseRefusal::NothingToClaim),
        "the contract refuses"
    );
}

#[test]
fn a_withdrawal_never_goes_above_a_promise() {
    let mut shop = shop_with_credit();
    shop.close_at(15).unwrap();
    assert_eq!(shop.withdraw(), Err(CloseRefusal::NothingToClaim));
    let mut shop = shop_with_credit();
    shop.close_at(20).unwrap();
    assert_eq!(shop.withdraw(), Ok(20));
}

#[test]
fn a_public_proof_buys_nothing() {
    // In flight while it is withdrawn, then released: the credit is the sender's alone.
    let mut shop = Shop::with(100);
    let in_flight = shop.pay(10, 10);
    assert_eq!(shop.withdraw(), Ok(10));
    shop.release(&in_flight).unwrap();
    assert_eq!(shop.sell(10, Some(10), 10), Err(Refusal::AlreadySpent));
    assert_eq!(shop.sell(10, OLD, 10), Err(Refusal::BalanceQuery));
    assert_eq!(shop.account.standing(&proof(10)), None);
    shop.pay(11, 11);
    assert_eq!(shop.state(), "11; ; 0; 11");
}

#[test]
fn a_proof_that_disputes_is_public() {
    let mut shop = shop_with_credit();
    shop.dispute().unwrap();
    assert_eq!(shop.account.standing(&proof(20)), None);
}

#[test]
fn lower_deposits_keep_their_best_proofs_until_they_are_final() {
    let mut shop = Shop::with(10);
    shop.pay(4, 4);
    shop.pay(8, 4);
    assert_eq!(shop.proofs(), [8], "nothing lower may come back");
    shop.observe(facts(30, &[10, 20], &[]));
    shop.pay(18, 10);
    shop.pay(28, 10);
    assert_eq!(shop.proofs(), [8, 18, 28]);
    // Late arrivals may be better for a level; others are not kept.
    let skipped = shop.pay(30, 1);
    assert_eq!(shop.state(), "30; 29-29; 0; 29");
    shop.release(&skipped).unwrap();
    shop.pay(29, 1);
    assert_eq!(shop.proofs(), [8, 18, 30]);
    shop.observe(facts(30, &[20], &[]));
    assert_eq!(shop.proofs(), [18, 30]);
    shop.observe(facts(30, &[], &[]));
    assert_eq!(shop.proofs(), [30]);
}

#[test]
fn a_late_proof_may_be_the_best_for_a_lower_deposit() {
    let mut shop = Shop::with(10);
    shop.observe(facts(30, &[10, 20], &[]));
    shop.pay(5, 5);
    shop.pay(25, 5);
    assert_eq!(shop.proofs(), [5, 25]);
    shop.pay(17, 5);
    assert_eq!(shop.proofs(), [5, 17, 25]);
    shop.pay(10, 5);
    assert_eq!(shop.proofs(), [10, 17, 25]);
}

#[test]
fn an_impaired_account_sells_nothing_and_claims_what_the_deposit_covers() {
    let mut shop = Shop::with(10);
    shop.pay(8, 8);
    shop.observe(facts(20, &[10], &[]));
    shop.pay(18, 10);
    assert_eq!(shop.withdraw(), Ok(18));
    // The top-up vanishes, and with it the withdrawal: 18 can never be mined now.
    shop.observe(facts(10, &[], &[]));
    assert!(shop.account.is_impaired());
    assert_eq!(shop.sell(9, Some(1), 1), Err(Refusal::Impaired));
    assert_eq!(shop.proofs(), [8, 18], "no proof is thrown away now");
    // The whole channel vanishes and comes back: still the same account.
    shop.observe(ChainFacts::default());
    assert_eq!(shop.sell(19, Some(1), 1), Err(Refusal::Unconfirmed));
    assert_eq!(shop.proofs(), [8, 18]);
    shop.observe(facts(10, &[], &[]));
    let mut disputing = Shop {
        account: shop.account.clone(),
        ..shop
    };
    assert_eq!(disputing.dispute(), Ok(8));
    // The top-up comes back: business as before. But what was promised stays.
    for shop in [&mut shop, &mut disputing] {
        shop.observe(facts(20, &[], &[]));
        assert!(!shop.account.is_impaired());
    }
    assert_eq!(shop.proofs(), [18]);
    shop.pay(19, 1);
    assert_eq!(disputing.dispute(), Ok(8));
    assert_eq!(disputing.withdraw(), Err(CloseRefusal::NothingToClaim));
}

#[test]
fn an_old_backup_that_has_less_than_was_withdrawn_is_impaired() {
    let mut shop = shop_with_credit();
    shop.observe(facts(100, &[], &[21]));
    assert!(shop.account.is_impaired());
    assert_eq!(shop.sell(30, Some(10), 10), Err(Refusal::Impaired));
    assert_eq!(shop.close_at(20), Err(CloseRefusal::WrongBalance));
    assert_eq!(shop.dispute(), Err(CloseRefusal::NothingToClaim));
    shop.observe(facts(100, &[], &[20]));
    shop.pay(30, 10);
}

#[test]
fn selling_resumes_when_a_close_vanishes_and_nothing_was_signed() {
    let mut shop = shop_with_credit();
    for gone in [
        challenged(100, 3),
        in_phase(Phase::Settled { at: BlockNumber(30) }),
    ] {
        shop.observe(gone);
        assert!(shop.sell(25, Some(5), 5).is_err());
        shop.observe(open_facts(100));
    }
    shop.pay(25, 5);
}

#[test]
fn a_stored_proof_is_recognised_by_its_bytes() {
    let shop = shop_with_credit();
    let stored = StoredProof {
        balance: 20.into(),
        signature: proof(20).signature(),
    };
    assert_eq!(shop.account.row().proofs, [stored]);
    let presented = BalanceProof {
        channel: *shop.account.channel(),
        balance: 20.into(),
        signature: proof(20).signature(),
    };
    assert_eq!(shop.account.recognise(&presented), Some(proof(20)));
    let mut elsewhere = presented;
    elsewhere.channel.open_block += 1;
    let other_balance = BalanceProof {
        balance: 21.into(),
        ..presented
    };
    let other_signature = BalanceProof {
        signature: proof(21).signature(),
        ..presented
    };
    for other in [elsewhere, other_balance, other_signature] {
        assert_eq!(shop.account.recognise(&other), None);
    }
}
