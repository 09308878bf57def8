//! Several addresses as one node: what one does not answer, the next one may.

use crate::endpoint::{CHAIN_ID, Endpoint, Readiness, chain_id};
use crate::error::ChainError;
use crate::heads::NewHeads;
use crate::node::NodeOptions;
use crate::rpc::{Answered, RpcError, Transport};
use futures_util::future::join_all;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How often a request waits because of limits on the number of requests.
const MOST_WAITS: u32 = 5;
/// Not repeated when its answer was lost: the wallet must know, since the next node may say that the nonce is taken
/// when it was this very transaction that took it.
const NOT_REPEATED: &str = "eth_sendRawTransaction";

/// Nodes of one chain, in the order in which they are preferred.
///
/// A request goes to the first one that works, and to each of the others at most once when that one fails. A node that
/// fails is left alone for a while, and its chain id is asked for before it is used again.
#[derive(Debug)]
pub(crate) struct Failover {
    endpoints: Vec<Arc<Endpoint>>,
    chain_id: OnceLock<u64>,
    request_timeout: Duration,
    spokesman: Mutex<Spokesman>,
    heads: watch::Sender<()>,
}

/// Who answered last.
#[derive(Debug, Default)]
struct Spokesman {
    position: usize,
    changes: u64,
}

/// A request, and its limits.
#[derive(Debug, Clone)]
struct Question {
    method: &'static str,
    params: Value,
    /// How long it waits for its turn at most.
    latest: Instant,
    /// When it is given up.
    deadline: Instant,
}

type Answer = Result<Option<Box<RawValue>>, RpcError>;

impl Failover {
    /// Asks all for their chain id at once; the id, once those that answer agree. The transports tell `heads` of new
    /// blocks.
    ///
    /// # Errors
    /// When none answers, or [`ChainError::OtherChain`].
    pub(crate) async fn start(
        transports: Vec<Box<dyn Transport>>,
        heads: watch::Sender<()>,
        options: NodeOptions,
    ) -> Result<(Self, u64), ChainError> {
        let endpoints = transports.into_iter().zip(1..).map(|(transport, position)| {
            Arc::new(Endpoint::new(position, transport, options.requests_per_second))
        });
        let nodes = Self {
            endpoints: endpoints.collect(),
            chain_id: OnceLock::new(),
            request_timeout: options.request_timeout,
            spokesman: Mutex::default(),
            heads,
        };
        let answers = nodes
            .endpoints
            .iter()
            .map(|endpoint| nodes.first_chain_id(endpoint));
        let mut first: Option<(&Endpoint, u64)> = None;
        let mut failures = Vec::new();
        for (endpoint, answer) in nodes.endpoints.iter().zip(join_all(answers).await) {
            match (answer, first) {
                (Ok(found), Some((right, expected))) if found != expected => {
                    return Err(ChainError::OtherChain {
                        position: endpoint.position,
                        found,
                        right: right.position,
                        expected,
                    });
                }
                (Ok(found), _) => {
                    first = first.or(Some((endpoint, found)));
                    endpoint.admit();
                }
                (Err(error), _) => failures.push((endpoint.position, error)),
            }
        }
        let Some((_, chain_id)) = first else {
            return Err(none_answers(failures));
        };
        for (node, error) in failures {
            tracing::warn!(node, %error, "the node fails");
        }
        let chain_id = *nodes.chain_id.get_or_init(|| chain_id);
        Ok((nodes, chain_id))
    }

    async fn first_chain_id(&self, endpoint: &Arc<Endpoint>) -> Result<u64, RpcError> {
        let only = std::slice::from_ref(endpoint);
        chain_id(self.ask(only, CHAIN_ID, json!([])).await?)
    }

    /// Asks these, as far as they may be asked, until one answers.
    async fn ask(&self, candidates: &[Arc<Endpoint>], method: &'static str, params: Value) -> Answer {
        let latest = Instant::now() + self.request_timeout;
        let question = Question {
            method,
            params,
            latest,
            deadline: latest + self.request_timeout,
        };
        let mut left: Vec<&Arc<Endpoint>> = candidates.iter().collect();
        let (mut failure, mut waits) = (RpcError::Limited, 0);
        loop {
            for endpoint in self.in_order(&left) {
                let (asked, answer) = self.attempt(endpoint, &question).await;
                let error = match answer {
                    Err(error) if !asked || error.is_of_the_node() => error,
                    answer => return answer,
                };
                if !error.is_rate_limit() {
                    if asked && method == NOT_REPEATED && error.may_be_carried_out() {
                        return Err(error);
                    }
                    left.retain(|other| !Arc::ptr_eq(other, endpoint));
                }
                failure = error;
                if Instant::now() >= question.deadline {
                    return Err(failure);
                }
            }
            let limits = left.iter().filter_map(|endpoint| match endpoint.readiness() {
                Readiness::Limited(until) => Some(until),
                _ => None,
            });
            match limits.min() {
                Some(until) if waits < MOST_WAITS && until < question.deadline => sleep_until(until).await,
                _ => return Err(failure),
            }
            waits += 1;
        }
    }

    /// Those that may be asked, the best first. When one works, those that have rested are tried beside the request.
    fn in_order<'a>(&self, endpoints: &[&'a Arc<Endpoint>]) -> Vec<&'a Arc<Endpoint>> {
        let mut order: Vec<_> = endpoints
            .iter()
            .map(|endpoint| (endpoint.readiness(), *endpoint))
            .filter(|(readiness, _)| !matches!(readiness, Readiness::Limited(_)))
            .collect();
        // The order of the list stays among those that are equally ready.
        order.sort_by_key(|(readiness, _)| *readiness);
        if order.first().is_some_and(|(best, _)| *best == Readiness::Ready) {
            let rested = order
                .iter()
                .filter(|(readiness, _)| *readiness == Readiness::Rested);
            rested.for_each(|(_, endpoint)| self.try_again(endpoint));
        }
        order.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// Finds out in the background whether an endpoint works again.
    fn try_again(&self, endpoint: &Arc<Endpoint>) {
        let Some(expected) = self.chain_id.get().copied() else {
            return;
        };
        endpoint.reserve(self.request_timeout);
        let (endpoint, deadline) = (endpoint.clone(), Instant::now() + self.request_timeout);
        tokio::spawn(async move {
            let troubles = endpoint.troubles();
            let checked = timeout_at(deadline, endpoint.check(expected, deadline)).await;
            match checked.unwrap_or(Err(RpcError::Timeout)) {
                Ok(()) => tracing::info!(node = endpoint.position, "the node is used again"),
                Err(error) => endpoint.note(&error, troubles),
            }
        });
    }

    /// Asks one, after its chain id if need be; whether the request itself was made, and what came back.
    async fn attempt(&self, endpoint: &Endpoint, question: &Question) -> (bool, Answer) {
        let troubles = endpoint.troubles();
        let mut asked = false;
        let attempt = async {
            if let Some(expected) = self.chain_id.get()
                && endpoint.readiness() != Readiness::Ready
            {
                endpoint.check(*expected, question.latest).await?;
            }
            asked = true;
            let params = question.params.clone();
            endpoint.request(question.method, params, question.latest).await
        };
        let answer = timeout_at(question.deadline, attempt).await;
        let answer = answer.unwrap_or(Err(RpcError::Timeout));
        match &answer {
            Err(error) if !asked || error.is_of_the_node() => match self.chain_id.get() {
                Some(_) => endpoint.note(error, troubles),
                None => endpoint.note_first(error, troubles),
            },
            _ => self.note_answer(endpoint.position),
        }
        (asked, answer)
    }

    fn note_answer(&self, position: usize) {
        let mut spokesman = self.spokesman.lock().unwrap_or_else(PoisonError::into_inner);
        if spokesman.position != position {
            *spokesman = Spokesman {
                position,
                changes: spokesman.changes + 1,
            };
        }
    }
}

/// Why nothing can be connected to; of a single node as of any request.
fn none_answers(failures: Vec<(usize, RpcError)>) -> ChainError {
    let mut failures: Vec<_> = failures.into_iter().map(|(_, error)| error).collect();
    match failures.pop() {
        None => ChainError::NoAddress,
        Some(source) if failures.is_empty() => ChainError::Request {
            method: CHAIN_ID,
            source,
        },
        Some(last) => {
            failures.push(last);
            ChainError::NoneAnswers { failures }
        }
    }
}

impl Transport for Failover {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        Box::pin(self.ask(&self.endpoints, method, params))
    }

    fn new_heads(&self) -> NewHeads {
        self.heads.subscribe().into()
    }

    fn epoch(&self) -> u64 {
        self.spokesman
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .changes
    }
}

#[cfg(test)]
mod tests;
