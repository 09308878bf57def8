//! What is sold over HTTP/2: a metered answer that streams says behind its body what it has cost.

use crate::authority::Authority;
use crate::clients::{get, secure_http2};
use crate::plain::listener;
use crate::{millis, soon};
use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use microraiden_manager::{ChannelManager, Receiver};
use microraiden_paywall::{Meter, Paywall, rest};
use microraiden_protocol::Deposit;
use microraiden_proxy::{Limits, Server};
use microraiden_tests::{NodeKind, World, receiver};
use std::convert::Infallible;

async fn metered(meter: Meter) -> Body {
    let pieces = stream::iter(0..4).then(move |number: u64| {
        let meter = meter.clone();
        async move {
            tokio::time::sleep(millis(5)).await;
            meter.add(10);
            Ok::<_, Infallible>(Bytes::from(number.to_string()))
        }
    });
    Body::from_stream(pieces)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metered_answer_says_its_cost_in_trailers() {
    let (world, authority) = (World::start(NodeKind::chosen()).await, Authority::new());
    let seller = Receiver {
        rpc: vec![world.node.url()],
        contract: world.contract.address(),
        key: world.receiver.clone(),
        store: authority.path("receiver.db").into(),
    };
    let manager = ChannelManager::open(seller, receiver::quick()).await.unwrap();
    let paywall = Paywall::new(manager.clone());
    let router = Router::new()
        .route(
            "/metered",
            axum::routing::get(metered).layer(paywall.price(100).metered()),
        )
        .merge(rest::router(paywall, rest::Settings::default()));
    let certificates = authority.certificates();
    let server = Server::encrypted(listener().await, router, Limits::default(), certificates);

    let wallet = world.wallet(&world.sender);
    let opening = world
        .contract
        .open_channel(&wallet, world.receiver.address(), Deposit::from(1_000));
    let (channel, _) = opening.await.unwrap();
    let mut client = secure_http2(server.address().unwrap(), &authority).await;
    let path = format!("/api/1/channels/{}/{}", channel.sender, channel.open_block);
    soon(async {
        while client.send_request(get(&path)).await.unwrap().status() != StatusCode::OK {
            tokio::time::sleep(millis(20)).await;
        }
    })
    .await;

    let answer = soon(client.send_request(get("/metered"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    let scheme = world.contract.scheme();
    let proof = scheme.sign_balance_proof(&world.sender, channel, 100.into());
    let mut request = get("/metered");
    let payment = microraiden_http::payment_headers(world.contract.address(), &proof, Some(100.into()));
    request.headers_mut().extend(payment);
    let answer = soon(client.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["rdn-cost"], "100");
    let body = soon(answer.into_body().collect()).await.unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!(
        (&trailers["rdn-cost"], &trailers["rdn-credit"]),
        (&"40".parse().unwrap(), &"60".parse().unwrap())
    );
    assert_eq!(body.to_bytes(), "0123");
    server.stop();
    soon(server.join()).await;
    manager.stop().await;
}
