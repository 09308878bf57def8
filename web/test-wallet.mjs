// A wallet for tests: an EIP-1193 provider over a node, which signs with keys of its own.

import { EventEmitter } from "node:events";
import { concat, encodePacked, keccak256, numberToHex, serializeSignature, stringToHex } from "viem";
import { privateKeyToAccount, sign } from "viem/accounts";
import { rpc } from "./test-node.mjs";

/** Codes of EIP-1193, JSON-RPC and EIP-3085. */
export const DENIED = 4001;
export const UNSUPPORTED = -32601;
const UNKNOWN_CHAIN = 4902;

/** An error as a wallet gives it. */
export const walletError = (code, message) => Object.assign(new Error(message), { code });

/** What version 1 of `eth_signTypedData` signs. */
export function typedDataHash(entries) {
  const schema = keccak256(concat(entries.map(({ type, name }) => stringToHex(`${type} ${name}`))));
  const values = entries.map(({ type, value }) => (/^u?int/.test(type) ? BigInt(value) : value));
  return keccak256(concat([schema, keccak256(encodePacked(entries.map(({ type }) => type), values))]));
}

/** The 65 bytes by which a key signs a hash, and nothing before it. */
export async function signHash(privateKey, hash) {
  return serializeSignature(await sign({ hash, privateKey }));
}

/**
 * A wallet as a page meets it.
 *
 * `nodes` are the networks that it knows, the first of them its current one. It is connected from the start; with
 * `isConnected: false` it shows its accounts only once it was asked to.
 */
export class TestWallet extends EventEmitter {
  /** All requests that it was asked, in order. */
  requests = [];
  /** Hashes of the transactions that it has sent. */
  sent = [];
  #accounts;
  #networks;
  #current;
  #isConnected;
  #answers = new Map();
  #waiting = new Map();

  constructor(nodes, keys, { isConnected = true } = {}) {
    super();
    this.#accounts = keys.map((key) => ({ key, ...privateKeyToAccount(key) }));
    this.#networks = new Map([nodes].flat().map(({ chainId, url }) => [chainId, url]));
    [this.#current] = this.#networks.keys();
    this.#isConnected = isConnected;
  }

  /** The first account's address. */
  get address() {
    return this.addresses[0];
  }

  get addresses() {
    return this.#accounts.map(({ address }) => address);
  }

  /** The methods that it was asked for, in order. */
  get methods() {
    return this.requests.map(({ method }) => method);
  }

  /** EIP-1193. */
  async request({ method, params = [] }) {
    this.requests.push({ method, params });
    const answer = this.#answers.get(method) ?? this.#own[method];
    return answer ? answer(...[params].flat()) : this.#ask(method, params);
  }

  // ------------------------------------------------------------------------------------------- What its user does to it

  /** Says no to these methods, as a user does. */
  deny(...methods) {
    for (const method of methods) this.fail(method, DENIED, "User rejected the request.");
  }

  /** Fails at a method. */
  fail(method, code, message = `the method ${method} does not exist`) {
    this.answer(method, () => {
      throw walletError(code, message);
    });
  }

  /** Answers a method in another way. */
  answer(method, answer) {
    this.#answers.set(method, answer);
  }

  /** Answers as usual again, to these methods or to all. */
  allow(...methods) {
    for (const method of methods.length > 0 ? methods : [...this.#answers.keys()]) this.#answers.delete(method);
  }

  /** Chooses other accounts, the first one first. */
  chooseAccounts(keys) {
    this.#accounts = keys.map((key) => ({ key, ...privateKeyToAccount(key) }));
    this.emit("accountsChanged", this.addresses);
  }

  /** Chooses a network, which it must know. */
  chooseNetwork(chainId) {
    if (!this.#networks.has(chainId)) throw walletError(UNKNOWN_CHAIN, `Unrecognized chain ID ${numberToHex(chainId)}`);
    if (this.#current === chainId) return;
    this.#current = chainId;
    this.emit("chainChanged", numberToHex(chainId));
  }

  /** Replaces a transaction that waits, at a higher price, by `other`, or by itself; gives the new one's hash. */
  async replace(hash, other = {}) {
    const { account, transaction } = this.#waiting.get(hash);
    const { maxFeePerGas, maxPriorityFeePerGas } = transaction;
    const fees = { maxFeePerGas: 2n * maxFeePerGas, maxPriorityFeePerGas: 2n * maxPriorityFeePerGas };
    return this.#submit(account, { ...transaction, ...fees, ...other });
  }

  // -------------------------------------------------------------------------------------------------------- What it does

  #own = {
    eth_accounts: () => (this.#isConnected ? this.addresses : []),
    eth_requestAccounts: () => {
      this.#isConnected = true;
      return this.addresses;
    },
    eth_chainId: () => numberToHex(this.#current),
    eth_sendTransaction: (transaction) => this.#send(transaction),
    eth_signTypedData: (entries, address) => signHash(this.#account(address).key, typedDataHash(entries)),
    personal_sign: (raw, address) => this.#account(address).signMessage({ message: { raw } }),
    eth_sign: () => {
      throw walletError(UNSUPPORTED, "the method eth_sign does not exist");
    },
    wallet_switchEthereumChain: ({ chainId }) => {
      this.chooseNetwork(Number(chainId));
      return null;
    },
    wallet_addEthereumChain: ({ chainId, rpcUrls }) => {
      this.#networks.set(Number(chainId), rpcUrls[0]);
      this.chooseNetwork(Number(chainId));
      return null;
    },
  };

  #ask(method, params) {
    return rpc(this.#networks.get(this.#current), method, params);
  }

  #account(address) {
    const account = this.#accounts.find((account) => account.address.toLowerCase() === String(address).toLowerCase());
    if (!account) throw walletError(4100, `${address} is no account of this wallet`);
    return account;
  }

  async #send({ from, to, data, gas, value = "0x0" }) {
    const account = this.#account(from);
    const [nonce, price] = [
      await this.#ask("eth_getTransactionCount", [from, "pending"]),
      BigInt(await this.#ask("eth_gasPrice", [])),
    ];
    return this.#submit(account, {
      type: "eip1559",
      chainId: this.#current,
      nonce: Number(nonce),
      maxFeePerGas: 2n * price,
      maxPriorityFeePerGas: price / 2n,
      gas: BigInt(gas),
      to,
      data,
      value: BigInt(value),
    });
  }

  async #submit(account, transaction) {
    const hash = await this.#ask("eth_sendRawTransaction", [await account.signTransaction(transaction)]);
    this.sent.push(hash);
    this.#waiting.set(hash, { account, transaction });
    return hash;
  }
}
