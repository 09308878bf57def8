//! A channel that lives on a chain and in the ledger at once, and random steps of both.

use crate::evm::{CHALLENGE_PERIOD, Channels, Evm, Truth};
use crate::proofs::Presented;
use alloy_primitives::aliases::U192;
use microraiden_protocol::ledger::{
    Account, Limits, Payment, Refusal, Spend, StoredProof, Transition, Writer,
};
use microraiden_protocol::{
    Amount, Balance, BlockNumber, ChainFacts, ChannelChange, ChannelEvent, ChannelId, Deposit, Heads, Price,
    ProofScheme, SecretKey, VerifiedProof,
};
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

/// What the ledger's side decides by; other than [`Rules::OURS`] only to show that bugs are found.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Checks a balance proof.
    pub(crate) verify: fn(&Presented, &ProofScheme) -> Option<VerifiedProof>,
    /// Chooses what to claim with.
    pub(crate) best: fn(&Account) -> Option<StoredProof>,
}

impl Rules {
    pub(crate) const OURS: Self = Self {
        verify: Presented::verify,
        best: |account| account.best_proof(account.facts().deposit).copied(),
    };
}

/// The chain as it was before a transaction.
struct Past {
    evm: Evm,
    events: usize,
}

pub(crate) struct Life {
    pub(crate) rng: TestRng,
    pub(crate) evm: Evm,
    pub(crate) channel: ChannelId,
    pub(crate) sender: SecretKey,
    pub(crate) receiver: SecretKey,
    pub(crate) account: Account,
    /// What the contract says; read again after each change of the chain.
    pub(crate) truth: Option<Truth>,
    /// To where a reorganisation may go: nothing final, and never the opening.
    past: Vec<Past>,
    events: Vec<ChannelEvent>,
    heads: Heads,
    spends: Vec<Spend>,
    transitions: u64,
}

/// The highest deposit that the contract takes: 100 tokens of 18 decimals.
fn deposit_limit() -> U192 {
    U192::from(100) * U192::from(10).pow(U192::from(18))
}

impl Life {
    /// Opens a channel in a block of any number that the contract takes.
    pub(crate) fn open(mut rng: TestRng, base: &Evm, sender: SecretKey, receiver: SecretKey) -> Self {
        let mut evm = base.clone();
        // The end of a challenge period must fit in 32 bits, too.
        let highest = u32::MAX - 100 * CHALLENGE_PERIOD;
        let open_block = match rng.random_range(0..3) {
            0 => rng.random_range(10..300),
            1 => highest,
            _ => rng.random_range(300..highest),
        };
        evm.next_block = BlockNumber(open_block.into());
        let channel = ChannelId {
            sender: sender.address(),
            receiver: receiver.address(),
            open_block,
        };
        let deposit = match rng.random_range(0..20) {
            0 => U192::ZERO,
            1..8 => U192::from(rng.random_range(1..60u64)),
            8..16 => U192::from(1_000),
            _ => deposit_limit(),
        };
        if deposit.is_zero() {
            let call = Channels::createChannelCall {
                _receiver_address: channel.receiver,
                _deposit: deposit,
            };
            evm.send(channel.sender, &call);
        } else {
            let data = [channel.sender.as_slice(), channel.receiver.as_slice()].concat();
            evm.send_tokens(channel.sender, deposit, data.into());
        }
        let by = Writer {
            instance: 1,
            sequence: 0,
        };
        let mut life = Self {
            account: Account::open(channel, ChainFacts::default(), by).into_after(),
            truth: None,
            past: Vec::new(),
            events: Vec::new(),
            heads: Heads::default(),
            spends: Vec::new(),
            transitions: 1,
            rng,
            evm,
            channel,
            sender,
            receiver,
        };
        let deposit = Deposit::new(deposit);
        life.happened(ChannelChange::Created { deposit });
        life.confirm();
        life
    }

    pub(crate) fn scheme(&self) -> ProofScheme {
        self.evm.scheme()
    }

    /// Whether nothing can be sold on the channel any more.
    pub(crate) fn is_over(&self) -> bool {
        self.account.promise().is_some() || self.truth.is_none_or(|truth| truth.is_challenged)
    }

    /// A balance at which something could go wrong.
    pub(crate) fn some_balance(&mut self) -> Balance {
        let balance = self.account.balance().base_units();
        let of_chain =
            |limit: fn(Truth) -> Balance| self.truth.map_or(U192::ZERO, |truth| limit(truth).base_units());
        let deposit = of_chain(|truth| truth.deposit);
        let withdrawn = of_chain(|truth| truth.withdrawn);
        let confirmed = self.account.facts().deposit.base_units();
        let gaps = self.account.row().unspent.intervals();
        let rng = &mut self.rng;
        let chosen = match rng.random_range(0..20) {
            0..9 => balance.saturating_add(U192::from(rng.random_range(1..9u8))),
            9 | 10 => balance,
            11 => balance.saturating_sub(U192::from(rng.random_range(0..12u8))),
            12 | 13 if !gaps.is_empty() => gaps[rng.random_range(0..gaps.len())].last.base_units(),
            14 => near(rng, deposit),
            15 => near(rng, confirmed),
            16 => near(rng, withdrawn),
            17 => [
                U192::ZERO,
                U192::ONE,
                U192::MAX,
                U192::MAX - U192::ONE,
                U192::ONE << 191,
            ][rng.random_range(0..5)],
            18 => U192::from_be_bytes(rng.random::<[u8; 24]>()),
            _ => U192::from_be_bytes(rng.random::<[u8; 24]>()) % deposit.saturating_add(U192::ONE),
        };
        Balance::new(chosen)
    }

    /// Presents a verified proof as some payment; says what the ledger decides, and obeys.
    pub(crate) fn pay(&mut self, proof: &VerifiedProof) -> Result<(), Refusal> {
        let increment = proof.balance().checked_since(self.account.balance());
        let rng = &mut self.rng;
        let price = match increment {
            Some(increment) if rng.random_bool(0.6) => Price::new(increment.base_units()),
            _ => Price::from(rng.random_range(0..6)),
        };
        let payment = match rng.random_range(0..10) {
            0..6 => Payment::Stated(price.into()),
            6..9 => Payment::Increment,
            _ => Payment::Stated(Amount::from(rng.random_range(0..6))),
        };
        let limits = if rng.random_bool(0.1) {
            Limits {
                window: Amount::from(2),
            }
        } else {
            Limits::default()
        };
        let by = self.writer();
        let (transition, spend) = self.account.accept(proof, payment, price, limits, by)?;
        self.account = transition.into_after();
        self.spends.push(spend);
        Ok(())
    }

    /// Gives an open spend back, in part or as a whole, or finishes it.
    pub(crate) fn release(&mut self) {
        if self.spends.is_empty() {
            return;
        }
        let spend = self
            .spends
            .swap_remove(self.rng.random_range(0..self.spends.len()));
        let by = self.writer();
        let released = match self.rng.random_range(0..4) {
            0 => return self.account.finish(&spend),
            1 => self.account.spend_partly(&spend, Amount::from(1), by),
            _ => self.account.release(&spend, by),
        };
        // Refused when a spend costs less than one.
        if let Ok(transition) = released {
            self.adopt(transition);
        }
    }

    /// Adds to the deposit, where the contract takes it.
    pub(crate) fn top_up(&mut self) {
        let Some(truth) = self.truth.filter(|truth| !truth.is_challenged) else {
            return;
        };
        let room = deposit_limit() - truth.deposit.base_units();
        let added = U192::from(self.rng.random_range(1..40u64)).min(room);
        if added.is_zero() {
            return;
        }
        self.remember();
        let channel = self.channel;
        let open_block = channel.open_block.to_be_bytes();
        let data = [
            channel.sender.as_slice(),
            channel.receiver.as_slice(),
            &open_block,
        ]
        .concat();
        self.evm.send_tokens(channel.sender, added, data.into());
        let added = Amount::new(added);
        self.happened(ChannelChange::ToppedUp { added });
    }

    /// The transaction of a withdrawal that was seen to work.
    pub(crate) fn mine_withdrawal(&mut self, call: &Channels::withdrawCall, amount: Amount) {
        self.remember();
        self.evm.send(self.channel.receiver, call);
        self.happened(ChannelChange::Withdrawn { amount });
    }

    /// The sender closes alone, at any balance that the contract takes.
    pub(crate) fn close_alone(&mut self) {
        let Some(truth) = self.truth.filter(|truth| !truth.is_challenged) else {
            return;
        };
        let closing_balance = self.some_balance().min(truth.deposit);
        self.remember();
        let call = Channels::uncooperativeCloseCall {
            _receiver_address: self.channel.receiver,
            _open_block_number: self.channel.open_block,
            _balance: closing_balance.base_units(),
        };
        self.evm.send(self.channel.sender, &call);
        self.happened(ChannelChange::CloseRequested { closing_balance });
    }

    /// The sender settles, after the challenge period.
    pub(crate) fn settle(&mut self) {
        let Some(truth) = self.truth.filter(|truth| truth.is_challenged) else {
            return;
        };
        self.remember();
        self.evm.next_block.0 += u64::from(CHALLENGE_PERIOD) + 1;
        let call = Channels::settleCall {
            _receiver_address: self.channel.receiver,
            _open_block_number: self.channel.open_block,
        };
        self.evm.send(self.channel.sender, &call);
        // At what it was settled makes no difference to an account.
        let (balance, receiver_tokens) = (truth.withdrawn, Amount::ZERO);
        self.happened(ChannelChange::Settled {
            balance,
            receiver_tokens,
        });
    }

    /// More of the chain counts as confirmed and as final.
    pub(crate) fn confirm(&mut self) {
        let head = self.evm.next_block.0 - 1;
        let confirmed = self.rng.random_range(self.heads.confirmed.0..=head);
        let confirmed = if self.rng.random_bool(0.7) {
            head
        } else {
            confirmed
        };
        let last_final = self.rng.random_range(self.heads.last_final.0..=confirmed);
        self.heads = Heads {
            confirmed: BlockNumber(confirmed),
            last_final: BlockNumber(last_final),
        };
        self.past
            .retain(|past| past.evm.next_block > BlockNumber(last_final));
        self.observe();
    }

    /// The newest transactions vanish; the receiver hears of it.
    pub(crate) fn reorganise(&mut self) {
        if self.past.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.past.len());
        let past = self.past.drain(at..).next().unwrap();
        self.events.truncate(past.events);
        self.evm = past.evm;
        let head = BlockNumber(self.evm.next_block.0 - 1);
        self.heads.confirmed = self.heads.confirmed.min(head);
        self.truth = self.evm.truth(&self.channel);
        self.observe();
    }

    pub(crate) fn writer(&mut self) -> Writer {
        self.transitions += 1;
        Writer {
            instance: 1,
            sequence: self.transitions,
        }
    }

    pub(crate) fn adopt(&mut self, transition: Transition) {
        self.account = transition.into_after();
    }

    fn remember(&mut self) {
        self.past.push(Past {
            evm: self.evm.clone(),
            events: self.events.len(),
        });
    }

    /// Takes note of what the newest block did; the receiver sometimes hears of it later.
    fn happened(&mut self, change: ChannelChange) {
        self.events.push(ChannelEvent {
            channel: self.channel,
            block: BlockNumber(self.evm.next_block.0 - 1),
            log_index: 0,
            change,
        });
        self.truth = self.evm.truth(&self.channel);
        if self.rng.random_bool(0.85) {
            self.observe();
        }
    }

    fn observe(&mut self) {
        let facts = ChainFacts::from_events(&self.events, self.heads, CHALLENGE_PERIOD);
        let by = self.writer();
        self.adopt(self.account.observe(facts, by));
    }
}

/// One of the five values around a limit.
fn near(rng: &mut TestRng, limit: U192) -> U192 {
    limit
        .saturating_add(U192::from(rng.random_range(0..5u8)))
        .saturating_sub(U192::from(2))
}
