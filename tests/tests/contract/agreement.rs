//! What the ledger accepts, the contract pays: random proofs for random channels, given to both.
//!
//! Balance proofs and closing signatures count for one side exactly when they count for the other: there is no form that
//! only the contract takes. (The contract of 2018 takes a high s, too; ours and the ledger do not.)

use crate::evm::{Channels, Evm, Refused, Transfer, Truth};
use crate::life::{Life, Rules};
use crate::proofs::{Change, Kind, Presented, negate_s, present};
use alloy_primitives::{Address, Log, U256};
use alloy_sol_types::SolEvent;
use microraiden_protocol::ledger::{Account, Refusal, StoredProof};
use microraiden_protocol::{Amount, Balance, ChannelId, SecretKey, Signature};
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

const SEED: u64 = 20_171_120;
const CASES: u64 = 100_000;

/// How many cases of each kind there were.
#[derive(Debug, Default)]
struct Classes(BTreeMap<String, u64>);

impl Classes {
    fn count(&mut self, class: impl Into<String>) {
        *self.0.entry(class.into()).or_default() += 1;
    }

    /// Everything that must have happened, so that no agreement is for want of cases.
    fn missing(&self) -> Vec<String> {
        let mut expected = Vec::new();
        for kind in [Kind::BalanceProof, Kind::Closing] {
            for change in Change::ALL {
                if is_valid(change) == Some(true) || change == Change::AnyV {
                    expected.push(format!("{kind:?}, {change:?}: accepted"));
                }
                if is_valid(change) != Some(true) {
                    expected.push(format!("{kind:?}, {change:?}: refused"));
                }
            }
            for why in ["Length", "V", "S", ""] {
                expected.push(format!("{kind:?} refused: InvalidSignature{why}"));
            }
            expected.push(format!("{kind:?} refused: another signer"));
        }
        // Which channels there are, and which were restored, is known elsewhere; other signatures were counted above.
        let elsewhere = [
            Refusal::UnknownChannel,
            Refusal::ClosingOnly,
            Refusal::InvalidSignature,
        ];
        let ledger = Refusal::ALL.iter().filter(|refusal| !elsewhere.contains(refusal));
        expected.extend(ledger.map(|refusal| ledger_class(Err(*refusal))));
        expected.push(ledger_class(Ok(())));
        expected.extend(
            [
                "presented close: paid",
                "presented close: signature refused",
                "presented close: ChannelNotFound",
                "presented close: BalanceAboveDeposit",
                "presented close: BalanceBelowWithdrawn",
                "best proof: closed",
                "best proof: closed below the balance",
                "best proof: closed in a challenge",
                "best proof: withdrawn",
                "best proof: NothingToWithdraw",
                "best proof: ChannelInChallenge",
                "promised close: paid",
                "dispute: paid",
                "withdrawal: mined",
            ]
            .map(str::to_owned),
        );
        expected.retain(|class| !self.0.contains_key(class));
        expected
    }
}

fn ledger_class(decision: Result<(), Refusal>) -> String {
    match decision {
        Ok(()) => "ledger: accepted".to_owned(),
        Err(refusal) => format!("ledger: {}", refusal.code()),
    }
}

/// Whether a changed signature still counts; `None`: depends.
const fn is_valid(change: Change) -> Option<bool> {
    match change {
        Change::Nothing | Change::ShortV => Some(true),
        Change::AnyV | Change::OneByte => None,
        _ => Some(false),
    }
}

/// One channel's life, as long as something may be learned of it.
struct Trial<'a> {
    life: Life,
    rules: Rules,
    classes: &'a mut Classes,
    /// What was claimed last, and what of: the same again would teach nothing.
    claimed: Option<(StoredProof, Truth)>,
}

impl Trial<'_> {
    /// Takes random steps; says how many signatures were presented.
    fn run(&mut self) -> u64 {
        let (mut cases, most) = (0, self.life.rng.random_range(20..120));
        while cases < most && !(self.life.is_over() && self.life.rng.random_bool(0.05)) {
            match self.life.rng.random_range(0..200) {
                0..10 => self.life.release(),
                10..20 => self.life.confirm(),
                20..26 => self.life.top_up(),
                26..31 => self.withdraw(),
                31..35 => self.life.reorganise(),
                35 => self.life.close_alone(),
                36 => self.promise_close(),
                37..39 => self.dispute(),
                39 => self.life.settle(),
                40..50 => {
                    self.present_closing();
                    cases += 1;
                }
                _ => {
                    self.present_proof();
                    cases += 1;
                }
            }
            self.claim();
        }
        cases
    }

    fn some_change(&mut self) -> Change {
        let rng = &mut self.life.rng;
        if rng.random_bool(0.6) {
            Change::Nothing
        } else {
            Change::ALL[rng.random_range(0..Change::ALL.len())]
        }
    }

    /// A balance proof, to the ledger and to the contract.
    fn present_proof(&mut self) {
        let (change, balance) = (self.some_change(), self.life.some_balance());
        let life = &mut self.life;
        let (scheme, what) = (life.scheme(), (Kind::BalanceProof, life.channel, balance));
        let presented = present(&mut life.rng, &scheme, &life.sender, what, change);
        let verified = (self.rules.verify)(&presented, &scheme);
        self.agree(&presented, change, verified.is_some());
        if self.life.rng.random_bool(0.25) {
            self.close_with(&presented, verified.is_some());
        }
        let Some(proof) = verified else { return };
        let decision = self.life.pay(&proof);
        self.classes.count(ledger_class(decision));
        let covered = |truth: Truth| presented.balance <= truth.deposit;
        assert!(
            decision.is_err() || self.life.truth.is_none_or(covered),
            "accepted above the deposit: {presented:?}"
        );
    }

    /// A closing signature, to both.
    fn present_closing(&mut self) {
        let (change, balance) = (self.some_change(), self.life.some_balance());
        let life = &mut self.life;
        let (scheme, what) = (life.scheme(), (Kind::Closing, life.channel, balance));
        let presented = present(&mut life.rng, &scheme, &life.receiver, what, change);
        let accepted = presented.is_closing(&scheme);
        self.agree(&presented, change, accepted);
    }

    /// A signature counts for the contract exactly when it counts for Rust, and always when unchanged.
    fn agree(&mut self, presented: &Presented, change: Change, accepted: bool) {
        let kind = presented.kind;
        let extracted = presented.extract(&mut self.life.evm);
        assert_eq!(
            accepted,
            extracted == Ok(presented.signer()),
            "{change:?}: Rust says {accepted}, the contract {extracted:?} of {presented:?}"
        );
        assert!(
            is_valid(change).is_none_or(|valid| valid == accepted),
            "{change:?}: {accepted} for {presented:?}"
        );
        let verdict = if accepted { "accepted" } else { "refused" };
        self.classes.count(format!("{kind:?}, {change:?}: {verdict}"));
        match extracted {
            Err(why) => self.classes.count(format!("{kind:?} refused: {why}")),
            Ok(_) if !accepted => self.classes.count(format!("{kind:?} refused: another signer")),
            Ok(_) => {}
        }
    }

    /// Whatever is presented, the contract closes with it when it should, and pays exactly that.
    fn close_with(&mut self, presented: &Presented, is_valid: bool) {
        let life = &mut self.life;
        let (channel, balance) = (presented.channel, presented.balance);
        let closing = life.scheme().sign_closing(&life.receiver, &channel, balance);
        let closed = life.evm.close(&channel, balance, &presented.signature, &closing);
        if !is_valid {
            assert!(closed.is_err(), "closed with {presented:?}");
            return self.classes.count("presented close: signature refused");
        }
        let truth = life.truth.filter(|_| channel == life.channel);
        let class = match expected_close(truth, balance) {
            Ok(truth) => {
                self.assert_paid(&closed, balance, truth);
                "paid"
            }
            Err(why) => {
                assert_eq!(closed.err(), Some(why), "{presented:?}");
                why
            }
        };
        self.classes.count(format!("presented close: {class}"));
    }

    /// The best stored proof always gets its balance.
    fn claim(&mut self) {
        let best = (self.rules.best)(&self.life.account).zip(self.life.truth);
        let Some((best, truth)) = best.filter(|_| best != self.claimed) else {
            return;
        };
        self.claimed = Some((best, truth));
        self.close_at(best.balance, best.signature);
        self.classes.count("best proof: closed");
        if best.balance < self.life.account.balance() {
            self.classes.count("best proof: closed below the balance");
        }
        if truth.is_challenged {
            self.classes.count("best proof: closed in a challenge");
        }
        let call = self.withdrawal(best.balance, best.signature);
        let withdrawn = self.life.evm.logs_of(self.life.channel.receiver, &call);
        let class = if truth.is_challenged {
            assert_eq!(withdrawn.err(), Some("ChannelInChallenge"));
            "ChannelInChallenge"
        } else if best.balance <= truth.withdrawn {
            assert_eq!(withdrawn.err(), Some("NothingToWithdraw"));
            "NothingToWithdraw"
        } else {
            let due = best.balance.checked_since(truth.withdrawn);
            assert_eq!(
                Some(self.paid_to(self.life.channel.receiver, &withdrawn.unwrap())),
                due
            );
            "withdrawn"
        };
        self.classes.count(format!("best proof: {class}"));
    }

    /// Withdraws by the ledger's claim; the transaction may get lost.
    fn withdraw(&mut self) {
        let by = self.life.writer();
        let Ok(claim) = self.life.account.withdraw(by) else {
            return;
        };
        claim
            .transition
            .into_iter()
            .for_each(|transition| self.life.adopt(transition));
        // The chain may be ahead of what the ledger has heard.
        let is_due = |truth: &Truth| !truth.is_challenged && claim.balance > truth.withdrawn;
        let Some(truth) = self.life.truth.filter(is_due) else {
            return;
        };
        let call = self.withdrawal(claim.balance, claim.sender_signature.unwrap());
        let amount = claim.balance.checked_since(truth.withdrawn).unwrap();
        let logs = self.life.evm.logs_of(self.life.channel.receiver, &call).unwrap();
        assert_eq!(self.paid_to(self.life.channel.receiver, &logs), amount);
        if self.life.rng.random_bool(0.7) {
            self.life.mine_withdrawal(&call, amount);
            self.classes.count("withdrawal: mined");
        }
    }

    /// Promises the sender a close; the contract takes it with both signatures.
    fn promise_close(&mut self) {
        let at = self.life.some_balance();
        let life = &mut self.life;
        let proof = life.scheme().sign_balance_proof(&life.sender, life.channel, at);
        let by = life.writer();
        let Ok(claim) = life.account.close_at(at, Some(proof.signature), by) else {
            return;
        };
        claim
            .transition
            .into_iter()
            .for_each(|transition| life.adopt(transition));
        // A reorganisation may have taken the deposit below it.
        if life.truth.is_some_and(|truth| at <= truth.deposit) {
            self.close_at(at, claim.sender_signature.unwrap());
            self.classes.count("promised close: paid");
        }
    }

    /// Disputes a close; the contract takes it.
    fn dispute(&mut self) {
        let by = self.life.writer();
        if self.life.truth.is_none_or(|truth| !truth.is_challenged) {
            return;
        }
        let Ok(claim) = self.life.account.dispute(by) else {
            return;
        };
        if let Some(transition) = claim.transition {
            self.life.adopt(transition);
            self.close_at(claim.balance, claim.sender_signature.unwrap());
            self.classes.count("dispute: paid");
        }
    }

    /// Closes with a proof and our closing signature: must work, and pay exactly that.
    fn close_at(&mut self, balance: Balance, proof: Signature) {
        let life = &mut self.life;
        let closing = life.scheme().sign_closing(&life.receiver, &life.channel, balance);
        let closed = life
            .evm
            .close(&life.channel, balance, &proof.to_bytes(), &closing);
        let truth = life.truth.expect("the channel is on the chain");
        self.assert_paid(&closed, balance, truth);
    }

    fn assert_paid(&self, closed: &Result<Vec<Log>, Refused>, balance: Balance, truth: Truth) {
        let channel = self.life.channel;
        let logs = closed
            .as_ref()
            .unwrap_or_else(|why| panic!("{why} at {balance} of {truth:?}"));
        let settled = logs
            .iter()
            .find_map(|log| Channels::ChannelSettled::decode_log(log).ok());
        let settled = settled.expect("a close says so");
        assert_eq!(settled._balance, balance.base_units());
        let due = balance.checked_since(truth.withdrawn);
        assert_eq!(Some(self.paid_to(channel.receiver, logs)), due);
        let rest = truth.deposit.checked_since(balance);
        assert_eq!(Some(self.paid_to(channel.sender, logs)), rest);
    }

    /// What the token says that the contract has paid somebody.
    fn paid_to(&self, party: Address, logs: &[Log]) -> Amount {
        let (token, contract) = (self.life.evm.token, self.life.evm.contract);
        let transfers = logs.iter().filter(|log| log.address == token);
        let paid = transfers
            .map(|log| Transfer::decode_log(log).unwrap())
            .filter(|transfer| transfer._from == contract && transfer._to == party)
            .map(|transfer| transfer._value);
        Amount::new(paid.sum::<U256>().to())
    }

    fn withdrawal(&self, balance: Balance, proof: Signature) -> Channels::withdrawCall {
        Channels::withdrawCall {
            _open_block_number: self.life.channel.open_block,
            _balance: balance.base_units(),
            _balance_msg_sig: proof.to_bytes().into(),
        }
    }
}

/// What the contract must say to a close with two valid signatures.
fn expected_close(truth: Option<Truth>, balance: Balance) -> Result<Truth, Refused> {
    match truth {
        None => Err("ChannelNotFound"),
        Some(truth) if balance > truth.deposit => Err("BalanceAboveDeposit"),
        Some(truth) if balance < truth.withdrawn => Err("BalanceBelowWithdrawn"),
        Some(truth) => Ok(truth),
    }
}

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

/// Plays channels until so many signatures were presented.
fn play(seed: u64, cases: u64, rules: Rules) -> Classes {
    let (senders, receivers) = ([0x51, 0x52, 0x53].map(key), [0x61, 0x62].map(key));
    let base = Evm::deploy(&senders.each_ref().map(SecretKey::address));
    let mut classes = Classes::default();
    let (mut presented, mut lives) = (0, 0u64);
    while presented < cases {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..16].copy_from_slice(&lives.to_be_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let sender = senders[rng.random_range(0..senders.len())].clone();
        let receiver = receivers[rng.random_range(0..receivers.len())].clone();
        let life = Life::open(rng, &base, sender, receiver);
        let mut trial = Trial {
            life,
            rules,
            classes: &mut classes,
            claimed: None,
        };
        presented += trial.run();
        lives += 1;
    }
    println!("{presented} signatures on {lives} channels");
    classes
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn check(cases: u64) {
    let seed = setting("MICRORAIDEN_SEED", SEED);
    println!("MICRORAIDEN_SEED={seed}");
    let start = Instant::now();
    let classes = play(seed, cases, Rules::OURS);
    println!("{:.1} s", start.elapsed().as_secs_f64());
    for (class, count) in &classes.0 {
        println!("{count:>9}  {class}");
    }
    assert_eq!(classes.missing(), Vec::<String>::new(), "these never happened");
}

#[test]
fn what_the_ledger_accepts_the_contract_pays() {
    check(CASES);
}

#[test]
#[ignore = "a million cases take minutes"]
fn what_the_ledger_accepts_the_contract_pays_a_million_times() {
    check(1_000_000);
}

/// Whether the cases bring a bug to light.
fn finds(bug: Rules) -> bool {
    catch_unwind(AssertUnwindSafe(|| play(SEED, 4_000, bug))).is_err()
}

#[test]
fn an_eip_155_v_that_only_rust_took_would_be_found() {
    let verify = |presented: &Presented, scheme: &_| {
        let mut presented = presented.clone();
        if let Some(v) = presented.signature.get_mut(64).filter(|v| matches!(v, 35 | 36)) {
            *v -= 8;
        }
        presented.verify(scheme)
    };
    assert!(finds(Rules {
        verify,
        ..Rules::OURS
    }));
}

#[test]
fn a_high_s_that_only_rust_took_would_be_found() {
    let verify = |presented: &Presented, scheme: &_| {
        let mut lowered = presented.clone();
        if presented.verify(scheme).is_none() && presented.signature.len() == 65 {
            negate_s(&mut lowered.signature);
            lowered.signature[64] ^= 27 ^ 28;
        }
        lowered.verify(scheme)
    };
    assert!(finds(Rules {
        verify,
        ..Rules::OURS
    }));
}

#[test]
fn a_hash_in_another_order_would_be_found() {
    let verify = |presented: &Presented, scheme: &_| {
        let channel = ChannelId {
            sender: presented.channel.receiver,
            receiver: presented.channel.sender,
            ..presented.channel
        };
        Presented {
            channel,
            ..presented.clone()
        }
        .verify(scheme)
    };
    assert!(finds(Rules {
        verify,
        ..Rules::OURS
    }));
}

#[test]
fn a_claim_above_a_deposit_that_shrank_would_be_found() {
    let best = |account: &Account| account.row().proofs.last().copied();
    assert!(finds(Rules { best, ..Rules::OURS }));
}
