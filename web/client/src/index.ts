/**
 * Frequent, fast and free ERC20 micropayments in the browser: open a payment channel, pay each request by signing, close.
 *
 * @module
 */

export { contractAbi, tokenAbi } from "./abi.js";
export { MAX_AMOUNT, formatAmount, parseAmount, reviveAmount } from "./amounts.js";
export { balanceProof, closingMessage, signer, typedSignatureHash, type TypedEntry } from "./balance-proof.js";
export type { MicroChannel, MicroChannelInfo, MicroChannelState, MicroProof, MicroTokenInfo } from "./channel.js";
export { InsufficientFundsError, MicroRaidenError, isDenied, type ErrorCode } from "./errors.js";
export { MicroRaiden, type Options } from "./microraiden.js";
export type { TextStorage } from "./storage.js";
export { INJECTED, discoverWallets, nodeProvider, providerOf, type Eip1193Provider, type ProviderSource, type Wallet } from "./wallets.js";
