//! Balance proofs that the development chain signs for an account, as a browser wallet of 2018 did.

use microraiden_protocol::{Address, Balance, ChannelId, ProofScheme, Signature};
use microraiden_tests::{NodeKind, TestNode};
use serde_json::{Value, json};

fn field(kind: &str, name: &str, value: impl ToString) -> Value {
    json!({ "type": kind, "name": name, "value": value.to_string() })
}

#[tokio::test]
async fn a_balance_proof_can_be_signed_by_eth_sign_typed_data_version_1() {
    let node = TestNode::start_quiet(NodeKind::Devchain).await;
    let sender = node.key(2);
    let (receiver, contract) = (node.key(1).address(), Address::repeat_byte(0xc0));
    let channel = ChannelId {
        sender: sender.address(),
        receiver,
        open_block: 4_804_175,
    };
    // Above what a JavaScript number can hold.
    let balance = "22000000000000000001";
    let values = json!([
        field("string", "message_id", "Sender balance proof signature"),
        field("address", "receiver", receiver),
        field("uint32", "block_created", channel.open_block),
        field("uint192", "balance", balance),
        field("address", "contract", contract),
    ]);
    let params = json!([values, sender.address().to_string()]);
    let scheme = ProofScheme::DraftTypedData { contract };
    let balance = Balance::new(balance.parse().unwrap());
    for method in ["eth_signTypedData", "eth_signTypedData_v1"] {
        let signature = node.control(method, params.clone()).await;
        let signature: Signature = signature.as_str().unwrap().parse().unwrap();
        let signer = signature.recover(scheme.balance_proof_hash(&channel, balance));
        assert_eq!(signer, Ok(sender.address()), "{method}");
    }
}
