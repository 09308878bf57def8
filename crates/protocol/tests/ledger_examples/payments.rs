//! What is sold, for which proof and payment, and what is given back.

use crate::fixture::{open_facts, proof, sign, writer};
use crate::shop::{OLD, Shop};
use microraiden_protocol::ledger::{Account, Limits, Payment, Refusal, ReleaseError, Spend};
use microraiden_protocol::{BlockNumber, ChainFacts, Deposit, Phase, Price};

/// Requests one after another: proof, stated payment, price; what becomes of it; the state then.
type Step = (u64, Option<u64>, u64, Result<(), Refusal>, &'static str);

fn check(shop: &mut Shop, steps: &[Step]) {
    for (number, (top, stated, price, expected, state)) in steps.iter().enumerate() {
        let outcome = shop.sell(*top, *stated, *price).map(|_| ());
        assert_eq!((outcome, &*shop.state()), (*expected, *state), "step {number}");
    }
}

#[test]
fn the_increment_is_the_price() {
    check(
        &mut Shop::with(100),
        &[
            (5, OLD, 5, Ok(()), "5; ; 0; 5"),
            (10, OLD, 5, Ok(()), "10; ; 0; 10"),
            (14, OLD, 5, Err(Refusal::InvalidAmount), "10; ; 0; 10"),
            (16, OLD, 5, Err(Refusal::InvalidAmount), "10; ; 0; 10"),
        ],
    );
}

#[test]
fn a_replay_is_never_served() {
    check(
        &mut Shop::with(100),
        &[
            (5, Some(5), 5, Ok(()), "5; ; 0; 5"),
            (5, Some(5), 5, Err(Refusal::AlreadySpent), "5; ; 0; 5"),
            (3, Some(1), 1, Err(Refusal::AlreadySpent), "5; ; 0; 5"),
            (0, Some(1), 1, Err(Refusal::AlreadySpent), "5; ; 0; 5"),
            (5, OLD, 5, Err(Refusal::BalanceQuery), "5; ; 0; 5"),
        ],
    );
}

#[test]
fn requests_arrive_in_any_order() {
    check(
        &mut Shop::with(100),
        &[
            (15, Some(5), 5, Ok(()), "15; 1-10; 0; 5"),
            (5, Some(5), 5, Ok(()), "15; 6-10; 0; 10"),
            (10, Some(5), 5, Ok(()), "15; ; 0; 15"),
        ],
    );
}

#[test]
fn content_that_failed_is_not_charged() {
    for stated in [Some(5), OLD] {
        let mut shop = Shop::with(100);
        shop.pay(5, 5);
        let failed = shop.sell(10, stated, 5).unwrap();
        assert_eq!(shop.release(&failed), Ok(()));
        assert_eq!(shop.state(), "10; 6-10; 0; 5");
        assert_eq!(
            shop.release(&failed),
            Err(ReleaseError::NotOpen),
            "a release acts once"
        );
        check(&mut shop, &[(10, stated, 5, Ok(()), "10; ; 0; 10")]);
    }
}

#[test]
fn the_unused_part_of_a_metered_payment_is_used_up_by_raising_less() {
    let mut shop = Shop::with(100);
    let metered = shop.pay(10, 10);
    assert_eq!(shop.charge(&metered, 11), Err(ReleaseError::CostAbovePayment));
    assert_eq!(shop.charge(&metered, 4), Ok(()));
    assert_eq!(shop.charge(&metered, 4), Err(ReleaseError::NotOpen));
    check(
        &mut shop,
        &[
            (10, Some(3), 3, Err(Refusal::AlreadySpent), "10; 1-6; 0; 4"),
            (11, Some(5), 5, Ok(()), "11; 1-2; 0; 9"),
            (12, Some(4), 4, Err(Refusal::NotCovered), "11; 1-2; 0; 9"),
            (12, Some(3), 3, Ok(()), "12; ; 0; 12"),
        ],
    );
}

#[test]
fn a_metered_answer_that_cost_nothing_releases_all() {
    let mut shop = Shop::with(100);
    let metered = shop.pay(10, 10);
    shop.charge(&metered, 0).unwrap();
    assert_eq!(shop.state(), "10; 1-10; 0; 0");
    shop.pay(10, 10);
}

#[test]
fn the_form_of_2018_below_the_balance() {
    let mut shop = Shop::with(100);
    shop.pay(5, 5);
    let failed = shop.pay(10, 5);
    shop.pay(15, 5);
    shop.release(&failed).unwrap();
    check(
        &mut shop,
        &[
            (15, OLD, 5, Err(Refusal::BalanceQuery), "15; 6-10; 0; 10"),
            (10, Some(0), 5, Err(Refusal::BalanceQuery), "15; 6-10; 0; 10"),
            (5, OLD, 5, Err(Refusal::DecreasingBalance), "15; 6-10; 0; 10"),
            // The price has changed: six units that end at 10 are not all unspent.
            (10, OLD, 6, Err(Refusal::DecreasingBalance), "15; 6-10; 0; 10"),
            (10, OLD, 5, Ok(()), "15; ; 0; 15"),
            (10, OLD, 5, Err(Refusal::DecreasingBalance), "15; ; 0; 15"),
            (20, OLD, 5, Ok(()), "20; ; 0; 20"),
        ],
    );
}

#[test]
fn the_largest_amounts_do_not_wrap() {
    let mut shop = Shop::with(0);
    shop.observe(ChainFacts {
        deposit: Deposit::MAX,
        unconfirmed_deposit: Deposit::MAX,
        ..open_facts(0)
    });
    let everything = Deposit::MAX.limit();
    let payment = Payment::Stated(Price::MAX.into());
    let (transition, spend) = shop
        .account
        .accept(&sign(everything), payment, Price::MAX, shop.limits, writer(1))
        .unwrap();
    shop.account = transition.into_after();
    assert_eq!(shop.account.spent(), everything);
    shop.release(&spend).unwrap();
    assert_eq!(shop.account.row().unspent.to_string(), format!("1-{everything}"));
}

#[test]
fn refusals_come_in_the_order_of_the_list() {
    // Each step takes away what was refused for; at last the payment is accepted. Nothing on the
    // way is told before the signature: `screen` says the same without a proof.
    let mut shop = Shop::with(20);
    shop.pay(10, 10);
    let failed = shop.pay(20, 10);
    shop.release(&failed).unwrap();
    let settled = Phase::Settled { at: BlockNumber(9) };
    let challenged = Phase::Challenged {
        requested_at: BlockNumber(1),
        settle_block: BlockNumber(501),
        closing_balance: 3.into(),
    };
    let facts = |phase, deposit: u64, unconfirmed: u64| ChainFacts {
        phase,
        deposit: deposit.into(),
        unconfirmed_deposit: unconfirmed.into(),
        ..ChainFacts::default()
    };
    let before_signature = [
        (facts(Phase::Pending, 5, 5), Refusal::Unconfirmed),
        (facts(challenged, 5, 5), Refusal::Challenged),
        (facts(settled, 5, 5), Refusal::Settled),
        (facts(Phase::Open, 5, 5), Refusal::Impaired),
        (facts(Phase::Open, 20, 30), Refusal::TopUpUnconfirmed),
        (facts(Phase::Open, 20, 29), Refusal::AboveDeposit),
    ];
    let mut promised = Shop {
        account: shop.account.clone(),
        ..shop
    };
    promised.close_at(15).unwrap();
    for (facts, refusal) in before_signature {
        shop.observe(facts.clone());
        promised.observe(facts);
        for stated in [OLD, Some(0), Some(7), Some(10)] {
            assert_eq!(shop.sell(30, stated, 10), Err(refusal));
            assert_eq!(promised.sell(30, stated, 10), Err(Refusal::ClosePromised));
        }
        assert_eq!(shop.account.screen(30.into()), Err(refusal));
        assert!(!refusal.is_after_signature());
    }
    shop.observe(open_facts(100));
    shop.limits.window = 15.into();
    let state = "20; 11-20; 0; 10";
    check(
        &mut shop,
        &[
            (10, Some(0), 7, Err(Refusal::BalanceQuery), state),
            (9, OLD, 7, Err(Refusal::DecreasingBalance), state),
            (10, Some(8), 7, Err(Refusal::AlreadySpent), state),
            (15, Some(8), 7, Err(Refusal::InvalidAmount), state),
            (15, Some(7), 7, Err(Refusal::NotCovered), state),
            (33, Some(7), 7, Err(Refusal::WindowExceeded), state),
            (32, Some(7), 7, Ok(()), "32; 11-25; 0; 17"),
        ],
    );
}

#[test]
fn the_window_limits_only_what_new_proofs_skip() {
    let mut shop = Shop::with(1_000);
    let metered = shop.pay(100, 100);
    shop.charge(&metered, 1).unwrap();
    shop.limits.window = 50.into();
    check(
        &mut shop,
        &[
            (102, Some(1), 1, Err(Refusal::WindowExceeded), "100; 1-99; 0; 1"),
            (101, Some(1), 1, Ok(()), "101; 1-99; 0; 2"),
            (102, Some(60), 60, Ok(()), "102; 1-40; 0; 62"),
            (113, Some(1), 1, Ok(()), "113; 1-40,103-112; 0; 63"),
            (
                115,
                Some(1),
                1,
                Err(Refusal::WindowExceeded),
                "113; 1-40,103-112; 0; 63",
            ),
            (107, Some(2), 2, Ok(()), "113; 1-40,103-105,108-112; 0; 65"),
        ],
    );
}

#[test]
fn at_most_64_intervals_and_the_lowest_are_folded_above_32() {
    let mut shop = Shop::with(1_000);
    let mut spends: Vec<Spend> = (1..=64).map(|request| shop.pay(3 * request, 1)).collect();
    let intervals = |shop: &Shop| shop.account.row().unspent.intervals().len();
    assert_eq!(intervals(&shop), 64);
    assert_eq!(shop.sell(195, Some(1), 1), Err(Refusal::WindowExceeded));
    // What skips nothing is not refused, and uses the highest gap up.
    shop.pay(193, 3);
    assert_eq!((intervals(&shop), shop.account.spent()), (63, 67.into()));
    // A gap that is paid for is split: above 32 intervals, the lowest become refund.
    shop.pay(187, 1);
    assert_eq!(intervals(&shop), 32);
    let refund = shop.account.row().refund;
    assert_eq!((refund, shop.account.spent()), (62.into(), 68.into()));
    // A release never fails, also where its gaps were folded: what is unspent by it is lowest.
    let lowest = spends.remove(0);
    shop.release(&lowest).unwrap();
    assert_eq!(intervals(&shop), 32);
    assert_eq!(
        (shop.account.row().refund, shop.account.spent()),
        (63.into(), 67.into())
    );
    // What was folded buys nothing any more.
    assert_eq!(shop.sell(3, Some(1), 1), Err(Refusal::AlreadySpent));
    assert_eq!(shop.close_at(67), Ok(67));
}

#[test]
fn a_crash_leaves_what_was_in_flight_spent() {
    let mut shop = Shop::with(100);
    let lost = shop.pay(5, 5);
    shop.account = Account::from_row(shop.account.row().clone()).unwrap();
    assert_eq!(shop.release(&lost), Err(ReleaseError::NotOpen));
    check(
        &mut shop,
        &[(5, Some(5), 5, Err(Refusal::AlreadySpent), "5; ; 0; 5")],
    );
}

#[test]
fn another_instance_writes_in_between() {
    let mut here = Shop::with(100);
    let in_flight = here.pay(5, 5);
    let mut there = Shop {
        account: Account::from_row(here.account.row().clone()).unwrap(),
        sequence: 1_000,
        limits: Limits::default(),
    };
    there.pay(10, 5);
    // Decided here on the old state, never committed; and decided again on the new one.
    let payment = Payment::Stated(7.into());
    let (_, dropped) = here
        .account
        .accept(&proof(12), payment, 7.into(), here.limits, writer(2))
        .unwrap();
    let durable = here.account.version().number;
    here.account = here.account.reload(there.account.row().clone(), durable).unwrap();
    let again = here.pay(17, 7);
    assert_eq!(here.release(&dropped), Err(ReleaseError::NotOpen));
    assert_eq!(here.release(&in_flight), Ok(()));
    assert_eq!(here.release(&again), Ok(()));
    assert_eq!(here.state(), "17; 1-5,11-17; 0; 5");
    // A store that has lost this state has lost what was in flight on it.
    let older = there.account.row().clone();
    let open = here.pay(17, 7);
    let durable = here.account.version().number;
    let lost = here.account.reload(older.clone(), durable).unwrap();
    assert_eq!(
        Shop {
            account: lost,
            ..here
        }
        .release(&open),
        Err(ReleaseError::NotOpen)
    );
}

#[test]
fn a_release_that_was_never_stored_can_be_decided_again() {
    let mut here = Shop::with(100);
    let spend = here.pay(5, 5);
    let stored = here.account.row().clone();
    let durable = here.account.version().number;
    assert_eq!(here.release(&spend), Ok(()));
    // Another instance was faster: the release is no part of what is stored.
    let mut there = Shop {
        account: Account::from_row(stored).unwrap(),
        sequence: 1_000,
        limits: Limits::default(),
    };
    there.pay(10, 5);
    here.account = here.account.reload(there.account.row().clone(), durable).unwrap();
    assert_eq!(here.release(&spend), Err(ReleaseError::NotOpen));
    here.account.reopen(&spend);
    here.account.reopen(&spend);
    assert_eq!(here.release(&spend), Ok(()));
    assert_eq!(here.state(), "10; 1-5; 0; 5");
    assert_eq!(here.release(&spend), Err(ReleaseError::NotOpen), "once");
}

#[test]
fn an_uncommitted_acceptance_cannot_be_released_under_the_name_of_another() {
    let mut shop = Shop::with(100);
    let payment = Payment::Stated(5.into());
    let (_, dropped) = shop
        .account
        .accept(&proof(5), payment, 5.into(), shop.limits, writer(77))
        .unwrap();
    let sold = shop.pay(8, 8);
    assert_eq!(dropped.number(), sold.number());
    assert_eq!(shop.release(&dropped), Err(ReleaseError::NotOpen));
    assert_eq!(shop.release(&sold), Ok(()));
}

#[test]
fn a_transition_tells_whether_the_line_alone_has_changed() {
    let mut account = crate::fixture::new_account(open_facts(1_000));
    let mut sequence = 0;
    let mut pay = |account: &Account, top: u64| {
        sequence += 1;
        let (paid, limits) = (Payment::Stated(1.into()), Limits::default());
        let sold = account.accept(&proof(top), paid, 1.into(), limits, writer(sequence));
        sold.unwrap().0
    };
    // A gap below each: released or taken from, the lowest become refund when there are too many.
    for top in (2..=80).step_by(2) {
        let paid = pay(&account, top);
        assert!(paid.is_line_only(), "{top}");
        account = paid.into_after();
    }
    let folded = pay(&account, 79);
    assert!(!folded.after().row().refund.is_zero() && !folded.is_line_only());
    let same = account.observe(account.facts().clone(), writer(97));
    assert!(same.is_line_only());
    assert!(!account.observe(open_facts(1_001), writer(98)).is_line_only());
    let close = account.close_at(account.balance(), None, writer(99)).unwrap();
    assert!(!close.transition.unwrap().is_line_only());
    assert!(!Account::open(*account.channel(), open_facts(1), writer(1)).is_line_only());
}
