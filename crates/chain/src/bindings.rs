//! Types of the contracts, generated from their committed ABI, and of the tokens of others.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

use alloy_sol_types::sol;

sol!(
    #[sol(abi)]
    RaidenMicroTransferChannels,
    "artifacts/RaidenMicroTransferChannels.json"
);

sol!(
    #[sol(abi)]
    CustomToken,
    "artifacts/CustomToken.json"
);

sol! {
    /// What is asked of any token.
    interface Erc20 {
        function name() external view returns (string);
        function symbol() external view returns (string);
        function decimals() external view returns (uint8);
        function totalSupply() external view returns (uint256);
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
    }

    /// What only some tokens can do: a transfer that the receiving contract hears of.
    interface Erc223 {
        function transfer(address to, uint256 value, bytes data) external returns (bool);
    }
}
