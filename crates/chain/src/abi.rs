//! The committed ABIs as JSON text, for clients that bring none of their own.

use serde::Deserialize;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Artifact {
    abi: serde_json::Value,
}

fn abi(artifact: &str) -> String {
    let artifact: Artifact =
        serde_json::from_str(artifact).expect("the committed artifacts are JSON with an abi");
    artifact.abi.to_string()
}

/// The ABI of the channel contract.
pub fn channels() -> &'static str {
    static ABI: LazyLock<String> =
        LazyLock::new(|| abi(include_str!("../artifacts/RaidenMicroTransferChannels.json")));
    &ABI
}

/// The ABI of the development token, which has that of any ERC20 and ERC223 token.
pub fn token() -> &'static str {
    static ABI: LazyLock<String> = LazyLock::new(|| abi(include_str!("../artifacts/CustomToken.json")));
    &ABI
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_abis_are_lists_with_what_clients_call() {
        for (abi, function) in [(super::channels(), "cooperativeClose"), (super::token(), "mint")] {
            let entries: Vec<serde_json::Value> = serde_json::from_str(abi).unwrap();
            assert!(
                entries.iter().any(|entry| entry["name"] == function),
                "{function}"
            );
        }
    }
}
