// What the tests of the library play on: a node, contracts on it, parties with ether and tokens, and a page's storage.

import assert from "node:assert/strict";
import { after } from "node:test";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { Channels, CustomToken, contractsOn } from "../../test-contracts.mjs";
import { startNode } from "../../test-node.mjs";
import { TestWallet, signHash, typedDataHash } from "../../test-wallet.mjs";
import { MicroRaiden, MicroRaidenError, closingMessage } from "../dist/index.js";

/** How often the node is asked for what is waited for, in milliseconds. */
export const POLLING = 20;

/** The shortest challenge period that the contract allows, in blocks. */
export const CHALLENGE = 500;

/** Keeps text by name, as `localStorage` does. */
export class Storage {
  #texts = new Map();
  get length() {
    return this.#texts.size;
  }
  key(index) {
    return [...this.#texts.keys()][index] ?? null;
  }
  getItem(name) {
    return this.#texts.get(name) ?? null;
  }
  setItem(name, text) {
    this.#texts.set(name, String(text));
  }
  removeItem(name) {
    this.#texts.delete(name);
  }
  /** Everything in it, parsed. */
  get content() {
    return Object.fromEntries([...this.#texts].map(([name, text]) => [name, JSON.parse(text)]));
  }
}

/** The error with which a promise, or a function, must fail: one of ours, with this code, and a message that fits. */
export async function failure(action, code, message = /./) {
  const failed = (error) => {
    assert.ok(error instanceof MicroRaidenError, `${code} expected, not ${error?.stack}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return error;
  };
  try {
    await (typeof action === "function" ? action() : action);
  } catch (error) {
    return failed(error);
  }
  assert.fail(`succeeds instead of failing with ${code}`);
}

/** An address that nobody else uses, with its key. */
export function stranger() {
  const key = generatePrivateKey();
  return { key, address: privateKeyToAccount(key).address };
}

/** A stage of this file's own; it ends with the file. */
export async function setStage() {
  const node = await startNode();
  after(() => node.stop());
  const contracts = contractsOn(node);
  const { deploy, transact, read } = contracts;

  /** A token, and a channel contract for it. */
  async function market(artifact = CustomToken, args = [10n ** 30n, "Test Token", "TKN", 18]) {
    const token = await deploy(artifact, args);
    const contract = await deploy(Channels, [token.address, CHALLENGE, []]);
    return { token, contract };
  }

  const usual = await market();

  /** Somebody with ether and tokens. */
  async function party({ tokens = 10n ** 21n, ether, token = usual.token } = {}) {
    const { key, address } = stranger();
    await contracts.fund(address, { ether, tokens, token });
    return { key, address };
  }

  /**
   * A sender with a wallet, and a page of theirs that uses the library for channels to `receiver`.
   */
  async function sender({ market = usual, storage = new Storage(), tokenAbi, startBlock, onTransaction, ...wealth } = {}) {
    const { key, address } = await party({ ...wealth, token: market.token });
    const wallet = new TestWallet(node, [key]);
    const page = openPage(wallet, { market, storage, tokenAbi, startBlock, onTransaction });
    await page.getChallengePeriod();
    await page.getTokenInfo();
    return { key, address, wallet, storage, page, market, receiver: stranger() };
  }

  /** The library as a page makes it. */
  function openPage(source, { market = usual, storage = new Storage(), tokenAbi, startBlock, onTransaction } = {}) {
    const { contract, token } = market;
    const options = { storage, pollingInterval: POLLING, ...(onTransaction && { onTransaction }) };
    return new MicroRaiden(source, contract.address, undefined, token.address, tokenAbi, startBlock, options);
  }

  /** A sender with an open channel. */
  async function opened({ deposit = 100n, ...options } = {}) {
    const stage = await sender(options);
    await stage.page.openChannel(stage.address, stage.receiver.address, deposit);
    stage.wallet.requests.length = 0;
    return stage;
  }

  /** The receiver's agreement to a close. */
  const closingSignature = ({ receiver, address, page, market }, balance) =>
    signHash(
      receiver.key,
      typedDataHash(closingMessage(address, { block: page.channel.block, balance, contract: market.contract.address })),
    );

  return { node, usual, transact, read, market, party, sender, openPage, opened, closingSignature };
}

/** What stands between a wallet and the page: `between` may answer in its place, or call `next`. */
export function intercept(wallet, between) {
  const next = (request) => wallet.request(request);
  return { request: (request) => between(request, next) };
}
