// The bytes that are signed: the draft of EIP-712 that the contract of 2018 checks (`eth_signTypedData`, version 1).
// Hash = keccak256(keccak256(types and names) ‖ keccak256(values)), all packed, without a prefix.

import { concat, encodePacked, keccak256, recoverAddress, toHex, type Address, type Hex } from "viem";

/** One entry of what `eth_signTypedData` version 1 signs; amounts and numbers as decimal text. */
export interface TypedEntry {
  type: string;
  name: string;
  value: string;
}

/** What names a channel's messages. */
interface Place {
  block: number;
  balance: bigint;
  contract: Address;
}

const entries = (id: string, party: "receiver" | "sender", address: Address, { block, balance, contract }: Place): TypedEntry[] => [
  { type: "string", name: "message_id", value: id },
  { type: "address", name: party, value: address },
  { type: "uint32", name: "block_created", value: String(block) },
  { type: "uint192", name: "balance", value: balance.toString() },
  { type: "address", name: "contract", value: contract },
];

/** A balance proof: what the sender signs to say that it owes `balance` in all. */
export function balanceProof(receiver: Address, place: Place): TypedEntry[] {
  return entries("Sender balance proof signature", "receiver", receiver, place);
}

/** What the receiver signs to agree to a close at `balance`. */
export function closingMessage(sender: Address, place: Place): TypedEntry[] {
  return entries("Receiver closing signature", "sender", sender, place);
}

/** The hash that is signed. */
export function typedSignatureHash(entries: TypedEntry[]): Hex {
  const schema = entries.map(({ type, name }) => toHex(`${type} ${name}`));
  const types = entries.map(({ type }) => type);
  const values = entries.map(({ type, value }) => (type.startsWith("uint") ? BigInt(value) : value));
  return keccak256(concat([keccak256(concat(schema)), keccak256(encodePacked(types, values))]));
}

/** The order of the curve's group, half of it: the contract accepts no signature with a larger s. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/**
 * Who signed; `undefined` for what the contract would not accept: 65 bytes `r ‖ s ‖ v`, v in {0, 1, 27, 28}, low s.
 */
export async function signer(entries: TypedEntry[], signature: string): Promise<Address | undefined> {
  if (!/^0x[0-9a-f]{130}$/i.test(signature)) return undefined;
  const v = Number(`0x${signature.slice(130)}`);
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  if (![0, 1, 27, 28].includes(v) || s > HALF_ORDER) return undefined;
  try {
    return await recoverAddress({ hash: typedSignatureHash(entries), signature: signature as Hex });
  } catch {
    return undefined;
  }
}
