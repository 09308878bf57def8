//! What the checker calls: the ledger's operations, one by one replaceable by a wrong one.

use microraiden_protocol::ledger::{
    Account, Claim, CloseRefusal, Limits, Payment, Refusal, ReleaseError, Spend, Standing, Transition, Writer,
};
use microraiden_protocol::{Amount, Balance, ChainFacts, Price, Signature, VerifiedProof};

/// A request with a payment, its signature verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) proof: VerifiedProof,
    pub(crate) payment: Payment,
    pub(crate) price: Price,
    pub(crate) limits: Limits,
}

/// What is asked of the contract, and the state that was committed before, if one was needed.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) balance: Balance,
    pub(crate) sender_signature: Option<Signature>,
    pub(crate) after: Option<Account>,
}

/// The ledger's operations. Each one left out is the real one.
pub(crate) trait Rules {
    fn accept(&self, on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
        accept(on, request, by)
    }

    fn release(&self, on: &Account, spend: &Spend, by: Writer) -> Result<Account, ReleaseError> {
        on.release(spend, by).map(|transition| committed(on, transition))
    }

    fn spend_partly(
        &self,
        on: &Account,
        spend: &Spend,
        cost: Amount,
        by: Writer,
    ) -> Result<Account, ReleaseError> {
        on.spend_partly(spend, cost, by)
            .map(|transition| committed(on, transition))
    }

    fn close_at(
        &self,
        on: &Account,
        at: Balance,
        sender_signature: Option<Signature>,
        by: Writer,
    ) -> Result<Claimed, CloseRefusal> {
        on.close_at(at, sender_signature, by)
            .map(|claim| claimed(on, claim))
    }

    fn dispute(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
        on.dispute(by).map(|claim| claimed(on, claim))
    }

    fn withdraw(&self, on: &Account, by: Writer) -> Result<Claimed, CloseRefusal> {
        on.withdraw(by).map(|claim| claimed(on, claim))
    }

    fn observe(&self, on: &Account, facts: ChainFacts, by: Writer) -> Account {
        committed(on, on.observe(facts, by))
    }

    fn restart(&self, on: &Account) -> Account {
        Account::from_row(on.row().clone()).expect("a state of the ledger reads back")
    }

    fn standing(&self, on: &Account, proof: &VerifiedProof) -> Option<Standing> {
        on.standing(proof)
    }
}

/// The real ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger;

impl Rules for Ledger {}

pub(crate) fn accept(on: &Account, request: &Request, by: Writer) -> Result<(Account, Spend), Refusal> {
    let Request {
        proof,
        payment,
        price,
        limits,
    } = request;
    let (transition, spend) = on.accept(proof, *payment, *price, *limits, by)?;
    Ok((committed(on, transition), spend))
}

fn committed(on: &Account, transition: Transition) -> Account {
    assert_eq!(transition.before(), Some(on.version()));
    transition.into_after()
}

fn claimed(on: &Account, claim: Claim) -> Claimed {
    Claimed {
        balance: claim.balance,
        sender_signature: claim.sender_signature,
        after: claim.transition.map(|transition| committed(on, transition)),
    }
}
