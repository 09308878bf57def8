//! A server that answers at random, out of all that an answer may say.

use crate::server::{Answer, Seen, Server};
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use microraiden_http::rest::CloseRequest;
use microraiden_http::{Form, PaymentHeaders, Receipt, Seller, headers, refusal_headers};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Address, Amount, Balance, BalanceProof, ChannelId, ProofScheme, SecretKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Whom the lies are about, and with what.
#[derive(Clone)]
pub(super) struct Cast {
    pub(super) seller: Seller,
    pub(super) scheme: ProofScheme,
    /// The receiver's.
    pub(super) key: SecretKey,
    /// For what the sender could have signed elsewhere; never for what it was not asked to sign here.
    pub(super) sender: SecretKey,
}

pub(super) struct Liar {
    pub(super) server: Server,
    mind: Arc<Mind>,
}

struct Mind {
    cast: Cast,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    proofs: Vec<BalanceProof>,
    served: usize,
}

/// What a payment may cost here.
const PRICES: [&str; 10] = ["5", "5", "5", "1", "3", "7", "10", "11", "0", "99999999"];
const GARBAGE: [&str; 8] = ["", "-1", "1e3", "0x", "five", "\u{e9}", " ", "1,2"];
const STATUSES: [u16; 10] = [200, 204, 301, 307, 404, 409, 429, 500, 502, 503];

impl Liar {
    pub(super) async fn start(cast: Cast, seed: u64) -> Self {
        let state = Mutex::new(State {
            rng: Rng::with_seed(seed),
            proofs: Vec::new(),
            served: 0,
        });
        let mind = Arc::new(Mind { cast, state });
        let script = mind.clone();
        let server = Server::start(move |seen| script.answer(seen)).await;
        Self { server, mind }
    }

    /// The highest proof that it was sent for each channel.
    ///
    /// # Panics
    /// When a proof is not for a channel to this receiver, on this contract.
    pub(super) fn highest(&self) -> BTreeMap<ChannelId, BalanceProof> {
        let mut highest = BTreeMap::new();
        for proof in &self.mind.state().proofs {
            let proof = *proof;
            proof
                .verify(&self.mind.cast.scheme)
                .expect("a proof for this receiver");
            let best = highest.entry(proof.channel).or_insert(proof);
            if proof.balance > best.balance {
                *best = proof;
            }
        }
        highest
    }

    /// How often it gave something for a payment.
    pub(super) fn served(&self) -> usize {
        self.mind.state().served
    }
}

impl Mind {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it was held")
    }

    fn answer(&self, seen: &Seen) -> Answer {
        let mut state = self.state();
        let state = &mut *state;
        if seen.path.contains("/channels/") {
            return self.close(&mut state.rng, seen);
        }
        let Some(payment) = &seen.payment else {
            return match state.rng.u8(..100) {
                0..90 => self.valid_challenge("5"),
                90..97 => self.challenge(state, None),
                _ => any_status(&mut state.rng),
            };
        };
        let proof = BalanceProof {
            channel: self.channel(payment.open_block),
            balance: payment.balance,
            signature: payment.signature.expect("a signature"),
        };
        let again = state.proofs.contains(&proof);
        state.proofs.push(proof);
        if again && state.rng.bool() {
            return self.haggle(state, payment, Refusal::AlreadySpent);
        }
        match state.rng.u8(..100) {
            0..35 => {
                state.served += 1;
                self.serve(&mut state.rng, payment)
            }
            35..65 => self.haggle(state, payment, Refusal::InvalidAmount),
            65..90 => self.challenge(state, Some(payment)),
            90..99 => any_status(&mut state.rng),
            _ => Answer::Silence,
        }
    }

    fn channel(&self, open_block: u32) -> ChannelId {
        ChannelId {
            sender: self.cast.sender.address(),
            receiver: self.cast.key.address(),
            open_block,
        }
    }

    fn valid_challenge(&self, price: &str) -> Answer {
        let mut headers = self.cast.seller.challenge(5.into());
        headers.insert(headers::PRICE, text(price));
        Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
    }

    /// A refusal with any flag, any code, any claim, and now and then a header that is wrong.
    fn challenge(&self, state: &mut State, payment: Option<&PaymentHeaders>) -> Answer {
        let rng = &mut state.rng;
        let mut headers = self.cast.seller.challenge(5.into());
        headers.insert(headers::PRICE, text(pick(rng, &PRICES)));
        if rng.u8(..3) > 0 {
            let refusal = pick(rng, &Refusal::ALL);
            let form = pick(rng, &[Form::Documented, Form::Legacy]);
            headers.extend(refusal_headers(refusal, form));
        }
        if rng.u8(..3) == 0 {
            // As in 2018.
            headers.remove(headers::ERROR);
            headers.remove(headers::CREDIT);
        }
        if let Some(payment) = payment
            && rng.u8(..5) > 0
        {
            let (balance, signature) = self.claim(rng, &state.proofs, payment);
            headers.insert(headers::SENDER_BALANCE, text(balance));
            headers.insert(headers::BALANCE_SIGNATURE, text(signature));
        }
        if rng.u8(..4) == 0 {
            headers.insert(headers::CREDIT, text(pick(rng, &[0u64, 1, 4, 50, u64::MAX])));
            headers.insert(headers::REFUND, text(pick(rng, &[0u64, 1, 50, u64::MAX])));
        }
        if rng.u8(..8) == 0 {
            self.spoil(rng, &mut headers, payment.is_some());
        }
        Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
    }

    /// A refusal that is in order: another price, and a proof of ours for some balance.
    fn haggle(&self, state: &mut State, payment: &PaymentHeaders, refusal: Refusal) -> Answer {
        let rng = &mut state.rng;
        let channel = self.channel(payment.open_block);
        let here = state.proofs.iter().filter(|proof| proof.channel == channel);
        let here: Vec<_> = here.collect();
        let proof = here[rng.usize(..here.len())];
        let mut headers = self.cast.seller.challenge(5.into());
        headers.insert(headers::PRICE, text(pick(rng, &["1", "5", "9", "10"])));
        headers.extend(refusal_headers(refusal, Form::Documented));
        headers.insert(headers::SENDER_BALANCE, text(proof.balance));
        headers.insert(headers::BALANCE_SIGNATURE, text(proof.signature));
        Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
    }

    /// A balance with a signature: one that it was sent, or one of elsewhere, or a forged one.
    fn claim(&self, rng: &mut Rng, proofs: &[BalanceProof], payment: &PaymentHeaders) -> (Balance, String) {
        let seen = proofs[rng.usize(..proofs.len())];
        let balance = Balance::from(rng.u64(..60));
        let Cast {
            scheme, sender, key, ..
        } = &self.cast;
        let here = self.channel(payment.open_block);
        let proof = match rng.u8(..8) {
            0..4 => seen,
            4 => BalanceProof {
                balance: Balance::ZERO,
                ..seen
            },
            5 => {
                let contract = Address::repeat_byte(7);
                ProofScheme::DraftTypedData { contract }.sign_balance_proof(sender, here, balance)
            }
            6 => scheme.sign_balance_proof(sender, self.channel(payment.open_block + 1), balance),
            _ => scheme.sign_balance_proof(key, here, balance),
        };
        (proof.balance, proof.signature.to_string())
    }

    /// Another receiver is named to who knows one already: the first that is named is the right one.
    fn spoil(&self, rng: &mut Rng, headers: &mut HeaderMap, is_known: bool) {
        let names: Vec<HeaderName> = headers.keys().cloned().collect();
        let name = pick(rng, &names);
        let seller = &self.cast.seller;
        match rng.u8(..4) {
            0 => drop(headers.remove(name)),
            1 => drop(headers.insert(name, text(pick(rng, &GARBAGE)))),
            2 => {
                let other = if is_known && rng.bool() {
                    headers::RECEIVER_ADDRESS
                } else {
                    headers::CONTRACT_ADDRESS
                };
                headers.insert(other, text(seller.token));
            }
            _ => {
                let elsewhere = "//203.0.113.1/";
                headers.insert(headers::GATEWAY_PATH, text(elsewhere));
            }
        }
    }

    /// Something for a payment, with a receipt that may say anything.
    fn serve(&self, rng: &mut Rng, payment: &PaymentHeaders) -> Answer {
        let mut receipt = Receipt {
            sender: payment.sender,
            balance: payment.balance,
            cost: 5.into(),
            credit: 0.into(),
            refund: 0.into(),
        };
        match rng.u8(..10) {
            0 => receipt.cost = rng.u64(..20).into(),
            1 => receipt.credit = rng.u64(..20).into(),
            2 => receipt.refund = rng.u64(..20).into(),
            3 => receipt.balance = rng.u64(..60).into(),
            4 => receipt.sender = Address::repeat_byte(8),
            5 => return Answer::Reply(StatusCode::OK, HeaderMap::new()),
            _ => {}
        }
        Answer::Reply(StatusCode::OK, receipt.headers())
    }

    fn close(&self, rng: &mut Rng, seen: &Seen) -> Answer {
        let request: Option<CloseRequest> = serde_json::from_slice(&seen.body).ok();
        let block = seen.path.rsplit('/').next().and_then(|block| block.parse().ok());
        let (Some(request), Some(block)) = (request, block) else {
            return any_status(rng);
        };
        let one = |balance: Balance| balance.checked_add(Amount::from(1)).unwrap_or(balance);
        let balance = match rng.u8(..8) {
            0..5 => request.balance,
            5 => one(request.balance),
            6 => return Answer::Say(StatusCode::OK, r#"{"close_signature": "0x12"}"#.to_owned()),
            _ => return any_status(rng),
        };
        let Cast { scheme, key, .. } = &self.cast;
        let signature = scheme.sign_closing(key, &self.channel(block), balance);
        Answer::Say(StatusCode::OK, format!(r#"{{"close_signature": "{signature}"}}"#))
    }
}

fn any_status(rng: &mut Rng) -> Answer {
    let status = StatusCode::from_u16(pick(rng, &STATUSES)).expect("a status");
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, text(pick(rng, &["0", "-1", "never"])));
    headers.insert(header::LOCATION, text("http://203.0.113.1/"));
    Answer::Reply(status, headers)
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

fn text(value: impl ToString) -> HeaderValue {
    HeaderValue::from_bytes(value.to_string().as_bytes()).expect("a header value")
}
