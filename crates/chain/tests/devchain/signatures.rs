//! The contract's recovery of signers, beside that of the protocol crate.

use crate::stage::Stage;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::sol;
use microraiden_chain::ChainError;
use microraiden_protocol::{Balance, ChannelId, SecretKey, Signature};

sol! {
    function extractBalanceProofSignature(address receiver, uint32 open_block, uint192 balance, bytes signature)
        external view returns (address);
    function extractClosingSignature(address sender, uint32 open_block, uint192 balance, bytes signature)
        external view returns (address);
    function getKey(address sender, address receiver, uint32 open_block) external pure returns (bytes32);
}

fn hash(seed: u64, what: &str) -> B256 {
    keccak256(format!("{what} {seed}"))
}

/// A key, a channel and a balance that nobody has chosen.
fn random(seed: u64) -> (SecretKey, ChannelId, Balance) {
    let key = SecretKey::from_bytes(hash(seed, "key").as_slice()).unwrap();
    let channel = ChannelId {
        sender: key.address(),
        receiver: Address::from_word(hash(seed, "receiver")),
        open_block: u32::from_be_bytes(hash(seed, "block")[..4].try_into().unwrap()),
    };
    let balance = Balance::from_be_bytes(hash(seed, "balance")[..24].try_into().unwrap());
    (key, channel, balance)
}

#[tokio::test]
async fn contract_and_protocol_recover_the_same_signer() {
    let stage = Stage::new().await;
    let scheme = stage.contract.scheme();
    for seed in 0..20 {
        let (key, channel, balance) = random(seed);
        let proof = scheme.sign_balance_proof(&key, channel, balance);
        let signer = stage
            .contract
            .recover_balance_proof(&channel, balance, &proof.signature);
        assert_eq!(signer.await.unwrap(), key.address());
        assert!(proof.verify(&scheme).is_ok());

        let closing = scheme.sign_closing(&key, &channel, balance);
        let signer = stage
            .contract
            .recover_closing(&channel, balance, &closing)
            .await
            .unwrap();
        assert_eq!(signer, key.address());
        assert_eq!(
            closing.recover(scheme.closing_hash(&channel, balance)),
            Ok(signer)
        );

        // Over another balance it is somebody else's, and both agree whose.
        let other = Balance::from(seed);
        let signer = stage
            .contract
            .recover_balance_proof(&channel, other, &proof.signature)
            .await
            .unwrap();
        assert_ne!(signer, key.address());
        assert_eq!(
            proof
                .signature
                .recover(scheme.balance_proof_hash(&channel, other)),
            Ok(signer)
        );

        let ChannelId {
            sender,
            receiver,
            open_block,
        } = channel;
        let call = getKeyCall {
            sender,
            receiver,
            open_block,
        };
        let key = stage.node.read(stage.contract.address(), &call).await.unwrap();
        assert_eq!(key, channel.key());
    }
}

#[tokio::test]
async fn contract_and_protocol_take_and_refuse_the_same_forms() {
    let stage = Stage::new().await;
    let (key, channel, balance) = random(1);
    let scheme = stage.contract.scheme();
    let closing = scheme.sign_closing(&key, &channel, balance).to_bytes().to_vec();
    let signature = scheme
        .sign_balance_proof(&key, channel, balance)
        .signature
        .to_bytes()
        .to_vec();
    let with_v = |v: u8| [&signature[..64], &[v]].concat();
    let parity = signature[64] - 27;
    for (form, name) in [
        (with_v(parity), None),
        (with_v(parity + 27), None),
        (with_v(parity + 35), Some("InvalidSignatureV")),
        (with_v(2), Some("InvalidSignatureV")),
        (with_v(26), Some("InvalidSignatureV")),
        (with_v(29), Some("InvalidSignatureV")),
        (signature[..64].to_vec(), Some("InvalidSignatureLength")),
        ([&signature[..], &[0]].concat(), Some("InvalidSignatureLength")),
        (vec![], Some("InvalidSignatureLength")),
        (with_high_s(&signature), Some("InvalidSignatureS")),
    ] {
        let call = extractBalanceProofSignatureCall {
            receiver: channel.receiver,
            open_block: channel.open_block,
            balance: balance.base_units(),
            signature: form.clone().into(),
        };
        let answer = stage.node.read(stage.contract.address(), &call).await;
        assert_eq!(Signature::from_bytes(&form).is_ok(), name.is_none(), "{name:?}");
        match name {
            None => assert_eq!(answer.unwrap(), key.address()),
            Some(name) => assert_refused(answer, name),
        }
    }
    // The other function goes the same way.
    let call = |signature: Vec<u8>| extractClosingSignatureCall {
        sender: channel.sender,
        open_block: channel.open_block,
        balance: balance.base_units(),
        signature: Bytes::from(signature),
    };
    let high = stage
        .node
        .read(stage.contract.address(), &call(with_high_s(&closing)))
        .await;
    assert_refused(high, "InvalidSignatureS");
    let signer = stage.node.read(stage.contract.address(), &call(closing)).await;
    assert_eq!(signer.unwrap(), key.address());
}

fn assert_refused(answer: Result<Address, ChainError>, name: &str) {
    match answer {
        Err(ChainError::Reverted { revert, .. }) => assert_eq!(revert.name(), Some(name)),
        other => panic!("{other:?} is not {name}"),
    }
}

/// The other signature that everybody can compute from one: n - s, and the other v.
fn with_high_s(signature: &[u8]) -> Vec<u8> {
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        .parse()
        .unwrap();
    let s = order - U256::from_be_slice(&signature[32..64]);
    [
        &signature[..32],
        &s.to_be_bytes::<32>(),
        &[27 + 28 - signature[64]],
    ]
    .concat()
}
