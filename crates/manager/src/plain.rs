//! Accounts at rest, in little room: a receiver keeps all of them in memory.

use microraiden_protocol::ledger::{Account, AccountRow, StoredProof, UnitSet, Version};
use microraiden_protocol::{Amount, Balance, ChainFacts, ChannelId, Deposit, Phase, Signature};

/// An open channel's account of which there is not more to say: one deposit that is final, at most one
/// proof, nothing promised or withdrawn, and no payment in flight. It takes a third of the room.
#[derive(Debug)]
pub(crate) struct Plain {
    channel: ChannelId,
    balance: Balance,
    /// For exactly the balance.
    signature: Option<Signature>,
    unspent: UnitSet,
    spends: u64,
    deposit: Deposit,
    version: Version,
}

impl Plain {
    /// `None` for an account with more to it.
    pub(crate) fn of(account: &Account) -> Option<Self> {
        // Whoever adds a field decides here whether a plain account has it.
        let AccountRow {
            channel,
            balance,
            proofs,
            unspent,
            refund,
            spends,
            promise,
            sent_withdrawals,
            facts,
            version,
        } = account.row();
        let plain_facts = open(facts.deposit);
        let plain = proofs.len() <= 1
            && refund.is_zero()
            && promise.is_none()
            && sent_withdrawals.is_empty()
            && *facts == plain_facts
            && account.in_flight() == 0;
        plain.then(|| Self {
            channel: *channel,
            balance: *balance,
            signature: proofs.first().map(|proof| proof.signature),
            unspent: unspent.clone(),
            spends: *spends,
            deposit: facts.deposit,
            version: *version,
        })
    }

    /// Its channel.
    pub(crate) const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The account.
    pub(crate) fn account(&self) -> Account {
        let proof = |signature| StoredProof {
            balance: self.balance,
            signature,
        };
        let row = AccountRow {
            channel: self.channel,
            balance: self.balance,
            proofs: self.signature.map(proof).into_iter().collect(),
            unspent: self.unspent.clone(),
            refund: Amount::ZERO,
            spends: self.spends,
            promise: None,
            sent_withdrawals: Vec::new(),
            facts: open(self.deposit),
            version: self.version,
        };
        Account::from_row(row).expect("it was an account before")
    }
}

/// What the chain says of an open channel whose whole deposit is final.
fn open(deposit: Deposit) -> ChainFacts {
    ChainFacts {
        phase: Phase::Open,
        deposit,
        unconfirmed_deposit: deposit,
        ..ChainFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::ledger::{Limits, Payment, Transition, Writer};
    use microraiden_protocol::{Address, Price, ProofScheme, SecretKey};

    const BY: Writer = Writer {
        instance: 7,
        sequence: 9,
    };

    fn is_plain(account: &Account) -> bool {
        let plain = Plain::of(account);
        if let Some(plain) = &plain {
            assert_eq!(plain.account(), *account, "nothing is lost");
        }
        plain.is_some()
    }

    fn paid(account: &Account, key: &SecretKey, balance: u64, price: u64) -> Account {
        let scheme = ProofScheme::DraftTypedData {
            contract: Address::ZERO,
        };
        let proof = scheme.sign_balance_proof(key, *account.channel(), balance.into());
        let (proof, payment) = (proof.verify(&scheme).unwrap(), Payment::Stated(price.into()));
        let accepted = account.accept(&proof, payment, Price::from(price), Limits::default(), BY);
        let (transition, spend) = accepted.unwrap();
        let mut after = transition.into_after();
        assert!(!is_plain(&after), "a payment is in flight");
        after.finish(&spend);
        after
    }

    #[test]
    fn accounts_at_rest_are_plain_and_whole_again_the_same() {
        let key = SecretKey::from_bytes(&[5; 32]).unwrap();
        let channel = ChannelId {
            sender: key.address(),
            receiver: Address::ZERO,
            open_block: 3,
        };
        let account = Account::open(channel, open(100.into()), BY).into_after();
        assert!(is_plain(&account));
        let account = paid(&account, &key, 10, 10);
        assert!(is_plain(&account));
        let account = paid(&account, &key, 30, 5);
        assert!(is_plain(&account), "with credit");

        let close = account.close_at(account.balance(), None, BY).unwrap();
        let closed = close.transition.map(Transition::into_after).unwrap();
        assert!(!is_plain(&closed));
        let deeper = ChainFacts {
            unconfirmed_deposit: 200.into(),
            ..open(100.into())
        };
        for facts in [
            ChainFacts::default(),
            deeper,
            ChainFacts {
                lower_deposits: vec![50.into()],
                ..open(100.into())
            },
            ChainFacts {
                withdrawals: vec![10.into()],
                ..open(100.into())
            },
        ] {
            assert!(!is_plain(&account.observe(facts, BY).into_after()));
        }
        let shrunk = account.observe(open(20.into()), BY).into_after();
        assert!(is_plain(&shrunk), "also an impaired one");
        let refunded = AccountRow {
            refund: Amount::from(1),
            ..account.row().clone()
        };
        assert!(!is_plain(&Account::from_row(refunded).unwrap()));
    }
}
