//! Random sequences of steps, in a few temperaments, and how they are played.

use crate::rules::Rules;
use crate::world::{Complaint, World};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A step of somebody. Numbers named `pick` choose among what there is.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// The sender signs the next request, paying part of the price from its credit.
    Sign {
        price: u64,
        raise: u64,
    },
    /// A signed request arrives, in any order; in the form of 2018 or not.
    Deliver {
        pick: usize,
        old_form: bool,
    },
    /// A request arrives again.
    Replay {
        pick: usize,
        old_form: bool,
    },
    /// Any proof around the balance; nothing stated means the form of 2018.
    Wild {
        top: u64,
        stated: Option<u64>,
        price: u64,
    },
    /// A decision that is never committed.
    Abandon {
        top: u64,
        price: u64,
    },
    /// Another instance sells to the same sender.
    Elsewhere {
        top: u64,
        price: u64,
    },
    /// A request in flight has ended.
    Charge {
        pick: usize,
    },
    Release {
        pick: usize,
    },
    SpendPartly {
        pick: usize,
        cost: u64,
    },
    /// A spend that was settled, lost or never committed is released.
    ReleaseAgain {
        pick: usize,
        cost: Option<u64>,
    },
    CloseAt {
        credit_left: u64,
        signed: bool,
    },
    Dispute,
    Withdraw,
    /// The chain goes on or back.
    Mine {
        blocks: u64,
    },
    Rewind {
        blocks: u64,
    },
    Create {
        deposit: u64,
    },
    TopUp {
        added: u64,
    },
    RequestClose {
        closing_balance: u64,
    },
    Settle,
    MineClose,
    MineWithdrawal {
        pick: usize,
    },
    /// The process dies and starts again.
    Restart,
}

/// A channel, the limits of its receiver, and what happens on it.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    deposit: u64,
    window: u64,
    ops: Vec<Op>,
}

/// How much was played.
#[derive(Debug, Clone, Default)]
pub(crate) struct Played {
    pub(crate) cases: u32,
    pub(crate) steps: usize,
    /// What has happened, and how often.
    pub(crate) met: BTreeMap<&'static str, u32>,
}

/// The sender's steps and the receiver's answers; gaps are up to `width` units wide.
fn payments(width: u64) -> impl Strategy<Value = Op> {
    let price = 1..=width;
    let index = any::<usize>();
    prop_oneof![
        12 => (price.clone(), 1..=width).prop_map(|(price, raise)| Op::Sign { price, raise }),
        9 => (index, prop::bool::weighted(0.2)).prop_map(|(pick, old_form)| Op::Deliver { pick, old_form }),
        3 => (index, any::<bool>()).prop_map(|(pick, old_form)| Op::Replay { pick, old_form }),
        4 => (0..48_u64, option::of(0..=width), price.clone())
            .prop_map(|(top, stated, price)| Op::Wild { top, stated, price }),
        6 => (20..24 + 2 * width, price.clone())
            .prop_map(|(top, price)| Op::Wild { top, stated: Some(price), price }),
        1 => (20..32_u64, price.clone()).prop_map(|(top, price)| Op::Abandon { top, price }),
        1 => (20..32_u64, price).prop_map(|(top, price)| Op::Elsewhere { top, price }),
        4 => index.prop_map(|pick| Op::Charge { pick }),
        4 => index.prop_map(|pick| Op::Release { pick }),
        6 => (index, 0..=width).prop_map(|(pick, cost)| Op::SpendPartly { pick, cost }),
        2 => (index, option::of(0..=width)).prop_map(|(pick, cost)| Op::ReleaseAgain { pick, cost }),
    ]
}

/// A payment that skips a few units.
fn gaps() -> impl Strategy<Value = Op> {
    (26..29_u64).prop_map(|top| Op::Wild {
        top,
        stated: Some(1),
        price: 1,
    })
}

fn closes() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..60_u64, any::<bool>()).prop_map(|(credit_left, signed)| Op::CloseAt { credit_left, signed }),
        2 => (7..10_u64, any::<bool>()).prop_map(|(credit_left, signed)| Op::CloseAt { credit_left, signed }),
        1 => Just(Op::Dispute),
        4 => Just(Op::Withdraw),
    ]
}

fn chain() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..4_u64).prop_map(|blocks| Op::Mine { blocks }),
        4 => (1..6_u64).prop_map(|blocks| Op::Rewind { blocks }),
        1 => (4..20_u64).prop_map(|blocks| Op::Rewind { blocks }),
        3 => (1..100_u64).prop_map(|deposit| Op::Create { deposit }),
        6 => (1..60_u64).prop_map(|added| Op::TopUp { added }),
        2 => (0..100_u64).prop_map(|closing_balance| Op::RequestClose { closing_balance }),
        2 => Just(Op::Settle),
        1 => Just(Op::MineClose),
        4 => any::<usize>().prop_map(|pick| Op::MineWithdrawal { pick }),
    ]
}

/// The balance rises into a top-up, something is claimed there, and the chain takes the top-up back.
fn stories() -> impl Strategy<Value = Vec<Op>> {
    let claim = prop_oneof![Just(Op::Withdraw), closes()];
    (1..30_u64, 24..48_u64, 1..12_u64, claim, 3..9_u64, closes()).prop_map(
        |(added, top, price, claim, blocks, last)| {
            let payment = Op::Wild {
                top,
                stated: Some(price),
                price,
            };
            vec![
                Op::TopUp { added },
                Op::Mine { blocks: 2 },
                payment,
                claim,
                Op::Rewind { blocks },
                last,
            ]
        },
    )
}

fn scenes() -> impl Strategy<Value = Scene> {
    let scene = |deposit, payment: u32, gap: u32, close: u32, chain_op: u32, width| {
        let op = prop_oneof![
            payment => payments(width).prop_map(|op| vec![op]),
            gap => gaps().prop_map(|op| vec![op]),
            close => closes().prop_map(|op| vec![op]),
            chain_op => chain().prop_map(|op| vec![op]),
            1 => Just(vec![Op::Restart]),
            1 => stories(),
        ];
        let window = prop_oneof![3 => Just(u64::MAX), 1 => 10..40_u64];
        (deposit, window, vec(op, 1..250)).prop_map(|(deposit, window, ops)| Scene {
            deposit,
            window,
            ops: ops.concat(),
        })
    };
    prop_oneof![
        // Business as usual, some of it at the deposit's edge.
        2 => scene(40..400_u64, 120, 1, 2, 4, 12),
        // Many small gaps.
        2 => scene(900..1000_u64, 200, 200, 1, 1, 3),
        // Next to nothing but gaps.
        1 => scene(900..1000_u64, 10, 400, 1, 1, 3),
        // A restless chain.
        2 => scene(10..60_u64, 60, 1, 4, 40, 8),
    ]
}

/// Plays random scenes with these rules.
///
/// # Errors
/// With the scene on which the checker complains.
pub(crate) fn play<R: Rules>(rules: &R, config: Config) -> (Played, Result<(), TestError<Scene>>) {
    let played = RefCell::new(Played::default());
    let result = TestRunner::new(config).run(&scenes(), |scene| {
        play_one(rules, &scene, &mut played.borrow_mut())
            .map_err(|complaint| TestCaseError::fail(format!("checker: {complaint}")))
    });
    (played.into_inner(), result)
}

fn play_one<R: Rules>(rules: &R, scene: &Scene, played: &mut Played) -> Result<(), Complaint> {
    played.cases += 1;
    let mut world = World::new(rules, scene.deposit, scene.window);
    for op in &scene.ops {
        world
            .step(op)
            .map_err(|complaint| format!("{op:?}: {complaint}"))?;
        played.steps += 1;
    }
    for (what, count) in world.met {
        *played.met.entry(what).or_default() += count;
    }
    Ok(())
}
