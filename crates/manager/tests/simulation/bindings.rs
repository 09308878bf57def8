//! Types of the contracts, generated from their committed ABI.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

use alloy_sol_types::sol;

sol!(
    RaidenMicroTransferChannels,
    "../../contracts/artifacts/RaidenMicroTransferChannels.json"
);

sol!(CustomToken, "../../contracts/artifacts/CustomToken.json");
