//! What must hold on a channel, whatever anybody does: random steps of all parties against a naive
//! ledger of single units, and the same checker against ledgers with a planted bug each.

#[path = "../fixture/mod.rs"]
mod fixture;

mod chain;
mod check;
mod line;
mod market;
mod orders;
mod planted;
mod rules;
mod scenes;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use rules::Ledger;
use std::fmt::Debug;
use std::time::Instant;

/// So many cases, the same ones each time.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    }
}

#[test]
fn the_ledger_keeps_its_promises_whatever_happens() {
    let start = Instant::now();
    let mut config = config(10_000);
    // Others by PROPTEST_RNG_SEED.
    if let seed @ RngSeed::Fixed(_) = Config::default().rng_seed {
        config.rng_seed = seed;
    }
    let (played, result) = scenes::play(&Ledger, config);
    println!("{played:#?} in {:?}", start.elapsed());
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn play_orders(rules: &impl rules::Rules) -> Result<(), TestError<impl Debug>> {
    TestRunner::new(config(1_000)).run(&orders::two_orders(), |orders| {
        orders::check_orders(rules, &orders).map_err(TestCaseError::fail)
    })
}

#[test]
fn the_order_of_arrival_does_not_change_what_was_spent() {
    if let Err(failure) = play_orders(&Ledger) {
        panic!("{failure}");
    }
}

#[test]
fn finds_an_order_of_arrival_that_matters() {
    assert!(play_orders(&planted::CreditStaysWhenUsed).is_err());
    assert!(play_orders(&planted::BalanceFollowsTheLastProof).is_err());
}

/// Metered requests: many small ones, or a few large among them; with a window or without.
fn trade(rules: &impl rules::Rules) -> Result<(), String> {
    for (prices, window) in [(1..40_u64, u64::MAX), (1..1_000, u64::MAX), (1..100, 3_000)] {
        let luck = (prices, any::<u64>(), any::<usize>()).prop_map(|(price, cost, pick)| market::Luck {
            price,
            cost: cost % (price + 1),
            pick,
        });
        let mut runner = TestRunner::new(config(1));
        let many = vec(luck, 10_000).new_tree(&mut runner).expect("no filters");
        let start = Instant::now();
        let trade = market::trade(rules, &many.current(), window)?;
        println!("{trade:?} in {:?}", start.elapsed());
    }
    Ok(())
}

#[test]
fn metered_requests_never_jam() {
    assert_eq!(trade(&Ledger), Ok(()));
}

#[test]
fn finds_a_jam() {
    let complaint = trade(&planted::FullWindowRefusesAll).expect_err("it jams");
    assert!(complaint.starts_with("jammed"), "{complaint}");
}

/// The checker complains about these rules, and not merely because something broke.
fn must_be_found(rules: &impl rules::Rules, complaint: &str) {
    let config = Config {
        max_shrink_iters: 0,
        ..config(5_000)
    };
    let (played, result) = scenes::play(rules, config);
    match result {
        Err(TestError::Fail(reason, _)) => {
            println!("after {} cases: {:.160}", played.cases, reason.message());
            assert!(reason.message().starts_with("checker: "), "{reason}");
            assert!(reason.message().contains(complaint), "{reason}");
        }
        other => panic!("not found in {} cases: {other:?}", played.cases),
    }
}

macro_rules! planted_bugs {
    ($($test:ident: $bug:ident => $complaint:literal,)+) => {
        $(
            #[test]
            fn $test() {
                must_be_found(&planted::$bug, $complaint);
            }
        )+
    };
}

planted_bugs! {
    finds_a_unit_sold_twice_on_replay: ReplaySellsAgain => "AlreadySpent",
    finds_a_price_compared_with_greater_or_equal: OverpaymentSells => "InvalidAmount",
    finds_a_balance_lowered_by_a_proof_out_of_order: BalanceFollowsTheLastProof => "balance went down",
    finds_credit_that_stays_when_used: CreditStaysWhenUsed => "spent is",
    finds_a_proof_stored_for_another_balance: ProofOfAnotherBalance => "another signature",
    finds_lower_proofs_forgotten: LowerProofsForgotten => "best proof",
    finds_a_sale_while_challenged: SellsWhileChallenged => "Challenged",
    finds_a_sale_after_a_promise: SellsAfterAPromise => "ClosePromised",
    finds_a_sale_above_the_confirmed_deposit: SellsAboveTheConfirmedDeposit => "TopUpUnconfirmed",
    finds_a_sale_while_impaired: SellsWhileImpaired => "Impaired",
    finds_a_public_proof_that_buys: PublicProofBuys => "AlreadySpent",
    finds_the_old_form_using_any_credit: OldFormUsesAnyCredit => "DecreasingBalance",
    finds_a_window_ignored: WindowIgnored => "WindowExceeded",
    finds_a_release_that_acts_twice: ReleaseActsTwice => "released again",
    finds_a_top_unit_not_released: TopUnitNotReleased => "spent is",
    finds_one_unit_too_many_released: OneUnitTooManyReleased => "spent is",
    finds_the_highest_units_released: HighestUnitsReleased => "unspent",
    finds_an_unused_part_kept: UnusedPartKept => "spent is",
    finds_a_fold_without_refund: FoldedWithoutRefund => "spent is",
    finds_a_fold_left_out: NeverFolded => "unspent",
    finds_spends_open_after_a_crash: CrashKeepsSpendsOpen => "in flight",
    finds_a_promise_overwritten: PromiseOverwritten => "OtherPromise",
    finds_a_close_below_spent: CloseBelowSpent => "WrongBalance",
    finds_a_promise_not_committed: PromiseNotCommitted => "promised None",
    finds_a_close_forgotten_by_a_dispute: DisputeForgetsTheClose => "promised None",
    finds_a_close_after_a_dispute: CloseAfterDispute => "OtherPromise",
    finds_a_dispute_above_the_deposit: DisputeAboveTheDeposit => "dispute",
    finds_a_dispute_that_waits_for_a_lost_withdrawal: DisputeWaitsForALostWithdrawal => "NothingToClaim",
    finds_a_withdrawal_above_a_promise: WithdrawsAboveAPromise => "NothingToClaim",
    finds_a_promise_dropped_by_a_rewind: RewindDropsThePromise => "not Some",
    finds_a_balance_dropped_by_a_rewind: RewindDropsTheBalance => "balance went down",
    finds_proofs_thrown_away_with_a_shrunk_deposit: ShrunkDepositForgetsProofs => "best proof",
    finds_a_version_that_stands_still: VersionStandsStill => "version",
    finds_a_standing_told_for_a_public_proof: PublicProofLearnsTheStanding => "is told",
}
