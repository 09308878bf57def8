//! Sending transactions: reasons, funds, order, and what waits.

use crate::interposed::{Answer, interpose};
use crate::stage::{Stage, connect, secret_key};
use alloy_primitives::{Address, Bytes, U256, bytes};
use microraiden_chain::{Node, TransactionError, Wallet, WalletOptions};
use microraiden_devchain::{Config, DevChain, Mining};
use microraiden_protocol::{ChannelId, SecretKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_refusal_is_found_out_before_it_costs_anything() {
    let stage = Stage::new().await;
    let channel = stage.open(100).await;
    let head = stage.chain.block_number();
    let error = stage
        .contract
        .uncooperative_close(&stage.sender, &channel, 101.into())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the contract refuses: BalanceAboveDeposit(balance: 101, deposit: 100)"
    );
    assert!(!error.is_transient());
    let never = ChannelId {
        open_block: 1,
        ..channel
    };
    let error = stage.contract.settle(&stage.sender, &never).await.unwrap_err();
    assert_eq!(
        error.revert().and_then(|revert| revert.name()),
        Some("ChannelNotInChallenge")
    );
    let error = stage
        .contract
        .top_up_erc223(&stage.sender, &never, 5.into())
        .await
        .unwrap_err();
    let (sender, receiver) = (channel.sender, channel.receiver);
    let reason = format!("ChannelNotFound(sender: {sender}, receiver: {receiver}, open_block_number: 1)");
    assert_eq!(error.revert().unwrap().to_string(), reason);
    // The token's own error, from inside the contract's.
    let open = stage
        .contract
        .open_channel_erc20(&stage.receiver, sender, 5.into())
        .await;
    let reason = open.unwrap_err().to_string();
    assert!(
        reason.contains("TokenCallFailed(reason: BalanceTooLow(owner: "),
        "{reason}"
    );
    // The approval before the last was mined; nothing else.
    assert_eq!(stage.chain.block_number(), head + 1);
}

#[tokio::test]
async fn a_transaction_that_fails_in_its_block_says_why() {
    let stage = Stage::new().await;
    let channel = stage.open(100).await;
    // uncooperativeClose(receiver, open_block, 101) with gas given, so that it is not estimated.
    let data = Bytes::from(
        [
            bytes!("323cb59b").as_ref(),
            channel.receiver.into_word().as_slice(),
            &U256::from(channel.open_block).to_be_bytes::<32>(),
            &U256::from(101).to_be_bytes::<32>(),
        ]
        .concat(),
    );
    let send = stage.sender.send(
        Some(stage.contract.address()),
        data.clone(),
        U256::ZERO,
        Some(200_000),
    );
    let error = send.await.unwrap_err();
    assert!(
        matches!(
            error,
            TransactionError::Reverted {
                transaction: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    let revert = error.revert().unwrap();
    assert_eq!(
        revert.to_string(),
        "BalanceAboveDeposit(balance: 101, deposit: 100)"
    );

    let send = stage
        .sender
        .send(Some(stage.contract.address()), data, U256::ZERO, Some(25_000));
    let error = send.await.unwrap_err();
    assert_eq!(error.revert().unwrap().to_string(), "out of gas");
}

#[tokio::test]
async fn a_wallet_without_ether_says_so() {
    let stage = Stage::new().await;
    let poor = Wallet::new(stage.node.clone(), SecretKey::from_bytes(&[7; 32]).unwrap());
    let nothing = poor
        .send(Some(Address::ZERO), Bytes::new(), U256::ZERO, None)
        .await
        .unwrap_err();
    let value = poor
        .send(Some(Address::ZERO), Bytes::new(), U256::from(1), None)
        .await
        .unwrap_err();
    for error in [nothing, value] {
        assert!(
            matches!(error, TransactionError::InsufficientFunds { .. }),
            "{error:?}"
        );
        let text = format!("insufficient funds: {} has not enough ether", poor.address());
        assert!(error.to_string().starts_with(&text), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn transactions_sent_at_once_take_their_turns() {
    let stage = Stage::new().await;
    let mut sending = JoinSet::new();
    for _ in 0..20 {
        let wallet = stage.sender.clone();
        sending.spawn(async move {
            wallet
                .send(Some(Address::repeat_byte(5)), Bytes::new(), U256::from(3), None)
                .await
        });
    }
    let receipts: Vec<_> = sending.join_all().await.into_iter().map(Result::unwrap).collect();
    let distinct: BTreeSet<_> = receipts.iter().map(|receipt| receipt.transaction).collect();
    assert_eq!(distinct.len(), 20);
    let receipt = &receipts[0];
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(
        receipt.cost_wei(),
        U256::from(21_000) * U256::from(receipt.effective_gas_price)
    );
    assert_eq!(
        stage.node.block(receipt.block.number).await.unwrap(),
        Some(receipt.block)
    );
    assert_eq!(
        stage.node.eth_balance(Address::repeat_byte(5)).await.unwrap(),
        U256::from(60)
    );
}

fn by_hand() -> Config {
    Config {
        mining: Mining {
            instant: false,
            interval: None,
        },
        ..Config::default()
    }
}

#[tokio::test]
async fn what_is_not_mined_is_replaced_with_higher_fees_and_mined_once() {
    let chain = DevChain::start(by_hand()).await.unwrap();
    let options = WalletOptions {
        raise_fees_after: Duration::from_millis(150),
        ..WalletOptions::default()
    };
    let offered = Arc::new(AtomicUsize::new(0));
    let seen = offered.clone();
    let url = interpose(chain.address(), move |method, _| {
        if method == "eth_sendRawTransaction" {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        Answer::Pass
    });
    let node = Node::connect(&url.await.parse().unwrap()).await.unwrap();
    let wallet = Wallet::with_options(node.clone(), secret_key(&chain, 0), options);
    let to = Address::repeat_byte(5);
    let sending = tokio::spawn({
        let wallet = wallet.clone();
        async move { wallet.send(Some(to), Bytes::new(), U256::from(3), None).await }
    });
    while offered.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    chain.mine(1);
    let receipt = sending.await.unwrap().unwrap();
    let base_fee = node
        .header(receipt.block.number)
        .await
        .unwrap()
        .unwrap()
        .base_fee_wei
        .unwrap();
    let first_tip: u128 = 1_000_000_000;
    assert!(receipt.effective_gas_price > base_fee + first_tip, "{receipt:?}");
    assert_eq!(node.eth_balance(to).await.unwrap(), U256::from(3));
}

#[tokio::test]
async fn waiting_has_an_end_and_fees_a_ceiling() {
    let chain = DevChain::start(by_hand()).await.unwrap();
    let node = connect(&chain).await;
    let send = async |options| {
        let wallet = Wallet::with_options(node.clone(), secret_key(&chain, 0), options);
        wallet
            .send(Some(Address::ZERO), Bytes::new(), U256::ZERO, None)
            .await
            .unwrap_err()
    };
    let options = WalletOptions {
        receipt_timeout: Duration::from_millis(60),
        ..WalletOptions::default()
    };
    let error = send(options).await;
    assert!(
        matches!(error, TransactionError::NotMined { .. }) && error.is_transient(),
        "{error:?}"
    );
    let options = WalletOptions {
        max_fee_per_gas: Some(1000),
        ..WalletOptions::default()
    };
    let error = send(options).await;
    assert!(
        matches!(error, TransactionError::FeeAboveCeiling { ceiling: 1000, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_offered_again_and_counts_once() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let offered = Arc::new(AtomicUsize::new(0));
    let url = interpose(chain.address(), move |method, _| {
        if method != "eth_sendRawTransaction" || offered.fetch_add(1, Ordering::Relaxed) > 0 {
            return Answer::Pass;
        }
        Answer::PassUnheard
    });
    let node = Node::connect(&url.await.parse().unwrap()).await.unwrap();
    let wallet = Wallet::new(node.clone(), secret_key(&chain, 0));
    let to = Address::repeat_byte(5);
    let sent = wallet.send(Some(to), Bytes::new(), U256::from(3), None).await;
    sent.unwrap();
    assert_eq!(node.eth_balance(to).await.unwrap(), U256::from(3));
}
