// Channels in the browser's storage, where the page of 2018 kept them: JSON under `account|receiver`.
//
// That key says neither the network nor the contract. So ours are written beside it into the JSON, and a channel that
// belongs elsewhere is moved out of the way and never used: its balance would be signed for another channel.

import { isAddress, isHex, type Address } from "viem";
import { reviveAmount } from "./amounts.js";
import type { MicroChannel, MicroProof } from "./channel.js";

/** What holds text by name: `localStorage`, or anything like it. */
export interface TextStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/** Where a channel is. */
export interface Home {
  contract: Address;
  /** `undefined` until the network was asked. */
  chainId?: number | undefined;
}

interface Stored {
  contract?: unknown;
  chainId?: unknown;
}

const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();

/** The names under which something is stored as `name`, in whatever case its addresses are written. */
function spellings(storage: TextStorage, name: string): string[] {
  const names = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
  return names.filter((found) => same(found, name)).sort((one) => (one === name ? -1 : 1));
}

const key = (account: string, receiver: string) => `${account}|${receiver}`;
const aside = (name: string, { chainId, contract }: Stored) => `${name}|${chainId ?? ""}|${contract ?? ""}`;

function parse(text: string | null): (Stored & Record<string, unknown>) | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is of this network and contract, as far as it says; that of 2018 does not. */
function isAt({ contract, chainId }: Stored, home: Home): boolean {
  const atContract = contract === undefined || same(String(contract), home.contract);
  return atContract && (chainId === undefined || home.chainId === undefined || chainId === home.chainId);
}

function reviveProof(value: unknown): MicroProof | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { balance: written, sig } = value as Record<string, unknown>;
  const balance = reviveAmount(written);
  if (balance === undefined) return undefined;
  return isHex(sig) ? { balance, sig } : { balance };
}

function revive(value: Record<string, unknown>): MicroChannel | undefined {
  const { account, receiver, block, closing_sig } = value;
  const [proof, next_proof] = [reviveProof(value.proof), reviveProof(value.next_proof)];
  const isNamed = isAddress(String(account), { strict: false }) && isAddress(String(receiver), { strict: false });
  if (!isNamed || !Number.isSafeInteger(block) || (block as number) <= 0 || !proof) return undefined;
  return {
    account: account as Address,
    receiver: receiver as Address,
    block: block as number,
    proof,
    ...(next_proof && { next_proof }),
    ...(isHex(closing_sig) && { closing_sig }),
  };
}

/** The channel between two parties at a contract; `undefined` when there is none, or what is there cannot be read. */
export function load(storage: TextStorage, account: string, receiver: string, home: Home): MicroChannel | undefined {
  const name = key(account, receiver);
  const places = [name, aside(name, home)].flatMap((place) => spellings(storage, place));
  const found = places.map((place) => parse(storage.getItem(place))).find((value) => value && isAt(value, home));
  return found && revive(found);
}

/** Keeps a channel; another one's place is not taken. */
export function save(storage: TextStorage, channel: MicroChannel, home: Home): void {
  const name = key(channel.account, channel.receiver);
  const text = JSON.stringify({ ...channel, ...home }, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  const before = spellings(storage, name).map((place) => ({ place, text: storage.getItem(place) ?? "" }));
  for (const { place, text } of before) {
    const stored = parse(text);
    if (stored && !isAt(stored, home)) storage.setItem(aside(name, stored), text);
    if (place !== name) storage.removeItem(place);
  }
  storage.setItem(name, text);
}

/** Removes a channel. */
export function forget(storage: TextStorage, channel: MicroChannel, home: Home): void {
  const name = key(channel.account, channel.receiver);
  for (const place of [name, aside(name, home)].flatMap((place) => spellings(storage, place))) {
    const stored = parse(storage.getItem(place));
    if (!stored || isAt(stored, home)) storage.removeItem(place);
  }
}
