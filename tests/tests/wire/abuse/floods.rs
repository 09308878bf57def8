//! Floods of payments that are none, beside somebody who pays.

use super::{Wire, head};
use crate::shop::Shop;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const FLOOD: u64 = 2_000;
const WIRES: u64 = 4;

/// Sends the same payment again and again on a few connections: how long it took.
async fn flood(shop: &Arc<Shop>, payment: &HeaderMap) -> Duration {
    let begin = Instant::now();
    let request = head("GET /echo/x", payment) + "\r\n";
    let mut flood = JoinSet::new();
    for _ in 0..WIRES {
        let (shop, request) = (shop.clone(), request.clone());
        flood.spawn(async move {
            let mut wire = Wire::to_shop(&shop).await;
            let mut answered = 0;
            for _ in 0..FLOOD / WIRES {
                wire.send(&request).await;
                let status = wire.answer().await.status;
                assert!((400..500).contains(&status), "{status}");
                answered += 1;
            }
            answered
        });
    }
    assert_eq!(flood.join_all().await.iter().sum::<u64>(), FLOOD);
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_payer_is_served_beside_floods_of_bad_signatures() {
    let shop = Arc::new(Shop::open().await);
    let over = Arc::new(AtomicBool::new(false));
    let honest = {
        let (shop, over) = (shop.clone(), over.clone());
        tokio::spawn(async move {
            let mut wire = Wire::to_shop(&shop).await;
            let mut times = Vec::new();
            for balance in (5..=1_000).step_by(5) {
                let request = head("GET /echo/x", &shop.pays(balance, 5)) + "\r\n";
                let begin = Instant::now();
                wire.send(request).await;
                let answer = wire.answer().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                times.push(begin.elapsed());
                if over.load(Ordering::Relaxed) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            times.sort();
            times
        })
    };
    let signature = |balance: u64| shop.proof(balance).signature.to_string().parse().unwrap();
    let known = {
        let mut headers = shop.pays(900, 5);
        headers.insert("rdn-balance-signature", signature(901));
        headers
    };
    let unknown = {
        let mut headers = known.clone();
        headers.insert("rdn-open-block", "1".parse().unwrap());
        headers
    };
    for (what, payment) in [("unknown", unknown), ("known", known)] {
        let taken = flood(&shop, &payment).await;
        let rate = FLOOD as f64 / taken.as_secs_f64();
        println!("{FLOOD} bad signatures for {what} channels: {rate:.0} a second");
    }
    over.store(true, Ordering::Relaxed);
    let times = honest.await.unwrap();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{} payments beside them: median {median:?}, worst {worst:?}",
        times.len()
    );
    assert!(times.len() >= 5);
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    assert_eq!(usize::try_from(shop.upstream.served()).unwrap(), times.len());
}
