//! Nodes over WebSocket: many requests in one connection, connections that break, word of new blocks.

use microraiden_chain::{ChainError, NewHeads, Node, NodeOptions, RpcError};
use microraiden_devchain::{Config, DevChain, Fault, FaultKind};
use microraiden_protocol::BlockNumber;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// What passes connections on to a node, until the test is over.
struct Relay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
}

impl Relay {
    /// The first connection gets this answer instead, if there is one.
    async fn start(node: SocketAddr, first_answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            cut: watch::Sender::default(),
        };
        let (connections, cut) = (relay.connections.clone(), relay.cut.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if connections.fetch_add(1, Ordering::Relaxed) == 0 && !first_answer.is_empty() {
                    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                    stream.write_all(first_answer.as_bytes()).await.unwrap();
                    continue;
                }
                let mut cut = cut.subscribe();
                tokio::spawn(async move {
                    let mut node = TcpStream::connect(node).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut node) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        relay
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> Node {
        let url = format!("ws://{}", self.address).parse().unwrap();
        Node::connect(&url).await.unwrap()
    }
}

async fn is_woken(heads: &mut NewHeads, within: Duration) -> bool {
    timeout(within, heads.next()).await.is_ok()
}

fn fault(method: &str, kind: FaultKind) -> Vec<Fault> {
    vec![Fault {
        methods: vec![method.to_owned()],
        kind,
        times: None,
    }]
}

#[tokio::test]
async fn requests_share_a_connection_and_do_not_wait_for_one_another() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let relay = Relay::start(chain.address(), "").await;
    let node = relay.connect().await;
    chain.set_faults(fault("eth_gasPrice", FaultKind::DelayMs(1000)));
    let slow = tokio::spawn({
        let node = node.clone();
        async move { node.gas_price().await }
    });
    for block in 1..=20 {
        chain.mine(1);
        assert_eq!(node.block_number().await.unwrap(), BlockNumber(block));
    }
    let missing = node.block(BlockNumber(21)).await.unwrap();
    assert_eq!(missing, None);
    assert!(slow.await.unwrap().unwrap() > 0);
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_broke_is_made_again() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let relay = Relay::start(chain.address(), "").await;
    let node = relay.connect().await;
    chain.set_faults(fault("eth_gasPrice", FaultKind::Drop));
    let unanswered = tokio::spawn({
        let node = node.clone();
        async move { node.gas_price().await }
    });
    for connections in 2..5 {
        relay.cut.send_replace(());
        let started = Instant::now();
        // A request that is made before the break is noticed is lost with the connection.
        while relay.connections() < connections {
            assert!(started.elapsed() < PATIENCE);
            match node.block_number().await {
                Ok(_) => {}
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
        node.block_number().await.unwrap();
    }
    let error = timeout(PATIENCE, unanswered).await.unwrap().unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ChainError::Request {
                source: RpcError::Connection(_),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_without_an_answer_ends_alone() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let relay = Relay::start(chain.address(), "").await;
    let url = format!("ws://{}", relay.address).parse().unwrap();
    let node = Node::connect_with(&url, Duration::from_millis(300))
        .await
        .unwrap();
    chain.set_faults(fault("eth_gasPrice", FaultKind::Drop));
    let error = node.gas_price().await.unwrap_err();
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
    node.block_number().await.unwrap();
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn new_blocks_wake_those_who_listen() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let relay = Relay::start(chain.address(), "").await;
    let node = relay.connect().await;
    let mut heads = node.new_heads();
    node.block_number().await.unwrap();
    assert!(!is_woken(&mut heads, Duration::from_millis(100)).await);
    for _ in 0..3 {
        chain.mine(1);
        assert!(is_woken(&mut heads, PATIENCE).await);
    }
    // What was announced while nobody looked counts once.
    chain.mine(5);
    node.block_number().await.unwrap();
    assert!(is_woken(&mut heads, PATIENCE).await);
    while is_woken(&mut heads, Duration::from_millis(100)).await {}

    // Nothing comes through a broken connection. The next request mends it.
    relay.cut.send_replace(());
    let started = Instant::now();
    while relay.connections() < 2 {
        assert!(started.elapsed() < PATIENCE && !is_woken(&mut heads, Duration::from_millis(10)).await);
        let _ = node.block_number().await;
    }
    node.block_number().await.unwrap();
    chain.mine(1);
    assert!(is_woken(&mut heads, PATIENCE).await);
}

#[tokio::test]
async fn nobody_is_woken_without_announcements() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let over_http = Node::connect(&chain.url().parse().unwrap()).await.unwrap();
    chain.set_faults(fault(
        "eth_subscribe",
        FaultKind::Refuse {
            code: -32601,
            message: "no such method".to_owned(),
        },
    ));
    let relay = Relay::start(chain.address(), "").await;
    let refused = relay.connect().await;
    for node in [over_http, refused] {
        let mut heads = node.new_heads();
        node.block_number().await.unwrap();
        chain.mine(1);
        assert!(!is_woken(&mut heads, Duration::from_millis(200)).await);
        node.block_number().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_without_websocket_is_passed_over_and_one_that_is_busy_waited_for() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let no_websocket = Relay::start(chain.address(), "HTTP/1.1 404 Not Found\r\n\r\n").await;
    let urls = [
        format!("ws://user:s3cret@{gone}/s3cret"),
        format!("ws://{}", no_websocket.address),
        chain.url(),
    ];
    let urls = urls.map(|url| url.parse().unwrap());
    let node = Node::connect_to(&urls, NodeOptions::default()).await.unwrap();
    assert!(!format!("{node:?}").contains("s3cret"));
    node.block_number().await.unwrap();
    let error = Node::connect(&urls[0]).await.unwrap_err();
    assert!(
        !format!("{error:?}").contains("s3cret") && error.is_transient(),
        "{error:?}"
    );

    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n\r\n";
    let busy = Relay::start(chain.address(), busy).await;
    let started = Instant::now();
    busy.connect().await.block_number().await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(busy.connections(), 2);
}
