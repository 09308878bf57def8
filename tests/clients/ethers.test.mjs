// Drives the development node at NODE_URL through ethers.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
  BrowserProvider,
  Contract,
  ContractFactory,
  HDNodeWallet,
  Interface,
  JsonRpcProvider,
  JsonRpcSigner,
  Transaction,
  Wallet,
  WebSocketProvider,
  ZeroHash,
  encodeRlp,
  getCreateAddress,
  isError,
  keccak256,
  parseEther,
  parseUnits,
  toBeArray,
  toBeHex,
  toQuantity,
  verifyMessage,
  verifyTypedData,
  zeroPadValue,
} from "ethers";
import {
  MNEMONIC,
  NODE_URL,
  PATIENCE,
  POLLING_INTERVAL,
  SOCKET_URL,
  ethereum,
  header,
  inBloom,
  inbox,
  typedData,
} from "./node.mjs";
import { abi, bytecode } from "./probe.mjs";

const OPTIONS = { cacheTimeout: -1, pollingInterval: POLLING_INTERVAL, batchStallTime: 1 };

const provider = new JsonRpcProvider(NODE_URL, undefined, OPTIONS);
after(() => provider.destroy());

const chainId = Number((await provider.getNetwork()).chainId);
const [alice, bob] = [0, 1].map((index) =>
  HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`).connect(provider),
);

const contract = new Interface(abi);

/** An account that nobody else uses, without ether. */
function stranger() {
  return Wallet.createRandom(provider);
}

/** An account that nobody else uses, with ten ether. */
async function newcomer() {
  const account = stranger();
  await provider.send("hardhat_setBalance", [account.address, toBeHex(parseEther("10"))]);
  return account;
}

/** The receipt of a transaction that is being sent. */
async function mined(sending) {
  return (await sending).wait(1, PATIENCE);
}

async function mine(blocks = 1) {
  for (let block = 0; block < blocks; block++) await provider.send("evm_mine", []);
}

/** Stops mining at once, until the test ends. */
async function hold(t) {
  t.after(() => provider.send("evm_setAutomine", [true]));
  await provider.send("evm_setAutomine", [false]);
}

/** A new probe that holds `value`; it is written to by its own account. */
async function deploy(value = 7n, runner) {
  const account = runner ?? (await newcomer());
  const probe = await new ContractFactory(abi, bytecode, account).deploy(value);
  const { blockNumber } = await mined(probe.deploymentTransaction());
  return { probe, account, blockNumber, address: await probe.getAddress() };
}

/** The error with which the promise must fail, by the code that ethers gives it. */
async function failure(promise, code) {
  const error = await promise.then(
    () => assert.fail(`succeeds instead of failing with ${code}`),
    (error) => error,
  );
  assert.ok(isError(error, code), `${code} expected, not ${error}`);
  return error;
}

describe("reads", () => {
  it("names the chain and itself", async () => {
    assert.equal(await provider.send("net_version", []), String(chainId));
    assert.match(await provider.send("web3_clientVersion", []), /.+\/v?\d+\.\d+/);
    const accounts = await provider.listAccounts();
    assert.equal(accounts[0].address, alice.address);
  });

  it("prices gas so that a transaction gets in", async () => {
    const { baseFeePerGas } = await provider.getBlock("latest");
    const { gasPrice, maxFeePerGas, maxPriorityFeePerGas } = await provider.getFeeData();
    assert.ok(gasPrice >= baseFeePerGas);
    assert.ok(maxFeePerGas >= baseFeePerGas + maxPriorityFeePerGas);
  });

  it("keeps balances and nonces of old blocks", async () => {
    const [sender, { address }] = [await newcomer(), stranger()];
    const before = await provider.getBlock("latest");
    const { blockNumber } = await mined(sender.sendTransaction({ to: address, value: 5n }));
    assert.equal(await provider.getBalance(address), 5n);
    assert.equal(await provider.getBalance(address, blockNumber), 5n);
    assert.equal(await provider.getBalance(address, before.number), 0n);
    assert.equal(await provider.getBalance(address, before.hash), 0n);
    assert.equal(await sender.getNonce(), 1);
    assert.equal(await sender.getNonce("pending"), 1);
    assert.equal(await provider.getTransactionCount(sender, before.number), 0);
  });

  it("keeps code and storage of old blocks", async () => {
    const { probe, address, blockNumber } = await deploy(7n);
    await mined(probe.set(8n));
    assert.equal(await provider.getStorage(address, 0), toBeHex(8n, 32));
    assert.equal(await provider.getStorage(address, 0, blockNumber), toBeHex(7n, 32));
    assert.notEqual(await probe.getDeployedCode(), null);
    assert.equal(await provider.getCode(address, blockNumber - 1), "0x");
  });

  it("shows a block by number, hash and tag", async () => {
    await mined((await newcomer()).sendTransaction({ to: bob }));
    const block = await provider.getBlock("latest");
    assert.deepEqual((await provider.getBlock(block.number)).toJSON(), block.toJSON());
    const full = await provider.getBlock(block.hash, true);
    assert.deepEqual(full.prefetchedTransactions.map(({ hash }) => hash), [...block.transactions]);
    assert.equal(full.prefetchedTransactions[0].blockHash, block.hash);
    assert.equal((await provider.getBlock("earliest")).number, 0);
    for (const tag of ["safe", "finalized"]) assert.ok((await provider.getBlock(tag)).number <= block.number);
    assert.equal(await provider.getBlock(block.number + 1000), null);
    assert.equal(await provider.getBlock(ZeroHash), null);
    assert.equal(await provider.send("eth_getBlockTransactionCountByNumber", [toQuantity(block.number)]), "0x1");
    assert.equal(await provider.send("eth_getBlockTransactionCountByHash", [block.hash]), "0x1");
    assert.equal(await provider.send("eth_getUncleCountByBlockNumber", [toQuantity(block.number)]), "0x0");
  });

  it("shows what waits in the pending block", async (t) => {
    await hold(t);
    const account = await newcomer();
    const latest = await provider.getBlock("latest");
    const { hash } = await account.sendTransaction({ to: bob });
    const pending = await provider.getBlock("pending", true);
    assert.equal(pending.number, latest.number + 1);
    assert.equal(pending.parentHash, latest.hash);
    assert.deepEqual([...pending.transactions], [hash]);
    assert.equal((await provider.getTransaction(hash)).isMined(), false);
    assert.equal(await provider.getTransactionReceipt(hash), null);
    assert.equal(await account.getNonce("pending"), 1);
    assert.equal(await account.getNonce("latest"), 0);
    await mine();
    assert.equal((await provider.getTransactionReceipt(hash)).blockNumber, pending.number);
  });

  it("hashes a block's header as Ethereum does", async () => {
    const { probe } = await deploy();
    await mined(probe.set(1n));
    const block = await provider.send("eth_getBlockByNumber", ["latest", false]);
    assert.equal(keccak256(encodeRlp(header(block, toBeArray))), block.hash);
    const { number } = await provider.getBlock(block.hash);
    assert.equal((await provider.getBlock(number - 1)).hash, block.parentHash);
  });

  it("fills the bloom filter of a block", async () => {
    const { probe, address, account } = await deploy();
    const { blockHash } = await mined(probe.set(1n));
    const { logsBloom } = await provider.send("eth_getBlockByHash", [blockHash, false]);
    const topics = contract.encodeFilterTopics("ValueSet", [account.address]);
    for (const content of [address, ...topics]) assert.ok(inBloom(logsBloom, keccak256(content)), content);
    assert.ok(!inBloom(logsBloom, keccak256(ZeroHash)));
  });

  it("shows a transaction by hash and by its place", async () => {
    const account = await newcomer();
    const { hash, blockHash, blockNumber, index } = await mined(account.sendTransaction({ to: bob, value: 3n }));
    const transaction = await provider.getTransaction(hash);
    assert.equal(transaction.value, 3n);
    assert.equal(transaction.from, account.address);
    assert.equal(Transaction.from(transaction).hash, hash);
    const block = await provider.getBlock(blockHash);
    assert.equal((await block.getTransaction(index)).hash, hash);
    for (const [method, place] of [["Hash", blockHash], ["Number", toQuantity(blockNumber)]]) {
      const found = await provider.send(`eth_getTransactionByBlock${method}AndIndex`, [place, toQuantity(index)]);
      assert.equal(found.hash, hash);
    }
    assert.equal(await provider.getTransaction(ZeroHash), null);
    await mine(2);
    assert.equal(await transaction.confirmations(), 3);
  });

  it("gives the receipts of a block", async (t) => {
    await hold(t);
    const account = await newcomer();
    const probe = await new ContractFactory(abi, bytecode, account).deploy(1n);
    const creation = probe.deploymentTransaction();
    const transfer = await account.sendTransaction({ to: bob });
    await mine();
    const receipt = ({ hash }) => provider.getTransactionReceipt(hash);
    const [first, second] = await Promise.all([creation, transfer].map(receipt));
    assert.equal(first.contractAddress, getCreateAddress({ from: account.address, nonce: 0 }));
    assert.equal(first.to, null);
    assert.equal(second.index, 1);
    assert.equal(second.contractAddress, null);
    assert.equal(second.gasUsed, 21_000n);
    assert.equal(second.cumulativeGasUsed, first.gasUsed + 21_000n);
    const receipts = await provider.send("eth_getBlockReceipts", [toQuantity(first.blockNumber)]);
    assert.deepEqual(receipts.map(({ transactionHash }) => transactionHash), [creation.hash, transfer.hash]);
  });
});

describe("calls", () => {
  it("sees the state and the surroundings of the block", async () => {
    const { probe, blockNumber } = await deploy(7n);
    await mined(probe.set(8n));
    assert.equal(await probe.value(), 8n);
    assert.equal(await probe.value({ blockTag: blockNumber }), 7n);
    const latest = await provider.getBlock("latest");
    const seen = await probe.surroundings();
    assert.equal(seen.number, BigInt(latest.number));
    assert.equal(seen.timestamp, BigInt(latest.timestamp));
    assert.equal(seen.chainid, BigInt(chainId));
    assert.equal(seen.coinbase, latest.miner);
    assert.equal(seen.parent, latest.parentHash);
  });

  it("calls as whoever is named", async () => {
    const { probe, account } = await deploy();
    assert.equal(await probe.caller(), account.address);
    assert.equal(await probe.connect(provider).caller({ from: bob }), bob.address);
  });

  it("changes the state for one call", async () => {
    const { address } = await deploy(7n);
    const call = { to: address, data: contract.encodeFunctionData("value") };
    const overrides = { [address]: { stateDiff: { [ZeroHash]: toBeHex(9n, 32) } } };
    assert.equal(await provider.send("eth_call", [call, "latest", overrides]), toBeHex(9n, 32));
    assert.equal(await provider.send("eth_call", [call, "latest"]), toBeHex(7n, 32));
  });

  it("says why a call fails", async () => {
    const { probe } = await deploy();
    const fails = (call) => failure(call, "CALL_EXCEPTION");
    assert.equal((await fails(probe.failWithString())).reason, "the probe refuses");
    const { revert } = await fails(probe.failWithError(5n, 4n));
    assert.equal(revert.name, "TooHigh");
    assert.deepEqual([...revert.args], [5n, 4n]);
    assert.deepEqual([...(await fails(probe.add(2n ** 256n - 1n, 1n))).revert.args], [0x11]);
    assert.deepEqual([...(await fails(probe.failWithAssertion())).revert.args], [1]);
    assert.equal((await fails(probe.failWithoutData())).data, "0x");
  });

  it("tries a transaction without sending it", async () => {
    const { probe } = await deploy(7n);
    assert.equal((await probe.set.staticCallResult(8n)).length, 0);
    await failure(probe.failWithString.staticCall(), "CALL_EXCEPTION");
    assert.equal(await probe.value(), 7n);
  });

  it("estimates enough gas and refuses to estimate a failure", async () => {
    const { probe, address } = await deploy();
    for (const [name, argument] of [["set", 9n], ["set", 0n], ["count", 20n]]) {
      const gasLimit = await probe[name].estimateGas(argument);
      const { status, gasUsed } = await mined(probe[name](argument, { gasLimit }));
      assert.equal(status, 1);
      assert.ok(gasUsed <= gasLimit);
    }
    assert.equal(await provider.estimateGas({ from: alice, to: bob, value: 1n }), 21_000n);
    const data = contract.encodeFunctionData("failWithError", [5n, 4n]);
    const error = await failure(provider.estimateGas({ from: alice, to: address, data }), "CALL_EXCEPTION");
    assert.deepEqual([...contract.parseError(error.data).args], [5n, 4n]);
  });

  it("lists the storage that a call touches", async () => {
    const { address, account } = await deploy();
    const data = contract.encodeFunctionData("set", [9n]);
    const call = { from: account.address, to: address, data };
    const { accessList, gasUsed } = await provider.send("eth_createAccessList", [call, "latest"]);
    assert.deepEqual(accessList, [{ address: address.toLowerCase(), storageKeys: [ZeroHash] }]);
    assert.ok(BigInt(gasUsed) > 21_000n);
  });
});

describe("transactions", () => {
  for (const [type, fees] of [
    [0, { gasPrice: parseUnits("20", "gwei") }],
    [1, { gasPrice: parseUnits("20", "gwei"), accessList: [{ address: bob.address, storageKeys: [ZeroHash] }] }],
    [2, { maxFeePerGas: parseUnits("20", "gwei"), maxPriorityFeePerGas: parseUnits("2", "gwei") }],
  ]) {
    it(`takes a signed transaction of type ${type} and gives it back`, async () => {
      const to = stranger().address;
      const receipt = await mined(alice.sendTransaction({ to, value: 3n, type, ...fees }));
      assert.equal(receipt.status, 1);
      assert.equal(receipt.type, type);
      assert.equal(await provider.getBalance(to), 3n);
      const { baseFeePerGas } = await receipt.getBlock();
      assert.equal(receipt.gasPrice, fees.gasPrice ?? baseFeePerGas + fees.maxPriorityFeePerGas);
      const transaction = Transaction.from(await receipt.getTransaction());
      assert.equal(transaction.type, type);
      assert.equal(transaction.hash, receipt.hash);
      assert.equal(transaction.from, alice.address);
    });
  }

  it("signs and sends for the accounts whose keys it has", async () => {
    const signer = await provider.getSigner(1);
    assert.equal(signer.address, bob.address);
    const to = stranger().address;
    const { status, from } = await mined(signer.sendTransaction({ to, value: 4n }));
    assert.equal(status, 1);
    assert.equal(from, bob.address);
    assert.equal(await provider.getBalance(to), 4n);
    const { probe } = await deploy(6n, signer);
    await mined(probe.set(9n));
    assert.equal(await probe.value(), 9n);
  });

  it("pays a contract", async () => {
    const { probe, address, account } = await deploy();
    const { logs } = await mined(probe.pay({ value: 5n }));
    assert.deepEqual([...contract.parseLog(logs[0]).args], [account.address, 5n]);
    await mined(account.sendTransaction({ to: address, value: 6n }));
    assert.equal(await provider.getBalance(address), 11n);
  });

  it("mines a transaction that fails", async () => {
    const { probe } = await deploy();
    const sending = probe.failWithString.send({ gasLimit: 100_000n });
    const { receipt } = await failure(mined(sending), "CALL_EXCEPTION");
    assert.equal(receipt.status, 0);
    assert.deepEqual(receipt.logs, []);
  });

  it("refuses a nonce that is used", async () => {
    const account = await newcomer();
    await mined(account.sendTransaction({ to: bob }));
    await failure(account.sendTransaction({ to: bob, nonce: 0, gasLimit: 21_000n }), "NONCE_EXPIRED");
  });

  it("refuses what the sender cannot pay for", async () => {
    const account = await newcomer();
    const payment = { to: bob, value: parseEther("10") };
    await failure(account.sendTransaction(payment), "INSUFFICIENT_FUNDS");
    await failure(account.sendTransaction({ ...payment, gasLimit: 21_000n }), "INSUFFICIENT_FUNDS");
  });

  it("lets a transaction wait for the one before it", async () => {
    const account = await newcomer();
    const second = await account.sendTransaction({ to: bob, nonce: 1 });
    assert.equal((await provider.getTransaction(second.hash)).isMined(), false);
    const first = await account.sendTransaction({ to: bob, nonce: 0 });
    const receipts = await Promise.all([first, second].map(mined));
    assert.deepEqual(receipts.map(({ status }) => status), [1, 1]);
  });

  it("replaces a waiting transaction for a higher fee only", async (t) => {
    await hold(t);
    const account = await newcomer();
    const priced = (gwei) => {
      const fee = parseUnits(gwei, "gwei");
      return { to: bob, nonce: 0, maxFeePerGas: fee, maxPriorityFeePerGas: fee };
    };
    const replaced = await account.sendTransaction(priced("20"));
    const again = await failure(account.sendTransaction(priced("20")), "UNKNOWN_ERROR");
    assert.match(again.error.message, /already/);
    await failure(account.sendTransaction(priced("19")), "REPLACEMENT_UNDERPRICED");
    const replacement = await account.sendTransaction(priced("40"));
    const waiting = failure(mined(replaced), "TRANSACTION_REPLACED");
    await mine();
    const { reason, hash } = await waiting;
    assert.equal(reason, "repriced");
    assert.equal(hash, replacement.hash);
    assert.equal(await provider.getTransactionReceipt(replaced.hash), null);
  });
});

describe("signatures", () => {
  it("signs a message", async () => {
    const signer = await provider.getSigner(0);
    const message = "µRaiden";
    const signature = await signer.signMessage(message);
    assert.equal(verifyMessage(message, signature), alice.address);
    assert.equal(signature, await alice.signMessage(message));
    assert.equal(await signer._legacySignMessage(message), signature);
  });

  it("signs typed data", async () => {
    const signer = await provider.getSigner(1);
    const { domain, types, message } = typedData(chainId);
    const signature = await signer.signTypedData(domain, types, message);
    assert.equal(verifyTypedData(domain, types, message, signature), bob.address);
    assert.equal(signature, await bob.signTypedData(domain, types, message));
  });

  it("signs a transaction without sending it", async () => {
    const signer = await provider.getSigner(0);
    const { from, ...request } = await alice.populateTransaction({ to: stranger(), value: 1n });
    const signed = await signer.signTransaction(request);
    assert.equal(signed, await alice.signTransaction(request));
    assert.equal((await mined(provider.broadcastTransaction(signed))).status, 1);
  });
});

describe("logs", () => {
  it("finds logs by range, address and topics", async () => {
    const { probe, address, account, blockNumber } = await deploy();
    const { blockNumber: setAt } = await mined(probe.set(1n));
    const { blockHash } = await mined(probe.count(3n));
    await mine();
    const names = async (filter) =>
      (await provider.getLogs({ address, ...filter })).map((log) => contract.parseLog(log).name);
    const all = { fromBlock: blockNumber, toBlock: "latest" };
    const [set] = contract.encodeFilterTopics("ValueSet", []);
    const [counted] = contract.encodeFilterTopics("Counted", []);
    const index = (number) => toBeHex(number, 32);
    const both = ["ValueSet", "Counted", "Counted", "Counted"];
    assert.deepEqual(await names(all), both);
    assert.deepEqual(await names({ ...all, topics: [set] }), ["ValueSet"]);
    assert.deepEqual(await names({ ...all, topics: [null, zeroPadValue(account.address, 32)] }), ["ValueSet"]);
    assert.deepEqual(await names({ ...all, topics: [counted, [index(0), index(2)]] }), ["Counted", "Counted"]);
    assert.deepEqual(await names({ ...all, topics: [[set, counted]] }), both);
    assert.deepEqual(await names({ fromBlock: setAt, toBlock: setAt }), ["ValueSet"]);
    assert.deepEqual(await names({ blockHash }), ["Counted", "Counted", "Counted"]);
    assert.deepEqual(await names({ ...all, address: bob.address }), []);
    assert.deepEqual(await names({ ...all, address: [bob.address, address], topics: [set] }), ["ValueSet"]);
    const [, , last] = await probe.queryFilter("Counted", blockNumber);
    assert.equal(last.args.index, 2n);
    assert.equal(last.index, 2);
    assert.equal(last.blockHash, blockHash);
    assert.equal(last.removed, false);
  });

  it("keeps filters", async () => {
    const { probe, address } = await deploy();
    const topics = contract.encodeFilterTopics("Counted", []);
    const events = await provider.send("eth_newFilter", [{ address, topics }]);
    const blocks = await provider.send("eth_newBlockFilter", []);
    const transactions = await provider.send("eth_newPendingTransactionFilter", []);
    const { hash, blockHash } = await mined(probe.count(2n));
    const changes = (filter) => provider.send("eth_getFilterChanges", [filter]);
    assert.deepEqual((await changes(events)).map(({ transactionHash }) => transactionHash), [hash, hash]);
    assert.deepEqual(await changes(events), []);
    assert.equal((await provider.send("eth_getFilterLogs", [events])).length, 2);
    assert.deepEqual(await changes(blocks), [blockHash]);
    assert.deepEqual(await changes(transactions), [hash]);
    for (const filter of [events, blocks, transactions]) {
      assert.equal(await provider.send("eth_uninstallFilter", [filter]), true);
      await assert.rejects(changes(filter));
    }
  });
});

/** Mines while it waits: ethers polls for news only when it sees a new block, and does not tell when a subscription is open. */
async function whileMining(waiting) {
  for (;;) {
    const found = await Promise.race([waiting, mine().then(() => setTimeout(POLLING_INTERVAL))]);
    if (found !== undefined) return found;
  }
}

/** What listeners must be told, over either transport; `patiently` waits for it. */
function listens(getListener, patiently) {
  it("listens for blocks", async () => {
    const listener = getListener();
    const numbers = inbox("block");
    const number = await listener.getBlockNumber();
    await listener.on("block", (news) => numbers.put(news));
    await whileMining(numbers.find((news) => news > number));
    await listener.off("block");
  });

  it("listens for pending transactions", async () => {
    const listener = getListener();
    const hashes = inbox("pending transaction");
    const account = (await newcomer()).connect(listener);
    await listener.on("pending", (news) => hashes.put(news));
    const { hash } = await account.sendTransaction({ to: bob });
    await patiently(hashes.find((news) => news === hash));
    await listener.off("pending");
  });

  it("listens for the events of a contract until it is told to stop", async () => {
    const listener = getListener();
    const account = (await newcomer()).connect(listener);
    const { probe, address } = await deploy(7n, account);
    const [events, own, others, indexes, logs] = ["event", "own event", "event of others", "index", "log"].map(inbox);
    const [byAccount, byBob] = [account, bob].map((by) => probe.filters.ValueSet(by));
    await probe.on("*", (event) => events.put(event));
    await probe.on(byAccount, (event) => own.put(event));
    await probe.on(byBob, (event) => others.put(event));
    await probe.on("Counted", (index) => indexes.put(index));
    await listener.on({ address, topics: [[contract.getEvent("Counted").topicHash]] }, (log) => logs.put(log));
    const { hash } = await mined(probe.set(1n));
    const { args, log } = await patiently(own.find());
    assert.deepEqual([...args, log.transactionHash], [account.address, 1n, hash]);
    await probe.off(byAccount);
    await mined(probe.count(1n));
    await mined(probe.set(2n));
    await patiently(events.find(({ args }) => args.value === 2n));
    assert.deepEqual(events.items.map(({ eventName }) => eventName), ["ValueSet", "Counted", "ValueSet"]);
    assert.equal(await patiently(indexes.find()), 0n);
    assert.equal((await patiently(logs.find())).address, address);
    assert.equal(own.items.length, 1);
    assert.equal(others.items.length, 0);
    await probe.removeAllListeners();
    await listener.removeAllListeners();
  });
}

describe("polling", () => {
  listens(() => provider, whileMining);
});

describe("subscriptions over WebSocket", () => {
  const socket = new WebSocketProvider(SOCKET_URL, undefined, { cacheTimeout: -1 });
  after(async () => {
    await socket.getBlockNumber();
    await socket.destroy();
  });

  listens(() => socket, (waiting) => waiting);

  it("answers requests and says why they fail", async () => {
    assert.equal(await socket.send("eth_chainId", []), toQuantity(chainId));
    const account = (await newcomer()).connect(socket);
    const payment = { to: bob, value: parseEther("11"), gasLimit: 21_000n };
    await failure(account.sendTransaction(payment), "INSUFFICIENT_FUNDS");
  });
});

describe("batches", () => {
  it("answers many requests at once, each for itself", async (t) => {
    const { address } = await deploy(7n);
    const client = new JsonRpcProvider(NODE_URL, chainId, { ...OPTIONS, staticNetwork: true });
    t.after(() => client.destroy());
    const batches = [];
    await client.on("debug", ({ action, payload }) => action === "sendRpcPayload" && batches.push(payload));
    const call = (name) => ({ to: address, data: contract.encodeFunctionData(name) });
    const [number, value, refusal, network] = await Promise.all([
      client.send("eth_blockNumber", []),
      client.send("eth_call", [call("value"), "latest"]),
      failure(client.send("eth_call", [call("failWithString"), "latest"]), "CALL_EXCEPTION"),
      client.send("eth_chainId", []),
    ]);
    assert.ok(number > 0);
    assert.equal(value, toBeHex(7n, 32));
    assert.equal(refusal.reason, "the probe refuses");
    assert.equal(network, toQuantity(chainId));
    assert.deepEqual(batches.map((batch) => batch.length), [4]);
  });
});

describe("development methods", () => {
  it("sets the time of blocks to come", async () => {
    const { timestamp } = await provider.getBlock("latest");
    await provider.send("evm_setNextBlockTimestamp", [timestamp + 1000]);
    await mine();
    assert.equal((await provider.getBlock("latest")).timestamp, timestamp + 1000);
    await provider.send("evm_increaseTime", [5000]);
    await mine();
    const later = await provider.getBlock("latest");
    assert.ok(later.timestamp >= timestamp + 6000);
    await provider.send("evm_mine", [later.timestamp + 1000]);
    assert.equal((await provider.getBlock("latest")).timestamp, later.timestamp + 1000);
  });

  it("goes back to a snapshot", async () => {
    const { probe } = await deploy(7n);
    const snapshot = await provider.send("evm_snapshot", []);
    const { hash, blockNumber } = await mined(probe.set(8n));
    assert.equal(await provider.send("evm_revert", [snapshot]), true);
    assert.equal(await provider.getBlockNumber(), blockNumber - 1);
    assert.equal(await probe.value(), 7n);
    assert.equal(await provider.getTransactionReceipt(hash), null);
    assert.equal(await provider.send("evm_revert", [snapshot]), false);
  });

  it("sends for an account whose key nobody has", async () => {
    const { address } = await newcomer();
    const actor = new JsonRpcSigner(provider, address);
    await provider.send("hardhat_impersonateAccount", [address]);
    assert.equal((await mined(actor.sendTransaction({ to: bob, value: 1n }))).from, address);
    await provider.send("hardhat_stopImpersonatingAccount", [address]);
    await assert.rejects(actor.sendTransaction({ to: bob, value: 1n }));
  });
});

describe("browsers", () => {
  it("serves a wallet in the page (EIP-1193)", async (t) => {
    const browser = new BrowserProvider(ethereum, undefined, OPTIONS);
    t.after(() => browser.destroy());
    assert.equal((await browser.getNetwork()).chainId, BigInt(chainId));
    const signer = await browser.getSigner();
    assert.equal(signer.address, alice.address);
    const to = stranger().address;
    await mined(signer.sendTransaction({ to, value: 2n }));
    assert.equal(await browser.getBalance(to), 2n);
    const message = "hello";
    assert.equal(await signer.signMessage(message), await alice.signMessage(message));
    const data = typedData(chainId);
    const signature = await signer.signTypedData(data.domain, data.types, data.message);
    assert.equal(signature, await alice.signTypedData(data.domain, data.types, data.message));
    const { address } = await deploy();
    const probe = new Contract(address, abi, browser);
    assert.equal((await failure(probe.failWithError(5n, 4n), "CALL_EXCEPTION")).revert.name, "TooHigh");
  });
});
