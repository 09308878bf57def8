//! What a program puts together, looks at and stops.

use crate::receiver::{Fault, Receiver};
use crate::server::{Answer, Server};
use crate::stage::{PRICE, Stage, config};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use microraiden_chain::Signer;
use microraiden_http::Challenge;
use microraiden_protocol::{Amount, B256, ChannelId, SecretKey};
use microraiden_sender::{
    Client, Cost, Decision, Denial, Fallback, Hooks, Paid, Paying, Session, SessionConfig, SessionError, once,
};
use std::sync::{Arc, Mutex};
use url::Url;

/// Notes which hooks are called, and stops at one of them.
#[derive(Clone, Default)]
struct Notes {
    called: Arc<Mutex<Vec<&'static str>>>,
    stop_at: &'static str,
}

impl Notes {
    fn note(&self, hook: &'static str) -> Decision {
        self.called.lock().expect("no panic").push(hook);
        match hook == self.stop_at {
            true => Decision::Stop,
            false => Decision::Proceed,
        }
    }

    fn called(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.called.lock().expect("no panic"))
    }
}

impl Hooks for Notes {
    fn on_init(&self, _: &Method, _: &Url) {
        self.note("init");
    }
    fn on_exit(&self, _: &Result<Paid, SessionError>) {
        self.note("exit");
    }
    fn on_http_response(&self, _: &reqwest::Response) -> Decision {
        self.note("response")
    }
    fn on_success(&self, paid: &Paid) {
        assert!(paid.response.status().is_success());
        self.note("success");
    }
    fn on_http_error(&self, _: &Paid) {
        self.note("http error");
    }
    fn on_payment_requested(&self, challenge: &Challenge) -> Decision {
        assert_eq!(challenge.price, PRICE.into());
        self.note("payment requested")
    }
    fn on_nonexisting_channel(&self, _: &Challenge) -> Decision {
        self.note("nonexisting channel")
    }
    fn on_insufficient_confirmations(&self, _: &Challenge) -> Decision {
        self.note("insufficient confirmations")
    }
    fn on_cooperative_close_denied(&self, _: ChannelId, denial: &Denial) -> Fallback {
        assert!(matches!(denial, Denial::Refused { .. }), "{denial}");
        self.note("close denied");
        Fallback::LeaveOpen
    }
}

fn with_notes(stage: &Stage, notes: &Notes) -> Session {
    Session::with_hooks(stage.client.clone(), config(), notes.clone()).expect("a session")
}

#[tokio::test]
async fn hooks_see_every_step_in_its_order() {
    let (stage, notes) = (Stage::new().await, Notes::default());
    let receiver = Receiver::start(&stage, |number| match number {
        1 => Fault::Unconfirmed,
        _ => Fault::None,
    })
    .await;
    let session = with_notes(&stage, &notes);
    session.get(receiver.url()).await.unwrap();
    let expected = [
        "init",
        "response",
        "payment requested",
        "response",
        "insufficient confirmations",
        "response",
        "success",
        "exit",
    ];
    assert_eq!(notes.called(), expected);
    let broken = Server::start(|_| Answer::Say(StatusCode::NOT_FOUND, "no".to_owned())).await;
    let paid = session.get(&broken.url).await.unwrap();
    assert_eq!(paid.response.status(), StatusCode::NOT_FOUND);
    assert_eq!(notes.called(), ["init", "response", "http error", "exit"]);
}

#[tokio::test]
async fn a_hook_that_stops_leaves_the_answer_and_signs_nothing_more() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::Unconfirmed).await;
    for (stop_at, signed) in [
        ("response", 0),
        ("payment requested", 0),
        ("insufficient confirmations", PRICE),
    ] {
        let notes = Notes {
            stop_at,
            ..Notes::default()
        };
        let session = with_notes(&stage, &notes);
        let paid = session.get(receiver.url()).await.unwrap();
        assert_eq!(paid.response.status(), StatusCode::PAYMENT_REQUIRED, "{stop_at}");
        assert_eq!(paid.cost, Amount::ZERO, "{stop_at}");
        assert_eq!(session.spent(), Amount::from(signed), "{stop_at}");
        assert_eq!(notes.called().last(), Some(&"exit"), "{stop_at}");
    }
}

#[tokio::test]
async fn a_hook_can_leave_a_channel_open_that_the_receiver_does_not_close() {
    let (stage, notes) = (Stage::new().await, Notes::default());
    let seller = stage.seller();
    let server = Server::start(move |seen| match (&seen.method, &seen.payment) {
        (&Method::DELETE, _) => Answer::Say(StatusCode::BAD_REQUEST, "no".to_owned()),
        (_, None) => Answer::Reply(StatusCode::PAYMENT_REQUIRED, seller.challenge(PRICE.into())),
        (_, Some(_)) => Answer::Say(StatusCode::OK, "paid".to_owned()),
    })
    .await;
    let session = with_notes(&stage, &notes);
    session.get(&server.url).await.unwrap();
    let error = session.close().await.unwrap_err();
    assert!(matches!(error, SessionError::LeftOpen(_)), "{error}");
    assert_eq!(notes.called().last(), Some(&"close denied"));
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn method_headers_and_body_are_the_same_when_it_is_paid() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session();
    let plain = HeaderMap::new();
    session
        .post(receiver.url())
        .headers(plain)
        .body("as text")
        .await
        .unwrap();
    session.put(receiver.url()).json(&["a", "b"]).await.unwrap();
    session
        .patch(receiver.url())
        .body_with(|| reqwest::Body::from(Bytes::from_static(b"made anew")))
        .await
        .unwrap();
    session.start(Method::OPTIONS, receiver.url()).await.unwrap();
    let seen: Vec<_> = receiver
        .server
        .seen()
        .into_iter()
        .map(|seen| {
            (
                seen.method,
                String::from_utf8(seen.body).unwrap(),
                seen.payment.is_some(),
            )
        })
        .collect();
    let mut expected = Vec::new();
    for (method, body) in [
        (Method::POST, "as text"),
        (Method::PUT, r#"["a","b"]"#),
        (Method::PATCH, "made anew"),
        (Method::OPTIONS, ""),
    ] {
        // The first time without a payment, since each method may have its price.
        for is_paid in [false, true] {
            expected.push((method.clone(), body.to_owned(), is_paid));
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_known_price_is_paid_at_once() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session_with(SessionConfig {
        receiver: Some(stage.receiver.address()),
        ..config()
    });
    let paid = session
        .get(receiver.url())
        .expect_price(PRICE.into())
        .await
        .unwrap();
    assert_eq!(paid.cost, Amount::from(PRICE));
    assert_eq!(receiver.server.seen().len(), 1);
    let again = session.get(receiver.url()).expect_price(11.into());
    let paid = again.await.unwrap();
    assert_eq!(paid.cost, Amount::from(PRICE), "a remembered price counts more");

    let unknown = stage.session();
    unknown
        .get(receiver.url())
        .expect_price(PRICE.into())
        .await
        .unwrap();
    assert!(
        receiver.server.seen()[2].payment.is_none(),
        "nobody has said who is paid"
    );
    let too_much = unknown
        .get(format!("{}/other", receiver.server.url))
        .expect_price(11.into());
    let error = too_much.await.unwrap_err();
    assert!(matches!(error, SessionError::PriceTooHigh { .. }), "{error}");
}

#[tokio::test]
async fn single_requests_of_every_method_are_paid() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let (client, url) = (&stage.client, &receiver.url());
    let paid = [
        once::get(client, config(), url).await,
        once::head(client, config(), url).await,
        once::options(client, config(), url).await,
        once::post(client, config(), url, "a").await,
        once::put(client, config(), url, "b").await,
        once::patch(client, config(), url, "c").await,
    ];
    for paid in paid {
        assert_eq!(paid.unwrap().cost, Amount::from(PRICE));
    }
    assert_eq!(receiver.sold(), [Amount::from(6 * PRICE)], "all on one channel");
}

#[tokio::test]
async fn a_client_with_middleware_pays() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = Arc::new(stage.session());
    let redirects = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().redirect(redirects).build().unwrap();
    let client = reqwest_middleware::ClientBuilder::new(http)
        .with(Paying::new(session.clone()))
        .build();
    for _ in 0..3 {
        let response = client.post(receiver.url()).body("question").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.extensions().get(), Some(&Cost(PRICE.into())));
    }
    assert_eq!(session.spent(), Amount::from(3 * PRICE));
    let seen = receiver.server.seen();
    assert_eq!(seen.len(), 4, "the price is asked for once");
    assert!(seen.iter().all(|seen| seen.body == b"question"));

    let moved = Server::start({
        let to = receiver.url();
        move |_| {
            let headers = HeaderMap::from_iter([(http::header::LOCATION, to.parse().unwrap())]);
            Answer::Reply(StatusCode::TEMPORARY_REDIRECT, headers)
        }
    })
    .await;
    let follows = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(Paying::new(session.clone()))
        .build();
    let error = follows.get(&moved.url).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("build it without"), "{error:?}");
    assert_eq!(session.spent(), Amount::from(3 * PRICE));
}

/// A signer of alloy's, as one that asks a service.
struct Remote(SecretKey, Arc<Mutex<bool>>);

#[async_trait::async_trait]
impl alloy_signer::Signer for Remote {
    async fn sign_hash(&self, hash: &B256) -> alloy_signer::Result<alloy_primitives::Signature> {
        if *self.1.lock().expect("no panic") {
            return Err(alloy_signer::Error::other("the service is down"));
        }
        let bytes = self.0.sign(*hash).to_bytes();
        Ok(alloy_primitives::Signature::from_bytes_and_parity(
            &bytes[..64],
            bytes[64] == 28,
        ))
    }
    fn address(&self) -> microraiden_protocol::Address {
        self.0.address()
    }
    fn chain_id(&self) -> Option<u64> {
        None
    }
    fn set_chain_id(&mut self, _: Option<u64>) {}
}

#[tokio::test]
async fn a_signer_elsewhere_pays_and_when_it_fails_nothing_is_owed() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let is_down = Arc::new(Mutex::new(false));
    let signer = Signer::remote(Remote(stage.sender_key(), is_down.clone()));
    let client = Client::new(stage.contract.clone(), signer);
    let session = Session::new(client, config()).unwrap();
    session.get(receiver.url()).await.unwrap();
    *is_down.lock().unwrap() = true;
    let error = session.get(receiver.url()).await.unwrap_err();
    assert!(error.to_string().contains("did not sign"), "{error}");
    *is_down.lock().unwrap() = false;
    session.get(receiver.url()).await.unwrap();
    let record = session.channels()[0].record();
    assert_eq!(
        (record.served, record.owed()),
        ((2 * PRICE).into(), (2 * PRICE).into())
    );
    assert_eq!(receiver.sold(), [Amount::from(2 * PRICE)]);
    assert_eq!(session.close().await.unwrap()[0].balance, (2 * PRICE).into());
}
