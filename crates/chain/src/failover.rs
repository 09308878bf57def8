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

/// A request and when it is given up.
#[derive(Debug, Clone)]
struct Question {
    method: &'static str,
    params: Value,
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
        let mut failure = None;
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
                (Err(error), _) => failure = failure.or(Some(error)),
            }
        }
        let Some((_, chain_id)) = first else {
            return Err(
                failure.map_or(ChainError::NoAddress, |source| ChainError::Request {
                    method: CHAIN_ID,
                    source,
                }),
            );
        };
        let chain_id = *nodes.chain_id.get_or_init(|| chain_id);
        Ok((nodes, chain_id))
    }

    async fn first_chain_id(&self, endpoint: &Arc<Endpoint>) -> Result<u64, RpcError> {
        chain_id(
            self.ask(std::slice::from_ref(endpoint), CHAIN_ID, json!([]))
                .await?,
        )
    }

    /// Asks these, as far as they may be asked, until one answers.
    async fn ask(&self, candidates: &[Arc<Endpoint>], method: &'static str, params: Value) -> Answer {
        let question = Question {
            method,
            params,
            deadline: Instant::now() + 2 * self.request_timeout,
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
                    if asked && method == NOT_REPEATED {
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
        let deadline = question.deadline;
        let mut asked = false;
        let attempt = async {
            if let Some(expected) = self.chain_id.get()
                && endpoint.readiness() != Readiness::Ready
            {
                endpoint.check(*expected, deadline).await?;
            }
            asked = true;
            endpoint
                .request(question.method, question.params.clone(), deadline)
                .await
        };
        let answer = timeout_at(deadline, attempt)
            .await
            .unwrap_or(Err(RpcError::Timeout));
        match &answer {
            Err(error) if !asked || error.is_of_the_node() => endpoint.note(error, troubles),
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
mod tests {
    use super::*;
    use crate::connection::ConnectionError;
    use std::num::NonZeroU32;
    use std::time::Duration;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// What a node does with a request that is not about its chain id.
    #[derive(Debug, Clone, Copy)]
    enum Mood {
        Good,
        Away,
        Silent,
        Busy(Option<u64>),
        Stubborn,
    }

    #[derive(Debug)]
    struct State {
        mood: Mood,
        chain_id: u64,
        /// What was asked, and when, since the start.
        asked: Vec<(&'static str, Duration)>,
        started: Instant,
    }

    #[derive(Debug, Clone)]
    struct Fake(Arc<Mutex<State>>);

    impl Fake {
        fn new(mood: Mood) -> Self {
            Self(Arc::new(Mutex::new(State {
                mood,
                chain_id: 1,
                asked: vec![],
                started: Instant::now(),
            })))
        }

        fn set(&self, mood: Mood) {
            self.0.lock().unwrap().mood = mood;
        }

        /// What was asked since the last look.
        fn asked(&self) -> Vec<&'static str> {
            self.asked_at().into_iter().map(|(method, _)| method).collect()
        }

        fn asked_at(&self) -> Vec<(&'static str, Duration)> {
            std::mem::take(&mut self.0.lock().unwrap().asked)
        }

        fn note(&self, method: &'static str) -> (Mood, u64) {
            let mut state = self.0.lock().unwrap();
            let at = state.started.elapsed();
            state.asked.push((method, at));
            (state.mood, state.chain_id)
        }
    }

    impl Transport for Fake {
        fn request(&self, method: &'static str, _: Value) -> Answered<'_> {
            let (mood, chain_id) = self.note(method);
            Box::pin(async move {
                let text = match mood {
                    Mood::Away => return Err(RpcError::Connection(ConnectionError::Closed)),
                    Mood::Silent => {
                        tokio::time::sleep(TIMEOUT).await;
                        return Err(RpcError::Timeout);
                    }
                    Mood::Busy(seconds) => {
                        return Err(RpcError::Status {
                            status: 429,
                            retry_after: seconds.map(Duration::from_secs),
                        });
                    }
                    Mood::Stubborn if method != CHAIN_ID => {
                        return Err(RpcError::Refused {
                            code: -32000,
                            message: "nonce too low".to_owned(),
                            data: None,
                        });
                    }
                    _ if method == CHAIN_ID => format!("\"{chain_id:#x}\""),
                    _ => "\"0x5\"".to_owned(),
                };
                Ok(Some(RawValue::from_string(text).unwrap()))
            })
        }
    }

    async fn start(nodes: &[&Fake]) -> Failover {
        try_start(nodes).await.unwrap()
    }

    async fn try_start(nodes: &[&Fake]) -> Result<Failover, ChainError> {
        let transports = nodes
            .iter()
            .map(|node| Box::new((*node).clone()) as Box<dyn Transport>);
        let nodes_of_chain = Failover::start(
            transports.collect(),
            watch::Sender::default(),
            NodeOptions::default(),
        )
        .await?
        .0;
        nodes.iter().for_each(|node| drop(node.asked()));
        Ok(nodes_of_chain)
    }

    async fn ask(nodes: &Failover) -> Result<(), RpcError> {
        nodes.request("eth_call", Value::Null).await.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_is_asked_until_the_first_has_recovered() {
        let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Good));
        let nodes = start(&[&first, &second]).await;
        ask(&nodes).await.unwrap();
        assert_eq!((first.asked().len(), second.asked().len()), (1, 0));
        let epoch = nodes.epoch();

        first.set(Mood::Away);
        ask(&nodes).await.unwrap();
        ask(&nodes).await.unwrap();
        assert_eq!(
            (first.asked(), second.asked()),
            (vec!["eth_call"], vec!["eth_call"; 2])
        );
        assert_eq!(nodes.epoch(), epoch + 1);

        // It is looked after beside the requests, ever more seldom.
        let mut looks = vec![];
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ask(&nodes).await.unwrap();
            tokio::task::yield_now().await;
            looks.extend(first.asked_at());
        }
        let pauses: Vec<_> = looks
            .windows(2)
            .map(|pair| (pair[1].1 - pair[0].1).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60]);
        assert!(looks.iter().all(|(method, _)| *method == CHAIN_ID), "{looks:?}");

        first.set(Mood::Good);
        tokio::time::sleep(Duration::from_secs(60)).await;
        ask(&nodes).await.unwrap();
        tokio::task::yield_now().await;
        second.asked();
        ask(&nodes).await.unwrap();
        assert_eq!(
            (first.asked(), second.asked()),
            (vec![CHAIN_ID, "eth_call"], vec![])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_tried_once_also_when_all_have_failed_before() {
        let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Away));
        let nodes = start(&[&first, &second]).await;
        first.set(Mood::Away);
        let error = ask(&nodes).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(
            (first.asked(), second.asked()),
            (vec!["eth_call"], vec![CHAIN_ID])
        );
        first.set(Mood::Good);
        ask(&nodes).await.unwrap();
        // It had failed less often, and its rest ends first.
        assert_eq!(
            (first.asked(), second.asked()),
            (vec![CHAIN_ID, "eth_call"], vec![])
        );
        // What a node refuses would be refused by the others, too.
        first.set(Mood::Stubborn);
        second.set(Mood::Good);
        assert!(matches!(ask(&nodes).await, Err(RpcError::Refused { .. })));
        assert_eq!(second.asked(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_of_another_chain_are_not_used() {
        let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Good));
        second.0.lock().unwrap().chain_id = 5;
        let error = try_start(&[&first, &second]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "node 2 of the list is of chain 5, but node 1 is of chain 1"
        );

        // Away at the start, it is found out later.
        second.set(Mood::Away);
        let nodes = start(&[&first, &second]).await;
        first.set(Mood::Away);
        second.set(Mood::Good);
        let error = ask(&nodes).await.unwrap_err();
        assert!(
            matches!(
                error,
                RpcError::OtherChain {
                    found: 5,
                    expected: 1
                }
            ),
            "{error}"
        );
        assert_eq!(second.asked(), [CHAIN_ID]);
        second.0.lock().unwrap().chain_id = 1;
        ask(&nodes).await.unwrap();
        assert_eq!(second.asked(), [CHAIN_ID, "eth_call"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_is_enough_to_start() {
        let (first, second) = (Fake::new(Mood::Silent), Fake::new(Mood::Good));
        let nodes = start(&[&first, &second]).await;
        ask(&nodes).await.unwrap();
        second.set(Mood::Away);
        let error = try_start(&[&first, &second]).await.unwrap_err();
        assert!(
            matches!(
                error,
                ChainError::Request {
                    source: RpcError::Timeout,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(try_start(&[]).await, Err(ChainError::NoAddress)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_on_requests_slows_down_and_breaks_nothing() {
        let node = Fake::new(Mood::Good);
        let nodes = start(&[&node]).await;
        for (asks_for, waits_ms) in [(Some(7), 7000), (Some(0), 500), (None, 500)] {
            node.set(Mood::Busy(asks_for));
            let started = Instant::now();
            let recovery = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                node.set(Mood::Good);
            };
            let (answer, ()) = tokio::join!(ask(&nodes), recovery);
            answer.unwrap();
            let waited = started.elapsed().as_millis();
            assert!(
                (waits_ms..waits_ms + 5).contains(&waited),
                "{asks_for:?} {waited}"
            );
            assert_eq!(node.asked(), ["eth_call"; 2]);
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        // The start waits, too.
        node.set(Mood::Busy(Some(3)));
        let recovery = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            node.set(Mood::Good);
        };
        let again = [&node];
        let (started, ()) = tokio::join!(try_start(&again), recovery);
        started.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_limit_has_an_end() {
        let node = Fake::new(Mood::Good);
        let nodes = start(&[&node]).await;
        node.set(Mood::Busy(None));
        let started = Instant::now();
        let error = ask(&nodes).await.unwrap_err();
        assert!(matches!(error, RpcError::Status { status: 429, .. }), "{error}");
        // Half a second, one, two, four and eight.
        assert_eq!((node.asked().len(), started.elapsed().as_secs()), (6, 15));

        tokio::time::sleep(Duration::from_secs(100)).await;
        node.set(Mood::Busy(Some(3600)));
        let started = Instant::now();
        let error = ask(&nodes).await.unwrap_err();
        assert!(
            error.is_transient() && started.elapsed() < Duration::from_secs(1),
            "{error}"
        );
        node.set(Mood::Good);
        assert!(matches!(ask(&nodes).await, Err(RpcError::Limited)));
        assert_eq!(node.asked(), ["eth_call"]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        ask(&nodes).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_limit_while_another_node_works() {
        let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Good));
        let nodes = start(&[&first, &second]).await;
        first.set(Mood::Busy(Some(5)));
        let started = Instant::now();
        ask(&nodes).await.unwrap();
        ask(&nodes).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!((first.asked().len(), second.asked().len()), (1, 2));
        first.set(Mood::Good);
        tokio::time::sleep(Duration::from_secs(5)).await;
        // It was never in doubt, so it is not checked.
        ask(&nodes).await.unwrap();
        assert_eq!((first.asked(), second.asked()), (vec!["eth_call"], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_in_time_whatever_the_nodes_do() {
        let fakes = [(); 5].map(|()| Fake::new(Mood::Good));
        let nodes = start(&fakes.each_ref()).await;
        fakes.iter().for_each(|fake| fake.set(Mood::Silent));
        let started = Instant::now();
        let error = ask(&nodes).await.unwrap_err();
        assert!(matches!(error, RpcError::Timeout));
        let waited = started.elapsed().as_secs();
        assert!(
            (2 * TIMEOUT.as_secs()..2 * TIMEOUT.as_secs() + 1).contains(&waited),
            "{waited}"
        );
        // The next request begins with those that were not asked.
        fakes[4].set(Mood::Good);
        fakes[2].set(Mood::Away);
        fakes[3].set(Mood::Away);
        let started = Instant::now();
        ask(&nodes).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_whose_answer_is_lost_is_left_to_the_wallet() {
        let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Stubborn));
        let nodes = start(&[&first, &second]).await;
        let send = || nodes.request(NOT_REPEATED, Value::Null);
        first.set(Mood::Away);
        assert!(matches!(send().await, Err(RpcError::Connection(_))));
        assert_eq!(second.asked(), [""; 0]);
        // Offered again, it goes to the node that works.
        second.set(Mood::Good);
        send().await.unwrap();
        assert_eq!((first.asked().len(), second.asked()), (1, vec![NOT_REPEATED]));

        // A node that refuses for the number of requests has not taken it.
        tokio::time::sleep(Duration::from_secs(200)).await;
        first.set(Mood::Good);
        ask(&nodes).await.unwrap();
        tokio::task::yield_now().await;
        second.asked();
        first.set(Mood::Busy(None));
        send().await.unwrap();
        assert_eq!(second.asked(), [NOT_REPEATED]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_to_our_own_limit() {
        let node = Fake::new(Mood::Good);
        let options = NodeOptions {
            requests_per_second: NonZeroU32::new(4),
            ..NodeOptions::default()
        };
        let (nodes, _) = Failover::start(vec![Box::new(node.clone())], watch::Sender::default(), options)
            .await
            .unwrap();
        assert!(
            join_all((0..20).map(|_| ask(&nodes)))
                .await
                .iter()
                .all(Result::is_ok)
        );
        let times: Vec<_> = node.asked_at().iter().map(|(_, at)| at.as_millis()).collect();
        assert_eq!(times.len(), 21);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 249), "{times:?}");
        assert!(times[20] < 5100, "{times:?}");
        // 160 of them would take as long as a request may.
        let answers = join_all((0..200).map(|_| ask(&nodes))).await;
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(RpcError::Limited)));
        assert!((38..=42).contains(&refused.count()));
    }
}
