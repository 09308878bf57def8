// The contracts on a node: put there, read and called by the tests themselves, beside whatever is under test.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createClient, http, numberToHex, parseEther, publicActions, walletActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const artifact = (name) => JSON.parse(readFileSync(new URL(`../contracts/artifacts/${name}.json`, import.meta.url)));

/** The token, and the channel contract: interface and creation code. */
export const CustomToken = artifact("CustomToken");
export const Channels = artifact("RaidenMicroTransferChannels");

/** How often the node is asked whether a transaction is mined, in milliseconds. */
const POLLING = 20;

/** Access to the contracts on a node; who owns them has the node's first key. */
export function contractsOn(node) {
  const owner = createClient({
    account: privateKeyToAccount(node.keys[0]),
    transport: http(node.url),
    pollingInterval: POLLING,
    cacheTime: 0,
  })
    .extend(publicActions)
    .extend(walletActions);

  async function mined(hash) {
    const receipt = await owner.waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    return receipt;
  }

  return {
    /** Puts a contract on the chain. */
    async deploy({ abi, bytecode }, args) {
      const { contractAddress: address, blockNumber } = await mined(await owner.deployContract({ abi, bytecode, args, chain: null }));
      return { address, abi, block: Number(blockNumber) };
    },

    /** Calls a function of a contract by a transaction, of the owner's or of another key's. */
    async transact({ address, abi }, functionName, args, key) {
      const account = key ? privateKeyToAccount(key) : owner.account;
      return mined(await owner.writeContract({ address, abi, functionName, args, account, chain: null }));
    },

    read: ({ address, abi }, functionName, args = []) => owner.readContract({ address, abi, functionName, args }),

    /** All events of a contract that fit. */
    events: ({ address, abi }, eventName, args) =>
      owner.getContractEvents({ address, abi, eventName, args, fromBlock: 0n, toBlock: "latest" }),

    /** Gives an account ether, and tokens of the owner's. */
    async fund(to, { ether = "10", tokens = 0n, token }) {
      await node.ask("anvil_setBalance", to, numberToHex(parseEther(ether)));
      if (tokens === 0n) return;
      const plain = token.abi.filter(({ name, inputs }) => name === "transfer" && inputs.length === 2);
      await this.transact({ address: token.address, abi: plain }, "transfer", [to, tokens]);
    },
  };
}
