//! The server: start, stop, neighbours, browsers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use microraiden_devchain::{Config, DevChain, Mining, StartError};

use crate::{client, send, signer, start, start_manual, transfer};

#[tokio::test]
async fn a_node_starts_at_once_and_says_who_it_is() {
    let started = Instant::now();
    let node = start().await;
    let client = client(&node, 0);
    assert_eq!(client.get_chain_id().await.unwrap(), 31337);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(node.url(), format!("http://127.0.0.1:{}", node.address().port()));
    assert_eq!(client.get_net_version().await.unwrap(), 31337);
    assert!(
        client
            .get_client_version()
            .await
            .unwrap()
            .starts_with("microraiden-devchain/")
    );
    assert_eq!(client.get_accounts().await.unwrap().len(), 10);
    assert!(
        !client
            .raw_request::<_, bool>("eth_syncing".into(), ())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_accounts_own_their_keys_and_keep_them_out_of_logs() {
    let node = start().await;
    let client = client(&node, 0);
    for (index, account) in node.accounts().iter().enumerate() {
        assert_eq!(signer(&node, index).address(), account.address);
        let ether = U256::from(10).pow(U256::from(18));
        assert_eq!(
            client.get_balance(account.address).await.unwrap(),
            U256::from(10_000) * ether
        );
    }
    let printed = format!("{:?}", node.accounts());
    assert!(printed.contains("secret_key: ***"));
    assert!(!printed.contains("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"));
}

#[tokio::test]
async fn two_chains_live_in_one_process() {
    let first = start().await;
    let second = DevChain::start(Config {
        chain_id: 5,
        ..Config::default()
    })
    .await
    .unwrap();
    send(&client(&first, 0), transfer(Address::ZERO, 1)).await;
    let receipt = send(&client(&second, 0), transfer(Address::ZERO, 1)).await;
    assert!(receipt.status());
    second.mine(4);
    assert_eq!((first.block_number(), second.block_number()), (1, 5));
    assert_eq!((first.chain_id(), second.chain_id()), (31337, 5));
    assert_ne!(first.address(), second.address());
}

#[tokio::test]
async fn blocks_come_by_themselves_in_intervals() {
    let mining = Mining {
        instant: false,
        interval: Some(Duration::from_millis(20)),
    };
    let node = DevChain::start(Config {
        mining,
        ..Config::default()
    })
    .await
    .unwrap();
    let receipt = send(&client(&node, 0), transfer(Address::ZERO, 1)).await;
    assert!(receipt.status());
    let mined = receipt.block_number.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while node.block_number() < mined + 3 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn instant_mining_can_be_switched() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let waiting = client.send_transaction(transfer(Address::ZERO, 1)).await.unwrap();
    assert_eq!(node.block_number(), 0);
    let _: Option<()> = client
        .raw_request("evm_setAutomine".into(), (true,))
        .await
        .unwrap();
    assert_eq!(waiting.get_receipt().await.unwrap().block_number, Some(1));
}

#[tokio::test]
async fn a_stopped_node_frees_its_port() {
    let node = start().await;
    let address = node.address();
    let client = client(&node, 0);
    client.get_block_number().await.unwrap();
    let taken = DevChain::start(Config {
        listen: address,
        ..Config::default()
    })
    .await;
    assert!(matches!(taken, Err(StartError::Listen { .. })));
    tokio::time::timeout(Duration::from_secs(5), node.stop())
        .await
        .unwrap();
    assert!(client.get_block_number().await.is_err());
    let next = DevChain::start(Config {
        listen: address,
        ..Config::default()
    })
    .await
    .unwrap();
    assert_eq!(next.address(), address);
    drop(next);
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn requests_come_in_batches_and_from_other_origins() {
    let node = start().await;
    node.mine(2);
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"},{"jsonrpc":"2.0","id":2,"method":"eth_chainId","params":[]}]"#;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:5000\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{batch}",
        batch.len()
    );
    let response = exchange(node.address(), request).await;
    assert!(response.contains("access-control-allow-origin: *"), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let answers: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(answers[0]["result"], "0x2");
    assert_eq!(answers[1]["result"], "0x7a69");
}

#[tokio::test]
async fn a_preflight_request_is_granted() {
    let node = start().await;
    let request = "OPTIONS / HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:5000\r\nconnection: close\r\n\
                   access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n";
    let response = exchange(node.address(), request.to_owned()).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("access-control-allow-headers: *"), "{response}");
    assert!(response.contains("access-control-allow-methods: *"), "{response}");
}

/// Sends a request as it stands on a connection of its own; the whole response.
pub(crate) async fn exchange(address: SocketAddr, request: String) -> String {
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}
