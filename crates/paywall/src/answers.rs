//! Small answers that were paid for, kept for a minute: a lost one is given again.
//!
//! A connection may break after the payment and before the answer has arrived. The same proof with
//! the same request then gets the same answer, uncharged. What is kept is bounded, in this process's
//! memory only, and is lost with it.

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use microraiden_protocol::{Amount, B256, Balance, ChannelId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest body that is kept, of requests and of answers.
pub(crate) const LONGEST_BODY: usize = 64 << 10;
/// How much is kept in all.
const CAPACITY: usize = 64 << 20;
/// For how long.
const LIFETIME: Duration = Duration::from_secs(60);
/// What an answer takes beside what it holds, roughly.
const OVERHEAD: usize = 512;

/// A proof, by what it pays on and up to where: its unit is sold once.
pub(crate) type Proof = (ChannelId, Balance);

/// What makes a request the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    method: Method,
    /// Host, path and query.
    target: String,
    payment: Amount,
}

impl Question {
    /// Of the request that states this payment.
    pub(crate) fn new(parts: &Parts, payment: Amount) -> Self {
        // Routers cut the path that they pass on.
        let original = parts.extensions.get::<axum::extract::OriginalUri>();
        let uri = original.map_or(&parts.uri, |original| &original.0);
        let host = parts.headers.get(header::HOST).map(|host| host.as_bytes());
        let host = String::from_utf8_lossy(host.unwrap_or_default());
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        Self {
            method: parts.method.clone(),
            target: format!("{host}{path}"),
            payment,
        }
    }
}

/// An answer as the client got it, or should have.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        OVERHEAD + headers + self.body.len()
    }
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Proof, Kept>,
    /// In the order in which they were kept.
    order: VecDeque<(Proof, Instant)>,
    size: usize,
}

#[derive(Debug)]
struct Kept {
    question: Question,
    request_body: B256,
    answer: Answer,
    since: Instant,
    size: usize,
}

impl Answers {
    /// Keeps an answer; the oldest make room.
    pub(crate) fn keep(
        &self,
        proof: Proof,
        question: Question,
        request_body: B256,
        answer: Answer,
        now: Instant,
    ) {
        let size = answer.size() + question.target.len();
        if answer.body.len() > LONGEST_BODY || size > CAPACITY {
            return;
        }
        let kept = Kept {
            question,
            request_body,
            answer,
            since: now,
            size,
        };
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.remove(&proof);
        shelf.size += size;
        shelf.kept.insert(proof, kept);
        shelf.order.push_back((proof, now));
        shelf.make_room(now);
    }

    /// Whether this question was answered for this proof, and what its body must hash to.
    pub(crate) fn expects(&self, proof: &Proof, question: &Question, now: Instant) -> Option<B256> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shelf.kept.get(proof)?;
        let fresh = now.duration_since(kept.since) <= LIFETIME;
        (fresh && kept.question == *question).then_some(kept.request_body)
    }

    /// The answer.
    pub(crate) fn get(&self, proof: &Proof) -> Option<Answer> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.kept.get(proof).map(|kept| kept.answer.clone())
    }
}

impl Shelf {
    fn remove(&mut self, proof: &Proof) {
        if let Some(kept) = self.kept.remove(proof) {
            self.size -= kept.size;
        }
    }

    fn make_room(&mut self, now: Instant) {
        while let Some((proof, since)) = self.order.front().copied() {
            let expired = now.duration_since(since) > LIFETIME;
            if self.size <= CAPACITY && !expired {
                break;
            }
            self.order.pop_front();
            // Its unit may have been released and sold again since.
            if self.kept.get(&proof).is_some_and(|kept| kept.since == since) {
                self.remove(&proof);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::Address;

    fn proof(balance: u64) -> Proof {
        let channel = ChannelId {
            sender: Address::ZERO,
            receiver: Address::ZERO,
            open_block: 1,
        };
        (channel, balance.into())
    }

    fn question(target: &str, payment: u64) -> Question {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = target.parse().unwrap();
        Question::new(&parts, payment.into())
    }

    fn answer(length: usize) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![7; length].into(),
        }
    }

    #[test]
    fn only_the_same_question_gets_the_answer_and_for_a_minute() {
        let answers = Answers::default();
        let now = Instant::now();
        let body = B256::repeat_byte(1);
        answers.keep(proof(5), question("/a?b", 5), body, answer(3), now);
        let asks =
            |balance, target, payment, now| answers.expects(&proof(balance), &question(target, payment), now);
        assert_eq!(asks(5, "/a?b", 5, now + LIFETIME), Some(body));
        assert_eq!(asks(5, "/a?b", 5, now + 2 * LIFETIME), None);
        assert_eq!(asks(6, "/a?b", 5, now), None);
        assert_eq!(asks(5, "/a?c", 5, now), None);
        assert_eq!(asks(5, "/a?b", 4, now), None);
        assert_eq!(answers.get(&proof(5)).unwrap().body.len(), 3);
    }

    #[test]
    fn the_oldest_make_room_and_large_ones_are_not_kept() {
        let answers = Answers::default();
        let now = Instant::now();
        answers.keep(
            proof(0),
            question("/", 1),
            B256::ZERO,
            answer(LONGEST_BODY + 1),
            now,
        );
        assert!(answers.get(&proof(0)).is_none());
        let many = u64::try_from(CAPACITY / LONGEST_BODY + 10).unwrap();
        for balance in 0..many {
            answers.keep(
                proof(balance),
                question("/", 1),
                B256::ZERO,
                answer(LONGEST_BODY),
                now,
            );
        }
        assert!(answers.get(&proof(0)).is_none());
        assert!(answers.get(&proof(many - 1)).is_some());
        assert!(answers.0.lock().unwrap().size <= CAPACITY);
        // The same unit sold again, after a release: the newer answer stays when the older expires.
        let later = now + LIFETIME;
        answers.keep(proof(many - 1), question("/", 1), B256::ZERO, answer(1), later);
        answers.keep(
            proof(many),
            question("/", 1),
            B256::ZERO,
            answer(1),
            later + Duration::from_secs(1),
        );
        assert_eq!(answers.get(&proof(many - 1)).unwrap().body.len(), 1);
        let shelf = answers.0.lock().unwrap();
        assert_eq!((shelf.kept.len(), shelf.order.len()), (2, 2));
        assert_eq!(
            shelf.size,
            shelf.kept.values().map(|kept| kept.size).sum::<usize>()
        );
    }
}
