//! A proxy that starts before its node, or before another one has given its state file back.

use crate::place::{Place, failed, said, succeeded};
use crate::process::Program;
use crate::state::{NO_UPSTREAM, config, proxy, start};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// A place with a contract.
pub(crate) async fn place() -> Place {
    let place = Place::new(config(31337)).await;
    succeeded(&place.deploy(&[]).await);
    place
}

/// A port that nobody listens on, as a node's address.
pub(crate) async fn away() -> (SocketAddr, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, format!("http://{address}"))
}

/// Lets a node answer there from now on.
pub(crate) async fn appear(address: SocketAddr, place: &Place) {
    let listener = TcpListener::bind(address).await.unwrap();
    let node = place.chain.address();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut node = TcpStream::connect(node).await.unwrap();
                // Either side may end it.
                let _ = copy_bidirectional(&mut client, &mut node).await;
            });
        }
    });
}

/// The options of a proxy with its node at this address.
pub(crate) fn at(place: &Place, node: &str, more: &[&str]) -> Vec<String> {
    let mut options = proxy(
        place,
        "receiver.key",
        "deployment.json",
        NO_UPSTREAM,
        Some("state.db"),
    );
    for option in &mut options {
        if *option == place.url {
            node.clone_into(option);
        }
    }
    options.extend(more.iter().map(|option| (*option).to_owned()));
    options
}

fn run(options: &[String]) -> Program {
    Program::start(&options.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_later_is_waited_for() {
    let place = place().await;
    let (address, node) = away().await;
    let mut program = run(&at(&place, &node, &[]));
    let line = program.wait_for("message", |line| line.contains("WARN").then(|| line.to_owned()));
    for words in [
        "waiting for the Ethereum node",
        "every 5 seconds",
        "--rpc-provider",
        "Connection refused",
    ] {
        assert!(line.contains(words), "{line}");
    }
    assert!(!line.contains(&address.port().to_string()), "{line}");
    appear(address, &place).await;
    // Said once, whatever number of times it was tried.
    let url = program.wait_for("address", |line| {
        assert!(!line.contains("WARN"), "{line}");
        line.starts_with("http://").then(|| line.to_owned())
    });
    let stats = reqwest::get(format!("{url}/api/1/stats")).await.unwrap();
    assert!(stats.status().is_success());
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_nodes_each_is_told() {
    let place = place().await;
    let ((_, first), (_, second)) = (away().await, away().await);
    let mut program = run(&at(&place, &first, &["--rpc-provider", &second]));
    let line = program.wait_for("message", |line| line.contains("WARN").then(|| line.to_owned()));
    for node in ["node 1: the connection failed", "node 2: the connection failed"] {
        assert!(line.contains(node), "{line}");
    }
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_node_can_be_ended_and_limited() {
    let place = place().await;
    let (_, node) = away().await;
    for signal in ["TERM", "INT"] {
        let mut program = run(&at(&place, &node, &[]));
        program.wait_for("message", |line| line.contains("waiting for").then_some(()));
        let begin = Instant::now();
        assert!(program.signal(signal), "{signal} is no failure");
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    }
    for (seconds, waits) in [("0", false), ("1", true)] {
        let options = at(&place, &node, &["--start-timeout", seconds]);
        let begin = Instant::now();
        let output = place
            .run(&options.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
        failed(&output, 1, "the node does not answer eth_chainId");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).contains("waiting for"),
            waits
        );
        assert_eq!(
            begin.elapsed() >= Duration::from_secs(1),
            waits,
            "{:?}",
            begin.elapsed()
        );
    }
    let left = ["state.db", "state.db.lock"].map(|name| place.path(name).exists());
    assert_eq!(left, [false, false]);
}

/// It would stay wrong for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_contract_or_chain_or_key_is_not_waited_for() {
    let place = place().await;
    let run = async |options: &[String]| {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        place.run(&options).await
    };
    let mut elsewhere = at(&place, &place.url, &[]);
    let file = elsewhere
        .iter()
        .position(|option| option == "--deployment-file")
        .unwrap();
    elsewhere[file] = "--channel-manager-address".to_owned();
    elsewhere[file + 1] = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".to_owned();
    failed(&run(&elsewhere).await, 1, "there is no contract at");

    let other = Place::new(config(1337)).await;
    failed(
        &run(&at(&place, &other.url, &[])).await,
        2,
        "of chain 31337, but the node is on chain 1337",
    );

    // Nor is a node waited for then.
    let (_, away) = away().await;
    std::os::unix::fs::symlink("/dev/null", place.path("nothing.key")).unwrap();
    let mut keyless = at(&place, &away, &[]);
    let key = keyless
        .iter()
        .position(|option| option == "--private-key")
        .unwrap();
    keyless[key + 1] = place.path("nothing.key").to_str().unwrap().to_owned();
    let output = run(&keyless).await;
    let said = said(&output);
    assert!(!output.status.success() && said.contains("nothing.key"), "{said}");
    assert!(!said.contains("waiting"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_is_in_use_is_waited_for() {
    let place = place().await;
    let options = at(&place, &place.url, &[]);
    let (first, _) = start(&options).await;
    let mut second = run(&options);
    // The outputs come in no fixed order.
    let address = Cell::new(None);
    let said = second.wait_for("message and address", |line| {
        if line.starts_with("http://") {
            address.set(Some(line.to_owned()));
        }
        let said = line.contains("WARN").then(|| line.to_owned());
        said.filter(|line| line.contains("state.db"))
    });
    assert!(
        said.contains("waiting for the state file, which is tried again every second"),
        "{said}"
    );
    let url = match address.take() {
        Some(url) => url,
        None => second.wait_for("address", |line| {
            line.starts_with("http://").then(|| line.to_owned())
        }),
    };
    // One that waits can be ended, and harms nobody.
    let mut third = run(&options);
    third.wait_for("message", |line| {
        line.contains("waiting for the state file").then_some(())
    });
    assert!(third.signal("TERM"));

    // Whoever connects meanwhile is answered once it sells.
    let stats = tokio::spawn(reqwest::get(format!("{url}/api/1/stats")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!stats.is_finished());
    assert!(first.signal("TERM"));
    assert!(stats.await.unwrap().unwrap().status().is_success());
    assert!(second.signal("TERM"));
}
