// What both client suites share: the node under test, its accounts, something to sign, and bounded waiting.

import { EventEmitter, once } from "node:events";

if (!process.env.NODE_URL) {
  throw new Error("NODE_URL is not set; it names the development node to test, such as http://127.0.0.1:8545");
}

export const NODE_URL = process.env.NODE_URL;
export const SOCKET_URL = NODE_URL.replace(/^http/, "ws");

/** The node's accounts are those of this mnemonic at m/44'/60'/0'/0/i; it holds their keys. */
export const MNEMONIC = "test test test test test test test test test test test junk";

/** How often watchers poll, in milliseconds. */
export const POLLING_INTERVAL = 50;

/** How long to wait for what must come, in milliseconds. */
export const PATIENCE = 10_000;

/** Sends one request without a library. */
export async function rpc(method, ...params) {
  const response = await fetch(NODE_URL, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw Object.assign(new Error(error.message), error);
  return result;
}

/** The node as a wallet in the page would show it (EIP-1193). */
export const ethereum = { request: ({ method, params = [] }) => rpc(method, ...params) };

/** Keeps what a watcher delivers; `find` waits for the first item that fits, but not for ever. */
export function inbox(what) {
  const items = [];
  const arrivals = new EventEmitter();
  return {
    items,
    put(...news) {
      items.push(...news);
      arrivals.emit("news");
    },
    async find(fits = () => true) {
      const signal = AbortSignal.timeout(PATIENCE);
      while (!items.some(fits)) {
        await once(arrivals, "news", { signal }).catch(() => {
          throw new Error(`no ${what} within ${PATIENCE / 1000} s`);
        });
      }
      return items.find(fits);
    },
  };
}

/** The fields of a block's header in the order in which they are hashed; `quantity` encodes numbers. */
export function header(block, quantity) {
  return [
    block.parentHash,
    block.sha3Uncles,
    block.miner,
    block.stateRoot,
    block.transactionsRoot,
    block.receiptsRoot,
    block.logsBloom,
    quantity(block.difficulty),
    quantity(block.number),
    quantity(block.gasLimit),
    quantity(block.gasUsed),
    quantity(block.timestamp),
    block.extraData,
    block.mixHash,
    block.nonce,
    quantity(block.baseFeePerGas),
    block.withdrawalsRoot,
    quantity(block.blobGasUsed),
    quantity(block.excessBlobGas),
    block.parentBeaconBlockRoot,
    block.requestsHash,
  ];
}

/** Whether a block's bloom filter has an address or topic, given the hash of it. */
export function inBloom(bloom, hash) {
  const filter = Buffer.from(bloom.slice(2), "hex");
  const bytes = Buffer.from(hash.slice(2), "hex");
  return [0, 2, 4].every((offset) => {
    const bit = bytes.readUInt16BE(offset) % 2048;
    return filter[255 - (bit >> 3)] & (1 << (bit & 7));
  });
}

/** A message to sign by EIP-712, for the chain. */
export function typedData(chainId) {
  return {
    domain: { name: "Probe", version: "1", chainId, verifyingContract: "0x000000000000000000000000000000000000c0de" },
    types: {
      Person: [
        { name: "name", type: "string" },
        { name: "wallet", type: "address" },
      ],
      Mail: [
        { name: "from", type: "Person" },
        { name: "to", type: "Person[]" },
        { name: "amount", type: "uint256" },
        { name: "attachment", type: "bytes" },
        { name: "urgent", type: "bool" },
      ],
    },
    primaryType: "Mail",
    message: {
      from: { name: "Cow", wallet: "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826" },
      to: [{ name: "Bob", wallet: "0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" }],
      amount: 1_000_000_000_000_000_000n,
      attachment: "0xc0ffee",
      urgent: true,
    },
  };
}
