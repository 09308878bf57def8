//! Which node is asked when, with nodes that do as they are told and a clock that does not wait.

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
async fn a_node_that_comes_and_goes_rests_longer_each_time() {
    let (first, second) = (Fake::new(Mood::Good), Fake::new(Mood::Good));
    let nodes = start(&[&first, &second]).await;
    let mut rests = vec![];
    for _ in 0..5 {
        first.set(Mood::Away);
        ask(&nodes).await.unwrap();
        first.set(Mood::Good);
        first.asked();
        let failed = Instant::now();
        while first.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ask(&nodes).await.unwrap();
            tokio::task::yield_now().await;
        }
        rests.push(failed.elapsed().as_millis() / 500);
    }
    assert_eq!(rests, [1, 2, 4, 8, 16]);
    // After a minute of good behaviour it is forgotten.
    tokio::time::sleep(Duration::from_secs(100)).await;
    first.set(Mood::Away);
    ask(&nodes).await.unwrap();
    first.set(Mood::Good);
    tokio::time::sleep(Duration::from_millis(600)).await;
    first.asked();
    ask(&nodes).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(first.asked(), [CHAIN_ID]);
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
    let error = try_start(&[&first]).await.unwrap_err();
    let of_one = ChainError::Request {
        method: CHAIN_ID,
        source: RpcError::Timeout,
    };
    assert_eq!(error.to_string(), of_one.to_string());
    assert!(error.is_transient());
    let error = try_start(&[&first, &second]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of the nodes answers: node 1: no answer within the time limit; node 2: the connection failed: \
         the node closed it, or does not speak the protocol"
    );
    assert!(error.is_transient());
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
    // A request waits for 20 seconds at most, and 80 are made in these.
    let answers = join_all((0..200).map(|_| ask(&nodes))).await;
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(RpcError::Limited)));
    assert!((118..=122).contains(&refused.count()));
}
