//! Every refusal, provoked through the real proxy, contract and chain, and held against the table in the
//! documentation.

use crate::shop::{PRICE, Shop, Stage, header};
use http::{HeaderMap, StatusCode};
use microraiden_protocol::{Amount, Balance, BlockNumber};
use microraiden_store::{Batch, Binding, ChannelStore, Halt, HaltChange, HaltKind, SqliteStore};
use microraiden_tests::{Receiver, receiver};
use serde_json::json;
use std::collections::HashSet;
use std::time::{Duration, Instant};

const FLAGS: [&str; 4] = [
    "RDN-Nonexisting-Channel",
    "RDN-Insufficient-Confirmations",
    "RDN-Invalid-Balance-Proof",
    "RDN-Invalid-Amount",
];

/// A row of the table.
struct Row {
    code: String,
    status: u16,
    flag: Option<String>,
    legacy_flag: Option<String>,
    tells: bool,
}

fn rows() -> Vec<Row> {
    let page = include_str!("../../../docs/http.md");
    let (_, rest) = page.split_once("<!-- refusals:").unwrap();
    let (section, _) = rest.split_once("<!-- refusals end -->").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let flag = |cell: &str| (cell != "none").then(|| cell.to_owned());
        Row {
            code: cells[1].to_owned(),
            status: cells[2].parse().unwrap(),
            flag: flag(cells[3]),
            legacy_flag: if cells[4] == "the same" {
                flag(cells[3])
            } else {
                flag(cells[4])
            },
            tells: cells[5] == "yes",
        }
    };
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(row)
        .collect()
}

/// What is refused: a request of today, and one of 2018 where that can be refused so.
struct Provoked {
    shop: Shop,
    today: HeaderMap,
    legacy: Option<HeaderMap>,
}

impl Row {
    async fn holds(&self, provoked: &Provoked) {
        let legacy = provoked.legacy.iter().map(|headers| (headers, &self.legacy_flag));
        for (headers, flag) in [(&provoked.today, &self.flag)].into_iter().chain(legacy) {
            let answer = provoked.shop.get("/echo/x", headers.clone()).await;
            let (code, seen) = (&self.code, format!("{:?}", answer.headers()));
            assert_eq!(answer.status().as_u16(), self.status, "{code}: {seen}");
            let error = header(&answer, "RDN-Error").unwrap();
            assert!(error.starts_with(&format!("{code}; ")), "{code}: {error}");
            for name in FLAGS {
                let expected = (flag.as_deref() == Some(name)).then_some("1");
                assert_eq!(header(&answer, name), expected, "{code}: {seen}");
            }
            let told = header(&answer, "RDN-Sender-Balance").is_some();
            assert_eq!(told, self.tells, "{code}: {seen}");
            if !self.tells {
                assert_eq!(header(&answer, "RDN-Balance-Signature"), None, "{code}");
                assert_eq!(header(&answer, "RDN-Credit"), Some("0"), "{code}");
            }
        }
    }
}

async fn code(shop: &Shop, headers: HeaderMap) -> String {
    let answer = shop.get("/echo/probe", headers).await;
    let error = header(&answer, "RDN-Error").unwrap_or_default();
    error.split(';').next().unwrap_or_default().to_owned()
}

/// Waits for what the chain must show first, by a proof that pays nothing.
async fn until(shop: &Shop, wanted: &str, balance: u64) {
    let begin = Instant::now();
    while code(shop, shop.pays(balance, 0)).await != wanted {
        assert!(begin.elapsed() < Duration::from_secs(20), "never {wanted}");
        // More than 30 a minute would be told to stop.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// A shop that follows with so many confirmations, its channel not waited for.
async fn following(n_confirmations: u64) -> Shop {
    let stage = Stage::set().await;
    let config = microraiden_manager::Config {
        n_confirmations,
        ..receiver::quick()
    };
    let upstream = stage.upstream.url();
    let receiver = Receiver::start(&stage.world, upstream, PRICE, &stage.state(), config).await;
    stage.open_unconfirmed(receiver).await
}

/// A shop whose state is a backup, with a channel from before.
async fn restored() -> Shop {
    let stage = Stage::set().await;
    let binding = Binding {
        escrow: stage.world.contract.escrow(),
        receiver: stage.world.receiver.address(),
    };
    let halt = Halt {
        kind: HaltKind::Restored,
        block: Some(BlockNumber(u64::from(u32::MAX))),
    };
    let store = SqliteStore::open(&stage.state(), binding).unwrap();
    let batch = Batch {
        halts: vec![HaltChange::Set(halt)],
        ..Batch::default()
    };
    store.commit(batch).unwrap().await.unwrap();
    drop(store);
    let upstream = stage.upstream.url();
    let receiver = Receiver::start(&stage.world, upstream, PRICE, &stage.state(), receiver::quick()).await;
    stage.open_unconfirmed(receiver).await
}

/// The operator restarts the receiver and accepts what has halted it.
async fn resumed(shop: Shop) -> Shop {
    let Shop {
        world,
        upstream,
        receiver,
        files,
        ..
    } = shop;
    receiver.stop().await;
    let config = microraiden_manager::Config {
        resumes_selling: true,
        ..microraiden_tests::receiver::quick()
    };
    let state = files.path().join("receiver.db");
    let receiver = Receiver::start(&world, upstream.url(), PRICE, &state, config).await;
    Shop {
        world,
        upstream,
        receiver,
        files,
        ..shop
    }
}

/// Pays once by a proof at this balance.
async fn paid(balance: u64) -> Shop {
    let shop = Shop::open().await;
    let answer = shop.get("/echo/paid", shop.pays(balance, PRICE)).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.headers());
    shop
}

fn without(mut headers: HeaderMap, name: &str) -> HeaderMap {
    headers.remove(name);
    headers
}

/// What the chain or a close of ours is the reason for.
async fn provoke_by_chain(code: &str) -> Option<Provoked> {
    let shop = match code {
        "closing-only" => {
            let shop = restored().await;
            until(&shop, "closing-only", 5).await;
            shop
        }
        "close-promised" => {
            let shop = paid(5).await;
            let signature = shop.proof(5).signature.to_string();
            let (status, _) = shop
                .close(json!({"balance": "5", "balance_signature": signature}))
                .await;
            assert_eq!(status, StatusCode::OK);
            shop
        }
        "unconfirmed" => {
            let shop = following(1_000_000).await;
            until(&shop, "unconfirmed", 5).await;
            shop
        }
        "challenged" | "settled" => {
            let shop = paid(5).await;
            let wallet = shop.world.wallet(&shop.world.sender);
            let contract = &shop.world.contract;
            contract
                .uncooperative_close(&wallet, &shop.channel, Balance::from(5))
                .await
                .unwrap();
            until(&shop, "challenged", 10).await;
            if code == "settled" {
                shop.world
                    .node
                    .mine(u64::from(contract.challenge_period()) + 1)
                    .await;
                contract.settle(&wallet, &shop.channel).await.unwrap();
                until(&shop, "settled", 15).await;
            }
            shop
        }
        "impaired" => {
            let shop = Shop::open().await;
            let wallet = shop.world.wallet(&shop.world.sender);
            let before = shop.world.node.block_number().await;
            let added = Amount::from(500);
            shop.world
                .contract
                .top_up(&wallet, &shop.channel, added)
                .await
                .unwrap();
            let begin = Instant::now();
            // One unit above the first deposit.
            while shop.get("/echo/paid", shop.pays(1_001, PRICE)).await.status() != StatusCode::OK {
                assert!(begin.elapsed() < Duration::from_secs(20));
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            let depth = shop.world.node.block_number().await - before;
            shop.world.node.control("anvil_reorg", json!([depth, []])).await;
            // Deeper than the confirmations, so the operator is asked.
            while shop.get("/echo/paid", shop.pays(1_006, PRICE)).await.status()
                != StatusCode::SERVICE_UNAVAILABLE
            {
                assert!(begin.elapsed() < Duration::from_secs(40));
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            let shop = resumed(shop).await;
            until(&shop, "impaired", 1_006).await;
            shop
        }
        "top-up-unconfirmed" => {
            let shop = following(20).await;
            let begin = Instant::now();
            while shop.get("/echo/paid", shop.pays(5, PRICE)).await.status() != StatusCode::OK {
                assert!(begin.elapsed() < Duration::from_secs(30));
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            }
            let wallet = shop.world.wallet(&shop.world.sender);
            let added = Amount::from(500);
            shop.world
                .contract
                .top_up(&wallet, &shop.channel, added)
                .await
                .unwrap();
            until(&shop, code, 1_010).await;
            let today = shop.pays(1_010, PRICE);
            let legacy = Some(shop.pays_as_in_2018(1_010));
            return Some(Provoked { shop, today, legacy });
        }
        _ => return None,
    };
    let (today, legacy) = (shop.pays(20, PRICE), Some(shop.pays_as_in_2018(20)));
    Some(Provoked { shop, today, legacy })
}

/// What the request itself is the reason for; all after one payment of 5 at a balance of 10, which leaves a
/// credit of 5.
async fn provoke(code: &str) -> Provoked {
    if let Some(provoked) = provoke_by_chain(code).await {
        return provoked;
    }
    let shop = paid(10).await;
    let changed = |mut headers: HeaderMap, name: &'static str, value: String| {
        headers.insert(name, value.parse().unwrap());
        headers
    };
    let (today, legacy) = match code {
        "unknown-channel" => {
            let other = |headers| changed(headers, "rdn-open-block", "1".to_owned());
            (other(shop.pays(15, 5)), Some(other(shop.pays_as_in_2018(15))))
        }
        "above-deposit" => (shop.pays(1_001, 5), Some(shop.pays_as_in_2018(1_001))),
        "invalid-signature" => {
            let signature = shop.proof(16).signature.to_string();
            let forged = |headers| changed(headers, "rdn-balance-signature", signature.clone());
            (forged(shop.pays(15, 5)), Some(forged(shop.pays_as_in_2018(15))))
        }
        "balance-query" => (shop.pays(10, 0), Some(shop.pays_as_in_2018(10))),
        "decreasing-balance" => {
            // The credit of 5 lies below; at 4 there are fewer than 5 units of it.
            let documented = without(shop.pays(4, 5), "rdn-payment");
            (documented, Some(shop.pays_as_in_2018(4)))
        }
        "already-spent" => (shop.pays(10, 5), None),
        "invalid-amount" => (shop.pays(16, 6), Some(shop.pays_as_in_2018(16))),
        "not-covered" => {
            // First use the credit up.
            let used = shop.get("/echo/paid", shop.pays(11, 5)).await;
            assert_eq!(used.status(), StatusCode::OK);
            (shop.pays(12, 5), None)
        }
        "window-exceeded" => {
            for payment in 2..=64 {
                let skipping = shop.get("/echo/paid", shop.pays(payment * 10, 5)).await;
                assert_eq!(skipping.status(), StatusCode::OK);
            }
            (shop.pays(650, 5), None)
        }
        other => panic!("{other} cannot be provoked"),
    };
    Provoked { shop, today, legacy }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_as_the_table_says() {
    let rows = rows();
    let codes: HashSet<_> = rows.iter().map(|row| &row.code).collect();
    assert_eq!(codes.len(), 16);
    for row in &rows {
        let provoked = provoke(&row.code).await;
        row.holds(&provoked).await;
        provoked.shop.receiver.stop().await;
    }
}
