//! Requests with payments, signed before they are needed, since signing takes as long as checking.

use http::HeaderMap;
use microraiden_http::payment_headers;
use microraiden_protocol::{Address, Amount, Balance, ChannelId, Price, ProofScheme, SecretKey};
use std::collections::VecDeque;
use std::num::NonZero;
use std::thread;
use url::Url;

/// A GET request of a resource, as bytes.
pub(super) fn request(url: &Url, headers: &HeaderMap) -> Vec<u8> {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut bytes = format!("GET {}{query} HTTP/1.1\r\nhost: {authority}\r\n", url.path()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// What is bought, and how it is paid.
#[derive(Debug, Clone)]
pub(super) struct Goods {
    pub(super) url: Url,
    pub(super) price: Price,
    pub(super) contract: Address,
    pub(super) scheme: ProofScheme,
}

/// One channel, and its requests that are ready.
#[derive(Debug)]
pub(super) struct Payer {
    key: SecretKey,
    channel: ChannelId,
    /// The highest balance that was signed.
    signed: Balance,
    /// The most that may be.
    limit: Balance,
    ready: VecDeque<Box<[u8]>>,
    /// How many requests were answered with 200.
    pub(super) served: u64,
}

impl Payer {
    /// A channel that nothing was paid on yet; never signs more than `limit`.
    pub(super) fn new(key: SecretKey, channel: ChannelId, limit: Balance) -> Self {
        Self {
            key,
            channel,
            signed: Balance::ZERO,
            limit,
            ready: VecDeque::new(),
            served: 0,
        }
    }

    pub(super) const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The next request; none when no more are ready.
    pub(super) fn next(&mut self) -> Option<Box<[u8]>> {
        self.ready.pop_front()
    }

    /// Whether nothing is ready.
    pub(super) fn is_spent(&self) -> bool {
        self.ready.is_empty()
    }

    /// What was paid for everything that was served; `None` beyond what a token can have.
    pub(super) fn paid(&self, price: Price) -> Option<Balance> {
        let paid = price.base_units().checked_mul(self.served.try_into().ok()?)?;
        Some(Balance::new(paid))
    }

    /// Signs until so many requests are ready, or the limit is reached.
    fn fill(&mut self, ready: usize, goods: &Goods) {
        while self.ready.len() < ready {
            let next = self.signed.checked_add(goods.price);
            let Some(next) = next.filter(|next| *next <= self.limit) else {
                return;
            };
            let proof = goods.scheme.sign_balance_proof(&self.key, self.channel, next);
            let headers = payment_headers(goods.contract, &proof, Some(Amount::from(goods.price)));
            self.ready.push_back(request(&goods.url, &headers).into());
            self.signed = next;
        }
    }

    /// Some valid proofs for measuring how fast they are checked; none of them is ever sent.
    pub(super) fn proofs(&self, count: u64, goods: &Goods) -> Vec<microraiden_protocol::BalanceProof> {
        (1..=count)
            .map(|balance| {
                goods
                    .scheme
                    .sign_balance_proof(&self.key, self.channel, balance.into())
            })
            .collect()
    }
}

/// Has every payer sign, on all cores.
pub(super) fn fill(payers: &mut [Payer], ready: usize, goods: &Goods) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = payers.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        for payers in payers.chunks_mut(share) {
            scope.spawn(move || payers.iter_mut().for_each(|payer| payer.fill(ready, goods)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goods() -> Goods {
        let contract = Address::ZERO;
        Goods {
            url: "http://127.0.0.1:5000/a?b=c".parse().unwrap(),
            price: 5.into(),
            contract,
            scheme: ProofScheme::DraftTypedData { contract },
        }
    }

    fn payer(limit: u64) -> Payer {
        let key = SecretKey::from_bytes(&[1; 32]).unwrap();
        let channel = ChannelId {
            sender: key.address(),
            receiver: Address::ZERO,
            open_block: 7,
        };
        Payer::new(key, channel, limit.into())
    }

    #[test]
    fn nothing_is_signed_above_the_limit() {
        let mut payers = [payer(14), payer(4), payer(1_000)];
        fill(&mut payers, 3, &goods());
        let ready = payers.iter().map(|payer| payer.ready.len());
        assert_eq!(ready.collect::<Vec<_>>(), [2, 0, 3]);
        assert_eq!(payers[0].signed, 10.into());
        fill(&mut payers, 3, &goods());
        assert_eq!(payers[2].ready.len(), 3, "what is ready is not signed again");
    }

    #[test]
    fn requests_carry_their_payment() {
        let mut payer = payer(100);
        payer.fill(2, &goods());
        for balance in ["5", "10"] {
            let request = String::from_utf8(payer.next().unwrap().into()).unwrap();
            assert!(
                request.starts_with("GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:5000\r\n"),
                "{request}"
            );
            assert!(
                request.contains(&format!("rdn-sender-balance: {balance}\r\n")),
                "{request}"
            );
            assert!(
                request.contains("rdn-payment: 5\r\n") && request.ends_with("\r\n\r\n"),
                "{request}"
            );
        }
        assert!(payer.next().is_none());
        payer.served = 2;
        assert_eq!(payer.paid(5.into()), Some(10.into()));
    }
}
