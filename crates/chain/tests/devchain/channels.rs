//! Channels from their opening to their end.

use crate::stage::{CHALLENGE_PERIOD, Stage, connect, secret_key, token_params};
use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::SolValue;
use microraiden_chain::deploy;
use microraiden_chain::token::{self, mint_price_wei};
use microraiden_chain::{ChainError, ChannelInfo, Contract, Party, TransactionError, Wallet};
use microraiden_devchain::{Config, DevChain};
use microraiden_protocol::{
    Amount, Balance, BlockNumber, ChannelChange, ChannelId, Deposit, Escrow, ProofScheme,
};

fn info(deposit: u64, withdrawn: u64) -> ChannelInfo {
    ChannelInfo {
        deposit: deposit.into(),
        settle_block: None,
        closing_balance: Balance::ZERO,
        withdrawn: withdrawn.into(),
    }
}

#[tokio::test]
async fn a_contract_says_what_it_is() {
    let stage = Stage::new().await;
    let contract = &stage.contract;
    assert_eq!(
        contract.escrow(),
        Escrow {
            chain_id: 31337,
            contract: contract.address()
        }
    );
    assert_eq!(
        contract.scheme(),
        ProofScheme::DraftTypedData {
            contract: contract.address()
        }
    );
    assert_eq!(contract.challenge_period(), CHALLENGE_PERIOD);
    let token = contract.token();
    assert_eq!(
        (&*token.name, &*token.symbol, token.decimals),
        ("Test token", "TST", 2)
    );
    assert_eq!(stage.tokens(&stage.sender).await, "1000000");

    let nobody = Address::repeat_byte(7);
    let error = Contract::at(stage.node.clone(), nobody).await.unwrap_err();
    assert!(
        matches!(error, ChainError::NoCode(address) if address == nobody),
        "{error}"
    );
    // The token has a version too, but another one.
    let error = Contract::at(stage.node.clone(), token.address).await.unwrap_err();
    assert!(
        matches!(&error, ChainError::Version { found, .. } if found == "H0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused_before_it_costs_anything() {
    let stage = Stage::new().await;
    let head = stage.chain.block_number();
    let token = stage.contract.token().address;
    let error = deploy::channels(&stage.sender, token, 499).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the challenge period is 499 blocks; the contract takes at least 500"
    );
    let nobody = Address::repeat_byte(7);
    let error = deploy::channels(&stage.sender, nobody, 500).await.unwrap_err();
    assert!(matches!(error, TransactionError::Chain(ChainError::NoCode(address)) if address == nobody));
    assert_eq!(stage.chain.block_number(), head);
}

#[tokio::test]
async fn both_ways_open_and_top_up() {
    let stage = Stage::new().await;
    let (contract, sender, receiver) = (&stage.contract, &stage.sender, stage.receiver.address());
    let (one, opened) = contract
        .open_channel_erc223(sender, receiver, 100.into())
        .await
        .unwrap();
    assert_eq!(opened.0.len(), 1);
    let topped_up = contract.top_up_erc223(sender, &one, 11.into()).await.unwrap();
    assert_eq!(topped_up.0.len(), 1);
    let (other, opened_erc20) = contract
        .open_channel_erc20(sender, receiver, 200.into())
        .await
        .unwrap();
    assert_eq!(opened_erc20.0.len(), 2);
    assert!(opened.gas_used() < opened_erc20.gas_used());
    assert!(opened.cost_wei() > U256::ZERO);
    let topped_up = contract.top_up_erc20(sender, &other, 22.into()).await.unwrap();
    assert_eq!(topped_up.0.len(), 2);

    assert_eq!(one.opened_at(), opened.0[0].block.number);
    assert_eq!(contract.channel_info(&one).await.unwrap(), Some(info(111, 0)));
    assert_eq!(contract.channel_info(&other).await.unwrap(), Some(info(222, 0)));
    let nobodys = ChannelId { open_block: 1, ..one };
    assert_eq!(contract.channel_info(&nobodys).await.unwrap(), None);
    for (channel, deposit, added) in [(one, 100, 11), (other, 200, 22)] {
        let expected = [
            ChannelChange::Created {
                deposit: Deposit::from(deposit),
            },
            ChannelChange::ToppedUp {
                added: Amount::from(added),
            },
        ];
        assert_eq!(stage.changes(&channel).await, expected);
    }
}

#[tokio::test]
async fn events_are_of_the_party_asked_for() {
    let stage = Stage::new().await;
    let one = stage.open(5).await;
    let stranger = Address::repeat_byte(9);
    let (other, _) = stage
        .contract
        .open_channel(&stage.sender, stranger, 6.into())
        .await
        .unwrap();
    let channels = async |party| {
        let events = stage.events(party).await;
        events
            .iter()
            .map(|event| (event.channel, event.block))
            .collect::<Vec<_>>()
    };
    let (first, second) = ((one, one.opened_at()), (other, other.opened_at()));
    assert_eq!(channels(Party::Any).await, [first, second]);
    assert_eq!(
        channels(Party::Sender(stage.sender.address())).await,
        [first, second]
    );
    assert_eq!(channels(Party::Sender(stranger)).await, []);
    assert_eq!(channels(Party::Receiver(stage.receiver.address())).await, [first]);
    assert_eq!(channels(Party::Receiver(stranger)).await, [second]);
    let none = stage
        .contract
        .events(Party::Any, BlockNumber(0), BlockNumber(one.opened_at().0 - 1));
    assert_eq!(none.await.unwrap(), []);
}

#[tokio::test]
async fn a_cooperative_close_pays_both() {
    let stage = Stage::new().await;
    let channel = stage.open(100).await;
    let proof = stage.balance_signature(channel, 30);
    let withdrawn = stage
        .contract
        .withdraw(&stage.receiver, &channel, 30.into(), &proof)
        .await
        .unwrap();
    assert!(withdrawn.gas_used > 21_000 && withdrawn.effective_gas_price > 0);
    assert_eq!(
        stage.contract.channel_info(&channel).await.unwrap(),
        Some(info(100, 30))
    );

    let (proof, closing) = (
        stage.balance_signature(channel, 70),
        stage.closing_signature(&channel, 70),
    );
    let close = stage
        .contract
        .cooperative_close(&stage.sender, &channel, 70.into(), &proof, &closing);
    let receipt = close.await.unwrap();
    assert!(
        receipt
            .logs
            .iter()
            .any(|log| log.address == stage.contract.address())
    );
    assert_eq!(stage.contract.channel_info(&channel).await.unwrap(), None);
    assert_eq!(stage.tokens(&stage.receiver).await, "70");
    assert_eq!(stage.tokens(&stage.sender).await, "999930");
    let expected = [
        ChannelChange::Created { deposit: 100.into() },
        ChannelChange::Withdrawn { amount: 30.into() },
        ChannelChange::Settled {
            balance: 70.into(),
            receiver_tokens: 40.into(),
        },
    ];
    assert_eq!(stage.changes(&channel).await, expected);
}

#[tokio::test]
async fn an_uncooperative_close_is_settled_after_the_challenge_period() {
    let stage = Stage::new().await;
    let channel = stage.open(100).await;
    let receipt = stage
        .contract
        .uncooperative_close(&stage.sender, &channel, 40.into())
        .await
        .unwrap();
    let settle_block = receipt.block.number.saturating_add(CHALLENGE_PERIOD.into());
    let expected = ChannelInfo {
        settle_block: Some(settle_block),
        closing_balance: 40.into(),
        ..info(100, 0)
    };
    assert_eq!(
        stage.contract.channel_info(&channel).await.unwrap(),
        Some(expected)
    );
    let error = stage.contract.settle(&stage.sender, &channel).await.unwrap_err();
    assert_eq!(
        error.revert().and_then(|revert| revert.name()),
        Some("ChallengeNotOver"),
        "{error}"
    );

    // The pending block is the first that may settle.
    stage.chain.mine(settle_block.0 - stage.chain.block_number());
    stage.contract.settle(&stage.sender, &channel).await.unwrap();
    assert_eq!(stage.tokens(&stage.receiver).await, "40");
    let expected = [
        ChannelChange::Created { deposit: 100.into() },
        ChannelChange::CloseRequested {
            closing_balance: 40.into(),
        },
        ChannelChange::Settled {
            balance: 40.into(),
            receiver_tokens: 40.into(),
        },
    ];
    assert_eq!(stage.changes(&channel).await, expected);
}

#[tokio::test]
async fn the_way_is_chosen_by_what_the_token_can_do() {
    let stage = Stage::new().await;
    let (_, receipts) = stage
        .contract
        .open_channel(&stage.sender, stage.receiver.address(), 100.into())
        .await
        .unwrap();
    assert_eq!(receipts.0.len(), 1);

    let plain = stage_with_plain_token().await;
    assert_eq!(plain.contract.token().symbol, "TST");
    let open = |deposit: u64| {
        plain
            .contract
            .open_channel(&plain.sender, plain.receiver.address(), deposit.into())
    };
    let (channel, receipts) = open(100).await.unwrap();
    assert_eq!(receipts.0.len(), 2);
    let receipts = plain
        .contract
        .top_up(&plain.sender, &channel, 5.into())
        .await
        .unwrap();
    assert_eq!(receipts.0.len(), 2);
    assert_eq!(
        plain.contract.channel_info(&channel).await.unwrap(),
        Some(info(105, 0))
    );
    // Nothing to take: nothing to approve.
    let (_, receipts) = open(0).await.unwrap();
    assert_eq!(receipts.0.len(), 1);
}

#[tokio::test]
async fn an_allowance_from_before_is_used_or_replaced() {
    let stage = stage_with_plain_token().await;
    let (contract, sender, receiver) = (&stage.contract, &stage.sender, stage.receiver.address());
    // approve(contract, 10), as after an open that was interrupted.
    let selector = hex!("095ea7b3").to_vec();
    let arguments = (contract.address(), U256::from(10)).abi_encode();
    let approve = Bytes::from([selector, arguments].concat());
    sender
        .send(Some(contract.token().address), approve, U256::ZERO, None)
        .await
        .unwrap();
    let (channel, receipts) = contract.open_channel(sender, receiver, 6.into()).await.unwrap();
    assert_eq!(receipts.0.len(), 1);
    // 4 are left: too few, and the token changes an allowance only by way of zero.
    let receipts = contract.top_up(sender, &channel, 5.into()).await.unwrap();
    assert_eq!(receipts.0.len(), 3);
    assert_eq!(contract.channel_info(&channel).await.unwrap(), Some(info(11, 0)));
}

#[tokio::test]
async fn tokens_are_minted_and_transferred() {
    let stage = Stage::new().await;
    let token = stage.contract.token().address;
    let ether = stage.node.eth_balance(stage.receiver.address()).await.unwrap();
    let receipt = token::mint(&stage.receiver, token).await.unwrap();
    let left = stage.node.eth_balance(stage.receiver.address()).await.unwrap();
    assert_eq!(left, ether - mint_price_wei() - receipt.cost_wei());
    assert_eq!(stage.tokens(&stage.receiver).await, "5000");
    token::transfer(&stage.receiver, token, stage.sender.address(), 4000.into())
        .await
        .unwrap();
    assert_eq!(stage.tokens(&stage.receiver).await, "1000");

    let open = stage
        .contract
        .open_channel(&stage.receiver, stage.sender.address(), 1001.into());
    let error = open.await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("holds 1000 base units, 1001 are needed"),
        "{error}"
    );
    let transfer = token::transfer(&stage.receiver, token, stage.sender.address(), 1001.into());
    assert!(matches!(
        transfer.await.unwrap_err(),
        TransactionError::InsufficientTokens { .. }
    ));
}

/// A stage whose token has no ERC223 transfer: its selector is misspelt in the code.
async fn stage_with_plain_token() -> Stage {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let sender = Wallet::new(connect(&chain).await, secret_key(&chain, 0));
    let artifact = include_str!("../../../../contracts/artifacts/CustomToken.json");
    let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap();
    let code = artifact["bytecode"].as_str().unwrap();
    assert_eq!(code.matches("63be45fd62").count(), 1);
    let code = hex::decode(code.replace("63be45fd62", "63be45fd63")).unwrap();
    let params = token_params();
    let decimals = U256::from(params.decimals);
    let arguments = (params.supply, params.name, params.symbol, decimals).abi_encode_params();
    let init_code = Bytes::from([code, arguments].concat());
    let receipt = sender.send(None, init_code, U256::ZERO, None).await.unwrap();
    let token = receipt.contract_address.unwrap();
    Stage::with_token(chain, sender, token).await
}
