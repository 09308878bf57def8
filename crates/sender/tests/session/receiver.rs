//! An honest receiver: the ledger itself behind the wire, and faults on order.

use crate::server::{Answer, Seen, Server};
use crate::stage::{PRICE, Stage};
use http::{HeaderMap, Method, StatusCode};
use microraiden_http::rest::CloseRequest;
use microraiden_http::{PaymentHeaders, Receipt, Seller, refusal_headers, standing_headers};
use microraiden_protocol::ledger::{Account, Limits, Refusal, Writer};
use microraiden_protocol::{
    Amount, BalanceProof, ChainFacts, ChannelId, Deposit, Phase, ProofScheme, SecretKey, VerifiedProof,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It is accepted, and the answer gets lost.
    LostAnswer,
    /// It is accepted, the resource fails, and the payment is released.
    Released,
    /// It is accepted and answered late.
    Late(Duration),
    /// The channel is not confirmed yet.
    Unconfirmed,
}

type Faults = dyn Fn(usize) -> Fault + Send + Sync;

struct Books {
    seller: Seller,
    scheme: ProofScheme,
    key: SecretKey,
    accounts: Mutex<HashMap<ChannelId, Account>>,
    faults: Box<Faults>,
}

pub(crate) struct Receiver {
    pub(crate) server: Server,
    books: Arc<Books>,
}

const BY: Writer = Writer {
    instance: 1,
    sequence: 1,
};

impl Receiver {
    /// `faults` tells by the number of the request what goes wrong with its payment.
    pub(crate) async fn start(
        stage: &Stage,
        faults: impl Fn(usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let books = Arc::new(Books {
            seller: stage.seller(),
            scheme: stage.contract.scheme(),
            key: stage.receiver.clone(),
            accounts: Mutex::default(),
            faults: Box::new(faults),
        });
        let script = books.clone();
        let server = Server::start(move |seen| script.answer(seen)).await;
        Self { server, books }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/resource", self.server.url)
    }

    /// What was sold, on each channel.
    pub(crate) fn sold(&self) -> Vec<Amount> {
        let accounts = self.books.accounts.lock().expect("no panic");
        accounts.values().map(|account| account.spent().into()).collect()
    }
}

impl Books {
    fn answer(&self, seen: &Seen) -> Answer {
        if seen.method == Method::DELETE {
            return self.close(seen);
        }
        let Some(payment) = &seen.payment else {
            return Answer::Reply(StatusCode::PAYMENT_REQUIRED, self.seller.challenge(PRICE.into()));
        };
        let proof = BalanceProof {
            channel: ChannelId {
                sender: payment.sender,
                receiver: self.seller.receiver,
                open_block: payment.open_block,
            },
            balance: payment.balance,
            signature: payment.signature.expect("a signature"),
        };
        let proof = proof.verify(&self.scheme).expect("the sender's signature");
        let mut accounts = self.accounts.lock().expect("no panic");
        let account = accounts
            .entry(*proof.channel())
            .or_insert_with(|| open_account(*proof.channel()));
        let fault = (self.faults)(seen.number);
        if fault == Fault::Unconfirmed {
            return self.refuse(Refusal::Unconfirmed, payment, None);
        }
        let accepted = account.accept(&proof, payment.payment, PRICE.into(), Limits::default(), BY);
        let (transition, spend) = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse(refusal, payment, Some((account, &proof))),
        };
        *account = transition.into_after();
        match fault {
            Fault::LostAnswer => Answer::Silence,
            Fault::Released => {
                *account = account.release(&spend, BY).expect("once").into_after();
                let receipt = self.receipt(account, &proof, Amount::ZERO);
                Answer::Reply(StatusCode::BAD_GATEWAY, receipt)
            }
            Fault::Late(pause) => {
                Answer::Late(pause, StatusCode::OK, self.receipt(account, &proof, PRICE.into()))
            }
            _ => Answer::Reply(StatusCode::OK, self.receipt(account, &proof, PRICE.into())),
        }
    }

    fn receipt(&self, account: &Account, proof: &VerifiedProof, cost: Amount) -> HeaderMap {
        let standing = account.standing(proof).expect("nothing was withdrawn");
        let receipt = Receipt {
            sender: proof.channel().sender,
            balance: standing.balance,
            cost,
            credit: standing.credit,
            refund: standing.refund,
        };
        let mut headers = self.seller.headers(PRICE.into());
        headers.extend(receipt.headers());
        headers
    }

    fn refuse(
        &self,
        refusal: Refusal,
        payment: &PaymentHeaders,
        known: Option<(&Account, &VerifiedProof)>,
    ) -> Answer {
        let mut headers = self.seller.challenge(PRICE.into());
        headers.extend(refusal_headers(refusal, payment.form));
        if let Some((account, proof)) = known
            && refusal.is_after_signature()
        {
            let standing = account.standing(proof).expect("nothing was withdrawn");
            headers.extend(standing_headers(payment.sender, &standing));
        }
        Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
    }

    fn close(&self, seen: &Seen) -> Answer {
        let request: CloseRequest = serde_json::from_slice(&seen.body).expect("a close");
        let mut accounts = self.accounts.lock().expect("no panic");
        let (channel, account) = accounts
            .iter_mut()
            .find(|(channel, _)| {
                seen.path == format!("/api/1/channels/{}/{}", channel.sender, channel.open_block)
            })
            .expect("a known channel");
        match account.close_at(request.balance, None, BY) {
            Ok(claim) => {
                let signature = self.scheme.sign_closing(&self.key, channel, claim.balance);
                Answer::Say(StatusCode::OK, format!(r#"{{"close_signature": "{signature}"}}"#))
            }
            Err(refusal) => Answer::Say(StatusCode::BAD_REQUEST, refusal.to_string()),
        }
    }
}

fn open_account(channel: ChannelId) -> Account {
    let facts = ChainFacts {
        phase: Phase::Open,
        deposit: Deposit::MAX,
        unconfirmed_deposit: Deposit::MAX,
        ..ChainFacts::default()
    };
    Account::open(channel, facts, BY).into_after()
}
