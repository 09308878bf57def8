//! Random sequences of what the ledger does, in random batches.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{Channel, batch, rows, wait};
use microraiden_protocol::ledger::Transition;
use microraiden_protocol::{Amount, Balance, BlockNumber, ChainFacts, Deposit, Phase};
use microraiden_store::ChannelStore;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;

/// Something that happens to a channel; the ledger may refuse it.
#[derive(Debug, Clone)]
enum Step {
    /// Pay the price with a proof that much above the balance, or else at the highest unspent unit.
    Pay {
        above: u64,
        price: u64,
    },
    Release {
        spend: usize,
    },
    SpendPartly {
        spend: usize,
        cost: u64,
    },
    CloseAt {
        below: u64,
        signed: bool,
    },
    Dispute,
    Withdraw,
    Observe(ChainFacts),
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![0..50u64, any::<u64>()]
}

fn facts() -> impl Strategy<Value = ChainFacts> {
    let phase = prop_oneof![
        6 => Just(Phase::Open),
        1 => Just(Phase::Pending),
        1 => (0..1000u64, amount()).prop_map(|(block, balance)| Phase::Challenged {
            requested_at: BlockNumber(block),
            settle_block: BlockNumber(block + 500),
            closing_balance: balance.into(),
        }),
        1 => (0..1000u64).prop_map(|block| Phase::Settled { at: BlockNumber(block) }),
    ];
    let levels = prop::collection::btree_set(amount(), 0..4);
    let withdrawals = prop::collection::btree_set(amount(), 0..2);
    let deposit = prop_oneof![Just(Deposit::MAX), amount().prop_map(Deposit::from)];
    (phase, deposit, levels, withdrawals).prop_map(|(phase, deposit, levels, withdrawals)| ChainFacts {
        phase,
        deposit,
        unconfirmed_deposit: Deposit::MAX,
        lower_deposits: levels.into_iter().map(Deposit::from).collect(),
        withdrawals: withdrawals.into_iter().map(Balance::from).collect(),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..20u64, 1..10u64).prop_map(|(above, price)| Step::Pay { above, price }),
        4 => any::<usize>().prop_map(|spend| Step::Release { spend }),
        4 => (any::<usize>(), 0..10u64).prop_map(|(spend, cost)| Step::SpendPartly { spend, cost }),
        1 => (0..10u64, any::<bool>()).prop_map(|(below, signed)| Step::CloseAt { below, signed }),
        1 => Just(Step::Dispute),
        1 => Just(Step::Withdraw),
        3 => facts().prop_map(Step::Observe),
    ]
}

fn take_step(channel: &mut Channel, step: &Step) -> Option<Transition> {
    let by = channel.writer();
    let account = channel.account().clone();
    let chosen = |spend: usize| spend.checked_rem(channel.spends.len());
    let transition = match step {
        Step::Pay { above: 0, price } => return channel.try_pay(account.row().unspent.highest()?, *price),
        Step::Pay { above, price } => {
            return channel.try_pay(account.balance().checked_add(Amount::from(*above))?, *price);
        }
        Step::Release { spend } => account.release(&channel.spends[chosen(*spend)?], by).ok()?,
        Step::SpendPartly { spend, cost } => account
            .spend_partly(&channel.spends[chosen(*spend)?], (*cost).into(), by)
            .ok()?,
        Step::CloseAt { below, signed } => {
            let at = account.balance().checked_sub(Amount::from(*below))?;
            let signature = signed.then(|| channel.sign(at));
            account.close_at(at, signature, by).ok()?.transition?
        }
        Step::Dispute => account.dispute(by).ok()?.transition?,
        Step::Withdraw => account.withdraw(by).ok()?.transition?,
        Step::Observe(facts) => account.observe(facts.clone(), by),
    };
    Some(channel.take(transition))
}

pub(super) fn keeps_random_histories(store: &dyn ChannelStore) {
    let history = prop::collection::vec((0..3usize, step(), any::<bool>()), 1..150);
    let cases = ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // One store for all cases, so each case has channels of its own.
    let number = Cell::new(0);
    let run = |history: Vec<(usize, Step, bool)>| {
        let mut channels = [1, 2, 3].map(|index| Channel::new(number.get() + index));
        number.set(number.get() + 3);
        let mut next = batch(channels.each_mut().map(|channel| channel.open(Deposit::MAX)));
        let mut tickets = Vec::new();
        for (index, step, ends_batch) in history {
            next.transitions.extend(take_step(&mut channels[index], &step));
            if ends_batch {
                tickets.push(store.commit(std::mem::take(&mut next)).unwrap());
            }
        }
        tickets.push(store.commit(next).unwrap());
        for ticket in tickets {
            wait(ticket).unwrap();
        }
        let stored = rows(store);
        for channel in &channels {
            prop_assert_eq!(&stored[&channel.id()], channel.account().row());
        }
        Ok(())
    };
    TestRunner::new(cases).run(&history, run).unwrap();
}
