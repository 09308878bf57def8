import type { Address, Hex } from "viem";

/** A balance, and the sender's signature for it once there is one. */
export interface MicroProof {
  /** All that the sender owes on the channel, in base units. */
  balance: bigint;
  /** The balance proof's 65 bytes. */
  sig?: Hex;
}

/** A channel as it is kept in storage. */
export interface MicroChannel {
  /** The sender. */
  account: Address;
  receiver: Address;
  /** The block that opened it; with both addresses it names the channel. */
  block: number;
  /** The last balance that is known to be the receiver's, or was set. */
  proof: MicroProof;
  /** The last balance that was signed and not confirmed yet. */
  next_proof?: MicroProof;
  /** The receiver's signature for a close at `proof.balance`. */
  closing_sig?: Hex;
}

/** Where a channel is in its life. */
export type MicroChannelState = "opened" | "closed" | "settled";

/** A channel as the chain has it. */
export interface MicroChannelInfo {
  state: MicroChannelState;
  /** Of an open channel the block that opened it, of a closed one that of the close, of a settled one that of the settlement. */
  block: number;
  /** In base units; 0 when settled. */
  deposit: bigint;
  /** What the receiver has withdrawn, in base units; 0 when settled. */
  withdrawn: bigint;
}

/** The token of the contract. */
export interface MicroTokenInfo {
  name: string;
  symbol: string;
  decimals: number;
  /** Of the account that was asked for, in base units; 0 without one. */
  balance: bigint;
}
