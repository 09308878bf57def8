//! Lies about what was paid so far.

use super::{asks, balances, claim, fails, payment_required, receipt, signed};
use crate::server::{Answer, Server};
use crate::stage::{PRICE, Stage, config};
use http::StatusCode;
use microraiden_http::Receipt;
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Address, Amount, Balance, ChannelId, ProofScheme, SecretKey};
use microraiden_sender::{Session, SessionError};

#[tokio::test]
async fn a_forged_balance_is_not_adopted() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(_) => {
            let forged = SecretKey::from_bytes(&[7; 32])
                .expect("a key")
                .sign(Default::default());
            claim(&seller, Refusal::InvalidAmount, 40.into(), forged)
        }
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Refused { .. }), "{error}");
    assert_eq!(signed(&server), [Balance::from(PRICE)]);

    // A sender that does not know its balance signs nothing on such a claim.
    let session = Session::new(stage.restarted_client(), config()).expect("a session");
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Unproven { .. }), "{error}");
    assert_eq!(signed(&server), [Balance::from(PRICE), Balance::ZERO]);
}

#[tokio::test]
async fn a_payment_that_is_kept_and_refused_is_not_made_twice() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(payment) => {
            let signature = payment.signature.expect("a signature");
            claim(&seller, Refusal::InvalidAmount, payment.balance, signature)
        }
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Kept(_)), "{error}");
    assert_eq!(session.spent(), Amount::from(PRICE));
}

#[tokio::test]
async fn a_signature_of_elsewhere_proves_nothing() {
    let stage = Stage::new().await;
    let key = stage.sender_key();
    let receiver = stage.receiver.address();
    let here = stage.contract.scheme();
    let contract = Address::repeat_byte(3);
    let there = ProofScheme::DraftTypedData { contract };
    let id = move |sender, receiver, open_block| ChannelId {
        sender,
        receiver,
        open_block,
    };
    for case in 0..3 {
        let (seller, key, here, there) = (stage.seller(), key.clone(), here, there);
        let server = asks(stage.seller(), move |_, payment| {
            let (sender, block) = (payment.sender, payment.open_block);
            let (scheme, channel) = match case {
                0 => (&here, id(sender, receiver, block + 1)),
                1 => (&here, id(sender, Address::repeat_byte(5), block)),
                _ => (&there, id(sender, receiver, block)),
            };
            let proof = scheme.sign_balance_proof(&key, channel, 40.into());
            claim(&seller, Refusal::InvalidAmount, 40.into(), proof.signature)
        })
        .await;
        let error = fails(&stage.session(), &server).await;
        assert!(matches!(error, SessionError::Refused { .. }), "{case} {error}");
        assert_eq!(signed(&server).len(), 1, "{case}");
    }
}

#[tokio::test]
async fn an_old_balance_is_signed_again_for_nothing() {
    let stage = Stage::new().await;
    let (seller, old) = (stage.seller(), std::sync::Mutex::new(None));
    let server = asks(stage.seller(), move |seen, payment| {
        let mut old = old.lock().expect("no panic");
        let (balance, signature) = *old.get_or_insert((payment.balance, payment.signature.expect("ours")));
        // Serves two, then goes back to the first.
        if matches!(seen.number, 1 | 2 | 4) {
            Answer::Reply(StatusCode::OK, receipt(payment).headers())
        } else {
            claim(&seller, Refusal::InvalidAmount, balance, signature)
        }
    })
    .await;
    let session = stage.session();
    for _ in 0..3 {
        session.get(&server.url).await.expect("paid");
    }
    assert_eq!(signed(&server), balances(&[5, 10, 15, 10]));
    // 15 was signed and refused; the third request was paid below it.
    assert_eq!(session.spent(), Amount::from(15));
    let record = session.channels()[0].record();
    assert_eq!((record.served, record.signed_balance()), (10.into(), 15.into()));
}

#[tokio::test]
async fn credit_that_is_not_there_is_not_missed() {
    let stage = Stage::new().await;
    let server = asks(stage.seller(), |_, payment| {
        let bogus = Receipt {
            credit: Amount::MAX,
            refund: Amount::MAX,
            ..receipt(payment)
        };
        Answer::Reply(StatusCode::OK, bogus.headers())
    })
    .await;
    let session = stage.session();
    for _ in 0..3 {
        session.get(&server.url).await.expect("paid");
    }
    // Believed to its own cost: a unit a request is the least that can be paid.
    assert_eq!(signed(&server), balances(&[5, 6, 7]));
    assert_eq!(session.spent(), Amount::from(7));
    let record = session.channels()[0].record();
    assert!(record.owed() <= record.signed_balance());
}
