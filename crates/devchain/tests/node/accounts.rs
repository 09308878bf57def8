//! The node's own accounts: where they come from, what it sends and signs for them.

use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{
    Address, B256, Bytes, Signature, U256, address, b256, eip191_hash_message, hex, keccak256,
};
use alloy_provider::Provider;
use microraiden_devchain::{ACCOUNTS, Config, DERIVATION_PATH, DevAccount, DevChain, MNEMONIC};
use serde_json::{Value, json};

use crate::{REVERTER, ask, client, deploy, refusal, start, start_manual};

const STRANGER: Address = Address::repeat_byte(0x77);

#[test]
fn accounts_are_derived_from_a_mnemonic() {
    let derived = DevAccount::derive(MNEMONIC, DERIVATION_PATH, 11).unwrap();
    assert_eq!(derived[..10], ACCOUNTS);
    assert_eq!(
        derived[10].address,
        address!("0xBcd4042DE499D14e55001CcbB24a551F3b954096")
    );
    assert_eq!(
        derived[10].secret_key,
        b256!("0xf214f2b2cd398c806f84e317254e0f0b801d0643303237d97a22a48e01628897")
    );
    // The slash at the end of the path can be left out.
    let path = DERIVATION_PATH.trim_end_matches('/');
    assert_eq!(
        DevAccount::derive(MNEMONIC, path, 3).unwrap(),
        ACCOUNTS[..3].to_vec()
    );
    assert_eq!(DevAccount::derive(MNEMONIC, path, 0).unwrap(), []);
    let elsewhere = DevAccount::derive(MNEMONIC, "m/44'/60'/1'/0", 1).unwrap();
    assert_ne!(elsewhere[0], ACCOUNTS[0]);
}

#[test]
fn what_is_no_mnemonic_or_no_path_gives_no_accounts() {
    let wrong_checksum = MNEMONIC.replace("junk", "test");
    let unknown_word = MNEMONIC.replace("junk", "raiden");
    for (mnemonic, path) in [
        ("", DERIVATION_PATH),
        ("test test test", DERIVATION_PATH),
        (&wrong_checksum, DERIVATION_PATH),
        (&unknown_word, DERIVATION_PATH),
        (MNEMONIC, "m/x"),
        (MNEMONIC, "44'/60'/0'/0/zero"),
        (MNEMONIC, "m/4294967296"),
    ] {
        let error = DevAccount::derive(mnemonic, path, 1).expect_err(path);
        assert!(
            error
                .to_string()
                .starts_with("cannot derive accounts from this mnemonic and derivation path: ")
        );
    }
}

#[tokio::test]
async fn the_accounts_can_be_others_and_of_other_wealth() {
    let accounts = DevAccount::derive(MNEMONIC, "m/44'/60'/7'/0", 2).unwrap();
    let node = DevChain::start(Config {
        accounts: accounts.clone(),
        account_balance_wei: U256::from(10).pow(U256::from(18)),
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    let addresses = json!([accounts[0].address, accounts[1].address]);
    assert_eq!(node.accounts(), accounts);
    assert_eq!(ask(&client, "eth_accounts", json!([])).await, addresses);
    assert_eq!(ask(&client, "eth_requestAccounts", json!([])).await, addresses);
    for account in &accounts {
        assert_eq!(
            client.get_balance(account.address).await.unwrap(),
            U256::from(10).pow(U256::from(18))
        );
    }
    assert_eq!(client.get_balance(ACCOUNTS[0].address).await.unwrap(), U256::ZERO);
    let hash = ask(
        &client,
        "eth_sendTransaction",
        json!([{ "to": STRANGER, "value": "0x5" }]),
    )
    .await;
    let receipt = ask(&client, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["from"], json!(accounts[0].address));
    let usual = json!([{ "from": ACCOUNTS[0].address, "to": STRANGER }]);
    assert_eq!(refusal(&client, "eth_sendTransaction", usual).await.0, -32000);
}

#[tokio::test]
async fn a_node_without_accounts_signs_nothing() {
    let node = DevChain::start(Config {
        accounts: Vec::new(),
        ..Config::default()
    })
    .await
    .unwrap();
    let client = alloy_provider::ProviderBuilder::new().connect_http(node.url().parse().unwrap());
    assert_eq!(ask(&client, "eth_accounts", json!([])).await, json!([]));
    let (code, message) = refusal(&client, "eth_sendTransaction", json!([{ "to": STRANGER }])).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("No Signer available"), "{message}");
}

/// The fields of a transaction that the node completed and sent.
async fn sent(client: &impl Provider, request: Value, fields: &[&str]) -> Vec<Value> {
    let hash = ask(client, "eth_sendTransaction", json!([request])).await;
    let transaction = ask(client, "eth_getTransactionByHash", json!([hash])).await;
    fields.iter().map(|field| transaction[field].clone()).collect()
}

#[tokio::test]
async fn what_a_transaction_does_not_say_is_filled_in() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let [first, second] = [ACCOUNTS[0].address, ACCOUNTS[1].address];
    let usual = [
        "from",
        "nonce",
        "gas",
        "type",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "chainId",
        "input",
    ];
    // Twice the base fee of 1 gwei, and 1 gwei on top.
    assert_eq!(
        sent(&client, json!({ "to": STRANGER, "value": "0x5" }), &usual).await,
        [
            json!(first),
            json!("0x0"),
            json!("0x5208"),
            json!("0x2"),
            json!("0xb2d05e00"),
            json!("0x3b9aca00"),
            json!("0x7a69"),
            json!("0x")
        ]
    );
    // The next nonce is the one after those that wait; a byte of data costs gas.
    let second_one = json!({ "from": first, "to": STRANGER, "data": "0x01" });
    assert_eq!(
        sent(&client, second_one, &["nonce", "gas", "input"]).await,
        [json!("0x1"), json!("0x5230"), json!("0x01")]
    );
    let given = json!({
        "from": second, "to": STRANGER, "gas": "0x7530", "nonce": "0x4",
        "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x7"
    });
    assert_eq!(
        sent(&client, given, &usual[..6]).await,
        [
            json!(second),
            json!("0x4"),
            json!("0x7530"),
            json!("0x2"),
            json!("0x77359400"),
            json!("0x7")
        ]
    );
    // A low limit on the fee also limits what is on top, and a high tip raises the fee.
    let low = json!({ "from": second, "to": STRANGER, "maxFeePerGas": "0x5" });
    assert_eq!(
        sent(&client, low, &usual[4..6]).await,
        [json!("0x5"), json!("0x5")]
    );
    let high =
        json!({ "from": second, "to": STRANGER, "nonce": "0x9", "maxPriorityFeePerGas": "0xb2d05e00" });
    assert_eq!(
        sent(&client, high, &usual[4..6]).await,
        [json!("0x12a05f200"), json!("0xb2d05e00")]
    );
    // Without a receiver it is a deployment.
    let creation = json!({ "data": "0x00" });
    assert_eq!(sent(&client, creation, &["to"]).await, [Value::Null]);
}

#[tokio::test]
async fn the_fields_of_a_transaction_say_what_type_it_is() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let list = json!([{ "address": STRANGER, "storageKeys": [B256::ZERO] }]);
    let fields = ["type", "gasPrice", "accessList"];
    let legacy = json!({ "to": STRANGER, "gasPrice": "0x77359400" });
    assert_eq!(
        sent(&client, legacy, &fields).await,
        [json!("0x0"), json!("0x77359400"), Value::Null]
    );
    let legacy = json!({ "to": STRANGER, "type": "0x0" });
    assert_eq!(
        sent(&client, legacy, &fields).await,
        [json!("0x0"), json!("0x77359400"), Value::Null]
    );
    let listed = json!({ "to": STRANGER, "gasPrice": "0x77359400", "accessList": list });
    assert_eq!(
        sent(&client, listed, &fields).await,
        [json!("0x1"), json!("0x77359400"), list.clone()]
    );
    let listed = json!({ "to": STRANGER, "type": "0x1", "gasPrice": "0x77359400" });
    assert_eq!(
        sent(&client, listed, &fields).await,
        [json!("0x1"), json!("0x77359400"), json!([])]
    );
    let dynamic = json!({ "to": STRANGER, "accessList": list });
    assert_eq!(
        sent(&client, dynamic, &["type", "accessList"]).await,
        [json!("0x2"), list]
    );
    node.mine(1);
    let count = ask(&client, "eth_getBlockTransactionCountByNumber", json!(["0x1"])).await;
    assert_eq!(count, "0x5");
}

#[tokio::test]
async fn the_node_sends_for_those_whose_keys_it_has() {
    let node = start().await;
    let client = client(&node, 0);
    let unknown = format!("No Signer available for {STRANGER}");
    for request in [
        json!({ "from": STRANGER, "to": STRANGER }),
        // Also if it could not pay, or the transaction would fail.
        json!({ "from": STRANGER, "to": STRANGER, "value": "0x1" }),
        json!({ "from": STRANGER, "data": "0xfe" }),
    ] {
        for method in ["eth_sendTransaction", "eth_signTransaction"] {
            let (code, message) = refusal(&client, method, json!([request])).await;
            assert_eq!(code, -32000);
            assert!(message.starts_with(&unknown), "{message}");
        }
    }
    let reverter = deploy(&client, &REVERTER).await;
    let failing = json!([{ "to": reverter }]);
    let error = client
        .raw_request::<_, Value>("eth_sendTransaction".into(), failing)
        .await
        .unwrap_err();
    let error = error.as_error_resp().unwrap();
    assert_eq!((error.code, &*error.message), (3, "execution reverted: no"));
    assert_eq!(error.as_revert_data().unwrap()[..4], [0x08, 0xc3, 0x79, 0xa0]);
    let expensive = json!([{ "to": STRANGER, "value": U256::MAX, "gas": "0x5208" }]);
    let (code, message) = refusal(&client, "eth_sendTransaction", expensive).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds"), "{message}");
    assert_eq!(node.block_number(), 1);
}

#[tokio::test]
async fn what_the_node_signs_anyone_can_send() {
    let node = start().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[3].address;
    for gas_price in [json!({}), json!({ "gasPrice": "0x77359400" })] {
        let mut request = json!({ "from": sender, "to": STRANGER, "value": "0x5" });
        request
            .as_object_mut()
            .unwrap()
            .extend(gas_price.as_object().unwrap().clone());
        let before = node.block_number();
        let raw = ask(&client, "eth_signTransaction", json!([request])).await;
        assert_eq!(node.block_number(), before);
        let encoded: Bytes = serde_json::from_value(raw.clone()).unwrap();
        let decoded = alloy_consensus::TxEnvelope::decode_2718_exact(&encoded).unwrap();
        assert_eq!(
            alloy_consensus::transaction::SignerRecoverable::recover_signer(&decoded).unwrap(),
            sender
        );
        let hash = ask(&client, "eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(hash, json!(decoded.tx_hash()));
        let receipt = ask(&client, "eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(
            (&receipt["from"], &receipt["status"]),
            (&json!(sender), &json!("0x1"))
        );
    }
    assert_eq!(client.get_balance(STRANGER).await.unwrap(), U256::from(10));
}

/// Who signed a hash.
fn signer_of(signature: &Value, hash: B256) -> Address {
    let bytes: Bytes = serde_json::from_value(signature.clone()).unwrap();
    assert!([27, 28].contains(bytes.last().unwrap()), "{bytes}");
    Signature::try_from(&bytes[..])
        .unwrap()
        .recover_address_from_prehash(&hash)
        .unwrap()
}

#[tokio::test]
async fn messages_are_signed_with_the_prefix_of_eip_191() {
    let node = start().await;
    let client = client(&node, 0);
    let account = ACCOUNTS[2].address;
    let message = Bytes::from_static(b"hello \xff");
    let hash = eip191_hash_message(&message);
    let signed = ask(&client, "eth_sign", json!([account, message])).await;
    assert_eq!(signer_of(&signed, hash), account);
    let signed_too = ask(&client, "personal_sign", json!([message, account])).await;
    assert_eq!(signed_too, signed);
    // MetaMask's web page adds a password.
    assert_eq!(
        ask(&client, "personal_sign", json!([message, account, "secret"])).await,
        signed
    );
    for (method, params) in [
        ("eth_sign", json!([STRANGER, message])),
        ("personal_sign", json!([message, STRANGER])),
    ] {
        let (code, text) = refusal(&client, method, params).await;
        assert_eq!(code, -32000);
        assert!(text.starts_with("No Signer available"), "{text}");
    }
    // Who is only impersonated has no key to sign with.
    ask(&client, "anvil_impersonateAccount", json!([STRANGER])).await;
    let (code, text) = refusal(&client, "eth_sign", json!([STRANGER, message])).await;
    assert_eq!(code, -32000);
    assert!(text.contains("only impersonated"), "{text}");
}

/// The example of EIP-712.
fn mail() -> Value {
    let person = |name, wallet: &str| json!({ "name": name, "wallet": wallet });
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" },
                { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" }
            ],
            "Person": [{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }],
            "Mail": [
                { "name": "from", "type": "Person" },
                { "name": "to", "type": "Person" },
                { "name": "contents", "type": "string" }
            ]
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail",
            "version": "1",
            "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
        },
        "message": {
            "from": person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
            "to": person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"),
            "contents": "Hello, Bob!"
        }
    })
}

#[tokio::test]
async fn typed_data_are_signed_as_eip_712_says() {
    let node = start().await;
    let client = client(&node, 0);
    let account = ACCOUNTS[1].address;
    let data: TypedData = serde_json::from_value(mail()).unwrap();
    let hash = data.eip712_signing_hash().unwrap();
    assert_eq!(
        hash,
        b256!("0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2")
    );
    for method in [
        "eth_signTypedData_v3",
        "eth_signTypedData_v4",
        "eth_signTypedData",
    ] {
        for data in [mail(), Value::String(mail().to_string())] {
            let signed = ask(&client, method, json!([account, data])).await;
            assert_eq!(signer_of(&signed, hash), account, "{method}");
        }
        let (code, _) = refusal(&client, method, json!([STRANGER, mail()])).await;
        assert_eq!(code, -32000);
        let mut without_type = mail();
        without_type["types"]["Mail"][0]["type"] = "Nobody".into();
        for wrong in [without_type, json!("{"), json!({}), json!(5)] {
            let (code, _) = refusal(&client, method, json!([account, wrong])).await;
            assert_eq!(code, -32602, "{wrong}");
        }
    }
}

/// The hash of the first version of typed data, from the texts of the types with names and the packed values.
fn first_version(schema: &str, packed: &[u8]) -> B256 {
    keccak256([keccak256(schema).0, keccak256(packed).0].concat())
}

fn field(kind: &str, name: &str, value: impl Into<Value>) -> Value {
    json!({ "type": kind, "name": name, "value": value.into() })
}

#[tokio::test]
async fn typed_data_of_the_first_version_are_signed_as_wallets_do() {
    let node = start().await;
    let client = client(&node, 0);
    let account = ACCOUNTS[4].address;
    let bytes32 = B256::repeat_byte(0xab);
    let number = U256::from(258).to_be_bytes::<32>();
    let cases = [
        // The two hashes that MetaMask's eth-sig-util is tested with.
        (
            json!([field("string", "message", "Hi, Alice!")]),
            b256!("0x14b9f24872e28cc49e72dc104d7380d8e0ba84a3fe2e712704bcac66a5702bd5"),
        ),
        (
            json!([
                field("string", "message", "Hi, Alice!"),
                field("uint8", "value", 10)
            ]),
            b256!("0xf7ad23226db5c1c00ca0ca1468fd49c8f8bbc1489bc1c382de5adc557a69c229"),
        ),
        (
            json!([field("uint256", "n", 258)]),
            first_version("uint256 n", &number),
        ),
        (
            json!([field("uint256", "n", "258")]),
            first_version("uint256 n", &number),
        ),
        (
            json!([field("uint256", "n", "0x102")]),
            first_version("uint256 n", &number),
        ),
        (
            json!([field("uint16", "n", 258)]),
            first_version("uint16 n", &[1, 2]),
        ),
        (
            json!([field("int16", "n", -2)]),
            first_version("int16 n", &[0xff, 0xfe]),
        ),
        (
            json!([field("address", "who", account.to_string())]),
            first_version("address who", account.as_slice()),
        ),
        (
            json!([field("bytes32", "hash", bytes32.to_string())]),
            first_version("bytes32 hash", &bytes32.0),
        ),
        (
            json!([field("bytes", "data", "0x010203")]),
            first_version("bytes data", &[1, 2, 3]),
        ),
        (
            json!([field("bytes", "data", "text")]),
            first_version("bytes data", b"text"),
        ),
        (
            json!([field("bool", "yes", true), field("bool", "no", false)]),
            first_version("bool yesbool no", &[1, 0]),
        ),
        // The elements of arrays take a word each.
        (
            json!([field("uint8[]", "list", json!([1, 2]))]),
            first_version(
                "uint8[] list",
                &hex!(
                    "0000000000000000000000000000000000000000000000000000000000000001"
                    "0000000000000000000000000000000000000000000000000000000000000002"
                ),
            ),
        ),
        (
            json!([field("string", "", "0x31"), field("uint256", "n", 258)]),
            first_version("string uint256 n", &[b"0x31", &number[..]].concat()),
        ),
    ];
    for (fields, hash) in cases {
        for method in ["eth_signTypedData", "eth_signTypedData_v1"] {
            let signed = ask(&client, method, json!([fields, account])).await;
            assert_eq!(signer_of(&signed, hash), account, "{method} {fields}");
        }
    }
}

#[tokio::test]
async fn typed_data_of_the_first_version_must_fit_their_types() {
    let node = start().await;
    let client = client(&node, 0);
    let account = ACCOUNTS[4].address;
    for fields in [
        json!([]),
        json!([field("Mail", "m", "x")]),
        json!([field("uint7", "n", 1)]),
        json!([field("(uint8,bool)", "pair", json!([1, true]))]),
        json!([field("uint256", "n", "many")]),
        json!([field("uint256", "n", -1)]),
        json!([field("uint256", "n", 1.5)]),
        json!([field("uint8", "n", 256)]),
        json!([field("uint256", "n", true)]),
        json!([field("uint256", "n", Value::Null)]),
        json!([field("bool", "b", 2)]),
        json!([field("address", "a", "0x01")]),
        json!([field("bytes32", "h", "0x01")]),
        json!([field("string", "s", 5)]),
        json!([{ "type": "string", "value": "nameless" }]),
    ] {
        for method in ["eth_signTypedData", "eth_signTypedData_v1"] {
            let (code, _) = refusal(&client, method, json!([fields, account])).await;
            assert_eq!(code, -32602, "{fields}");
        }
    }
    let fields = json!([field("string", "message", "Hi")]);
    let (code, _) = refusal(&client, "eth_signTypedData", json!([fields, STRANGER])).await;
    assert_eq!(code, -32000);
}
