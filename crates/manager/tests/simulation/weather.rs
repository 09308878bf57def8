//! What is wrong with the world outside, and the line to it that one life of the receiver's program has.

use crate::life::Life;
use crate::rpc::Rpc;
use crate::stage::Stage;
use crate::transaction::Transaction;
use alloy_primitives::Bytes;
use fastrand::Rng;
use microraiden_chain::{Answered, RpcError, Transport};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How node and disk behave for now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) outage: Option<Outage>,
    /// One request of so many fails; 0 for none.
    pub(crate) failing: u8,
    /// One answer of so many to a transaction that was taken is lost; 0 for none.
    pub(crate) losing: u8,
    /// The node is up to so many blocks late with each answer.
    pub(crate) late: u64,
    /// Transactions are mined up to so many blocks later than they could be.
    pub(crate) delay: u64,
    /// The store takes no more for now, one time of so many; 0 for never.
    pub(crate) busy: u8,
    /// A store that is shared cannot be reached.
    pub(crate) away: bool,
    /// The connection to it breaks at one batch of so many; 0 for never.
    pub(crate) breaking: u8,
}

/// How a node does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    Silent,
    Down,
    Limited,
}

/// Whether something happens that happens one time of so many; 0 for never.
pub(crate) fn one_of(rng: &mut Rng, many: u8) -> bool {
    many > 0 && rng.u8(..many) == 0
}

/// The way to the node and back.
pub(crate) struct Line {
    stage: Arc<Stage>,
    life: Arc<Life>,
    rng: Mutex<Rng>,
}

/// What happens to one request.
struct Course {
    there: Duration,
    back: Duration,
    outage: Option<Outage>,
    lost: bool,
    late: u64,
    delay: u64,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    pub(crate) fn new(stage: Arc<Stage>, life: Arc<Life>, rng: Rng) -> Arc<Self> {
        let rng = Mutex::new(rng);
        Arc::new(Self { stage, life, rng })
    }

    fn course(&self, method: &str) -> Course {
        let weather = *self.stage.weather();
        let mut rng = self.rng.lock().unwrap();
        let fails = one_of(&mut rng, weather.failing);
        let any = [Outage::Silent, Outage::Down, Outage::Limited];
        let outage = weather.outage.or_else(|| rng.choice(any).filter(|_| fails));
        Course {
            there: Duration::from_millis(rng.u64(1..20)),
            back: Duration::from_millis(rng.u64(1..20)),
            outage,
            lost: method == "eth_sendRawTransaction" && one_of(&mut rng, weather.losing),
            late: rng.u64(..=weather.late),
            delay: rng.u64(..=weather.delay),
        }
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Option<Box<RawValue>>, RpcError> {
        let course = self.course(method);
        self.life.travel(course.there).await;
        if let Some(outage) = course.outage {
            let error = match outage {
                Outage::Silent => {
                    self.life.travel(REQUEST_TIMEOUT).await;
                    RpcError::Timeout
                }
                Outage::Down => RpcError::Status {
                    status: 503,
                    retry_after: None,
                },
                Outage::Limited => RpcError::Refused {
                    code: -32005,
                    message: "rate limit exceeded".to_owned(),
                    data: None,
                },
            };
            self.stage.note(format_args!("{method} fails: {error}"));
            return Err(error);
        }
        let answer = self.answer(method, &params, &course);
        self.life.travel(course.back).await;
        if course.lost {
            self.stage.note(format_args!("the answer to {method} is lost"));
            return Err(RpcError::Timeout);
        }
        self.stage.witness().answered(method, &answer);
        answer.map(|value| (!value.is_null()).then(|| to_raw_value(&value).unwrap()))
    }

    fn answer(&self, method: &str, params: &Value, course: &Course) -> Result<Value, RpcError> {
        if method == "eth_sendRawTransaction" {
            self.watch(&params[0]);
        }
        let mut chain = self.stage.chain();
        let not_before = chain.head().number + 1 + course.delay;
        let mut node = Rpc {
            chain: &mut chain,
            late: course.late,
            not_before,
        };
        let answer = node.answer(method, params);
        drop(chain);
        let mut shown = match &answer {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        shown.truncate(70);
        self.stage.note(format_args!("{method} -> {shown}"));
        answer
    }

    /// Sees what the receiver signs, before it can have any effect.
    fn watch(&self, raw: &Value) {
        let raw: Bytes = serde_json::from_value(raw.clone()).unwrap();
        let transaction = Transaction::decode(&raw, crate::stage::CHAIN_ID).unwrap();
        self.stage.sent_by_receiver(&transaction);
    }
}

impl Transport for Line {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        Box::pin(self.ask(method, params))
    }
}
