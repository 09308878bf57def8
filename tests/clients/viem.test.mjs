// Drives the development node at NODE_URL through viem.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  BaseError,
  ContractFunctionRevertedError,
  ExecutionRevertedError,
  InsufficientFundsError,
  IntrinsicGasTooLowError,
  InvalidInputRpcError,
  NonceTooLowError,
  TransactionExecutionError,
  TransactionNotFoundError,
  TransactionReceiptNotFoundError,
  createTestClient,
  createWalletClient,
  custom,
  defineChain,
  encodeDeployData,
  encodeEventTopics,
  encodeFunctionData,
  getAbiItem,
  getAddress,
  getContract,
  getContractAddress,
  hexToBigInt,
  http,
  isAddressEqual,
  keccak256,
  numberToHex,
  pad,
  parseEther,
  parseEventLogs,
  parseGwei,
  parseTransaction,
  publicActions,
  recoverMessageAddress,
  recoverTransactionAddress,
  recoverTypedDataAddress,
  serializeTransaction,
  stringToHex,
  toRlp,
  walletActions,
  webSocket,
  zeroHash,
} from "viem";
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
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
  rpc,
  typedData,
} from "./node.mjs";
import { abi, bytecode } from "./probe.mjs";

const chain = defineChain({
  id: Number(await rpc("eth_chainId")),
  name: "Development",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [NODE_URL] } },
});

const [alice, bob] = [0, 1].map((addressIndex) => mnemonicToAccount(MNEMONIC, { addressIndex }));

/** A client with all public, wallet and test actions. */
function connect(transport, mode = "anvil") {
  return createTestClient({ mode, chain, transport, pollingInterval: POLLING_INTERVAL, cacheTime: 0 })
    .extend(publicActions)
    .extend(walletActions);
}

const node = connect(http(NODE_URL, { retryCount: 0 }));

const valueSet = getAbiItem({ abi, name: "ValueSet" });
const counted = getAbiItem({ abi, name: "Counted" });

/** An account that nobody else uses, without ether. */
function stranger() {
  return privateKeyToAccount(generatePrivateKey());
}

/** An account that nobody else uses, with ten ether. */
async function newcomer() {
  const account = stranger();
  await node.setBalance({ address: account.address, value: parseEther("10") });
  return account;
}

/** The receipt of a transaction that is being sent. */
async function mined(sending) {
  return node.waitForTransactionReceipt({ hash: await sending, timeout: PATIENCE });
}

/** Stops mining at once, until the test ends. */
async function hold(t) {
  t.after(() => node.setAutomine(true));
  await node.setAutomine(false);
}

/** A new probe that holds `value`; it is written to by its own account. */
async function deploy(value = 7n) {
  const account = await newcomer();
  const client = createWalletClient({ account, chain, transport: http(NODE_URL) });
  const { contractAddress, blockNumber } = await mined(client.deployContract({ abi, bytecode, args: [value] }));
  const probe = getContract({ abi, address: contractAddress, client: { public: node, wallet: client } });
  return { ...probe, account, blockNumber };
}

/** The error of class `kind` among the causes for which the promise must fail. */
async function failure(promise, kind) {
  const error = await promise.then(
    () => assert.fail(`succeeds instead of failing with ${kind.name}`),
    (error) => error,
  );
  const cause = error instanceof BaseError && error.walk((cause) => cause instanceof kind);
  assert.ok(cause, `${kind.name} expected, not ${error}`);
  return cause;
}

describe("reads", () => {
  it("names the chain and itself", async () => {
    assert.equal(await node.getChainId(), chain.id);
    assert.match(await node.request({ method: "web3_clientVersion" }), /.+\/v?\d+\.\d+/);
    assert.equal(await node.request({ method: "net_version" }), String(chain.id));
    assert.ok((await node.getAddresses()).includes(alice.address));
  });

  it("prices gas so that a transaction gets in", async () => {
    const { baseFeePerGas } = await node.getBlock();
    const { maxFeePerGas, maxPriorityFeePerGas } = await node.estimateFeesPerGas();
    assert.ok((await node.getGasPrice()) >= baseFeePerGas);
    assert.ok(maxFeePerGas >= baseFeePerGas + maxPriorityFeePerGas);
    assert.equal(maxPriorityFeePerGas, await node.estimateMaxPriorityFeePerGas());
    const { gasPrice } = await node.estimateFeesPerGas({ type: "legacy" });
    assert.ok(gasPrice >= baseFeePerGas);
  });

  it("tells the history of fees", async () => {
    await node.mine({ blocks: 3 });
    const newest = await node.getBlock();
    const history = await node.getFeeHistory({ blockCount: 3, rewardPercentiles: [10, 90] });
    assert.equal(history.oldestBlock, newest.number - 2n);
    assert.equal(history.baseFeePerGas.length, 4);
    assert.equal(history.baseFeePerGas[2], newest.baseFeePerGas);
    assert.deepEqual(history.gasUsedRatio, [0, 0, 0]);
    assert.deepEqual(history.reward.map((rewards) => rewards.length), [2, 2, 2]);
  });

  it("keeps balances and nonces of old blocks", async () => {
    const [sender, { address }] = [await newcomer(), stranger()];
    const before = await node.getBlock();
    const { blockHash } = await mined(node.sendTransaction({ account: sender, to: address, value: 5n }));
    assert.equal(await node.getBalance({ address }), 5n);
    assert.equal(await node.getBalance({ address, blockNumber: before.number }), 0n);
    assert.equal(await node.getBalance({ address, blockHash: before.hash }), 0n);
    assert.equal(await node.getBalance({ address, blockHash }), 5n);
    assert.equal(await node.getTransactionCount(sender), 1);
    assert.equal(await node.getTransactionCount({ ...sender, blockTag: "pending" }), 1);
    assert.equal(await node.getTransactionCount({ address: sender.address, blockNumber: before.number }), 0);
  });

  it("keeps code and storage of old blocks", async () => {
    const { address, blockNumber, write } = await deploy(7n);
    await mined(write.set([8n]));
    assert.equal(await node.getStorageAt({ address, slot: "0x0" }), numberToHex(8n, { size: 32 }));
    assert.equal(await node.getStorageAt({ address, slot: "0x0", blockNumber }), numberToHex(7n, { size: 32 }));
    const { parentHash, hash: blockHash } = await node.getBlock({ blockNumber });
    assert.equal(await node.getStorageAt({ address, slot: "0x0", blockHash }), numberToHex(7n, { size: 32 }));
    assert.equal(await node.getCode({ address, blockHash }), await node.getCode({ address }));
    assert.equal(await node.getCode({ address, blockHash: parentHash }), undefined);
    assert.equal(await node.getCode({ address, blockNumber: blockNumber - 1n }), undefined);
  });

  it("shows a block by number, hash and tag", async () => {
    await mined(node.sendTransaction({ account: await newcomer(), to: bob.address }));
    const block = await node.getBlock();
    assert.deepEqual(await node.getBlock({ blockNumber: block.number }), block);
    assert.deepEqual(await node.getBlock({ blockHash: block.hash }), block);
    const full = await node.getBlock({ blockHash: block.hash, includeTransactions: true });
    assert.deepEqual(full.transactions.map(({ hash }) => hash), block.transactions);
    assert.equal(full.transactions[0].blockHash, block.hash);
    assert.equal((await node.getBlock({ blockTag: "earliest" })).number, 0n);
    for (const blockTag of ["safe", "finalized"]) {
      assert.ok((await node.getBlock({ blockTag })).number <= block.number);
    }
    assert.equal(await node.getBlockTransactionCount({ blockNumber: block.number }), 1);
    assert.equal(await node.getBlockTransactionCount({ blockHash: block.hash }), 1);
    const uncles = { method: "eth_getUncleCountByBlockNumber", params: [numberToHex(block.number)] };
    assert.equal(await node.request(uncles), "0x0");
  });

  it("shows what waits in the pending block", async (t) => {
    await hold(t);
    const account = await newcomer();
    const latest = await node.getBlock();
    const hash = await node.sendTransaction({ account, to: bob.address });
    const pending = await node.getBlock({ blockTag: "pending", includeTransactions: true });
    assert.equal(pending.number, latest.number + 1n);
    assert.equal(pending.parentHash, latest.hash);
    assert.deepEqual(pending.transactions.map(({ hash }) => hash), [hash]);
    assert.equal((await node.getTransaction({ hash })).blockNumber, null);
    await failure(node.getTransactionReceipt({ hash }), TransactionReceiptNotFoundError);
    assert.equal(await node.getTransactionCount({ ...account, blockTag: "pending" }), 1);
    assert.equal(await node.getTransactionCount(account), 0);
    await node.mine({ blocks: 1 });
    assert.equal((await node.getTransactionReceipt({ hash })).blockNumber, pending.number);
  });

  it("hashes a block's header as Ethereum does", async () => {
    const { write } = await deploy();
    await mined(write.set([1n]));
    const block = await node.getBlock();
    const quantity = (value) => (value ? numberToHex(value) : "0x");
    assert.equal(keccak256(toRlp(header(block, quantity))), block.hash);
    assert.equal((await node.getBlock({ blockNumber: block.number - 1n })).hash, block.parentHash);
  });

  it("fills the bloom filter of a block", async () => {
    const { address, account, write } = await deploy();
    const { blockHash } = await mined(write.set([1n]));
    const { logsBloom } = await node.getBlock({ blockHash });
    const topics = encodeEventTopics({ abi, eventName: "ValueSet", args: { by: account.address } });
    for (const content of [address, ...topics]) assert.ok(inBloom(logsBloom, keccak256(content)), content);
    assert.ok(!inBloom(logsBloom, keccak256(zeroHash)));
  });

  it("shows a transaction by hash and by its place", async () => {
    const account = await newcomer();
    const receipt = await mined(node.sendTransaction({ account, to: bob.address, value: 3n }));
    const { blockHash, blockNumber, transactionHash: hash, transactionIndex: index } = receipt;
    const transaction = await node.getTransaction({ hash });
    assert.equal(transaction.value, 3n);
    assert.ok(isAddressEqual(transaction.from, account.address));
    assert.deepEqual(await node.getTransaction({ blockHash, index }), transaction);
    assert.deepEqual(await node.getTransaction({ blockNumber, index }), transaction);
    await failure(node.getTransaction({ hash: zeroHash }), TransactionNotFoundError);
    await node.mine({ blocks: 2 });
    assert.equal(await node.getTransactionConfirmations({ hash }), 3n);
  });

  it("gives the receipts of a block", async (t) => {
    await hold(t);
    const account = await newcomer();
    const creation = await node.deployContract({ account, abi, bytecode, args: [1n], nonce: 0 });
    const transfer = await node.sendTransaction({ account, to: bob.address, nonce: 1 });
    await node.mine({ blocks: 1 });
    const [first, second] = await node.getBlockReceipts();
    assert.equal(first.transactionHash, creation);
    assert.ok(isAddressEqual(first.contractAddress, getContractAddress({ from: account.address, nonce: 0n })));
    assert.equal(first.to, null);
    assert.equal(second.transactionHash, transfer);
    assert.equal(second.transactionIndex, 1);
    assert.equal(second.contractAddress, null);
    assert.equal(second.gasUsed, 21_000n);
    assert.equal(second.cumulativeGasUsed, first.gasUsed + 21_000n);
    assert.deepEqual(await node.getTransactionReceipt({ hash: transfer }), second);
    assert.deepEqual(await node.getBlockReceipts({ blockHash: first.blockHash }), [first, second]);
    assert.deepEqual(await node.getBlockReceipts({ blockNumber: first.blockNumber }), [first, second]);
  });
});

describe("calls", () => {
  it("sees the state and the surroundings of the block", async () => {
    const { read, write, blockNumber } = await deploy(7n);
    await mined(write.set([8n]));
    assert.equal(await read.value(), 8n);
    assert.equal(await read.value({ blockNumber }), 7n);
    const { hash: blockHash } = await node.getBlock({ blockNumber });
    assert.equal(await read.value({ blockHash }), 7n);
    const latest = await node.getBlock();
    const seen = await read.surroundings();
    assert.equal(seen.number, latest.number);
    assert.equal(seen.timestamp, latest.timestamp);
    assert.equal(seen.chainid, BigInt(chain.id));
    assert.ok(isAddressEqual(seen.coinbase, latest.miner));
    assert.equal(seen.parent, latest.parentHash);
  });

  it("calls as whoever is named, and without an address too", async () => {
    const { read } = await deploy();
    assert.equal(await read.caller({ account: bob.address }), bob.address);
    const code = encodeDeployData({ abi, bytecode, args: [1n] });
    assert.equal(await node.readContract({ abi, code, functionName: "add", args: [1n, 2n] }), 3n);
  });

  it("changes the state for one call", async () => {
    const { address, read } = await deploy(7n);
    const nobody = stranger().address;
    const value = numberToHex(9n, { size: 32 });
    const stateDiff = [{ slot: zeroHash, value }];
    assert.equal(await read.value({ stateOverride: [{ address, stateDiff }] }), 9n);
    const state = [{ slot: pad("0x1"), value }];
    assert.equal(await read.value({ stateOverride: [{ address, state }] }), 0n);
    const code = await node.getCode({ address });
    const elsewhere = { abi, address: nobody, functionName: "value" };
    assert.equal(await node.readContract({ ...elsewhere, stateOverride: [{ address: nobody, code, stateDiff }] }), 9n);
    const payment = { account: nobody, to: address, value: parseEther("3") };
    await failure(node.call(payment), InsufficientFundsError);
    await node.call({ ...payment, stateOverride: [{ address: nobody, balance: parseEther("4") }] });
    assert.equal(await read.value(), 7n);
  });

  it("says why a call fails", async () => {
    const { read } = await deploy();
    const reverts = (call) => failure(call, ContractFunctionRevertedError);
    assert.equal((await reverts(read.failWithString())).reason, "the probe refuses");
    const { data } = await reverts(read.failWithError([5n, 4n]));
    assert.equal(data.errorName, "TooHigh");
    assert.deepEqual(data.args, [5n, 4n]);
    assert.deepEqual((await reverts(read.add([2n ** 256n - 1n, 1n]))).data.args, [0x11n]);
    assert.deepEqual((await reverts(read.failWithAssertion())).data.args, [1n]);
    assert.equal((await reverts(read.failWithoutData())).raw, "0x");
  });

  it("simulates a transaction before it is sent", async () => {
    const { account, simulate, read } = await deploy(7n);
    const { request } = await simulate.set([8n], { account });
    await mined(node.writeContract(request));
    assert.equal(await read.value(), 8n);
  });

  it("estimates enough gas and refuses to estimate a failure", async () => {
    const { address, account, estimateGas, write } = await deploy();
    for (const [name, args] of [["set", [9n]], ["set", [0n]], ["count", [20n]]]) {
      const gas = await estimateGas[name](args, { account: account.address });
      const receipt = await mined(write[name](args, { gas }));
      assert.equal(receipt.status, "success");
      assert.ok(receipt.gasUsed <= gas);
    }
    assert.equal(await node.estimateGas({ account: alice.address, to: bob.address, value: 1n }), 21_000n);
    const { data } = await failure(estimateGas.failWithError([5n, 4n]), ContractFunctionRevertedError);
    assert.equal(data.errorName, "TooHigh");
    const refused = encodeFunctionData({ abi, functionName: "failWithString" });
    await failure(node.estimateGas({ account: alice.address, to: address, data: refused }), ExecutionRevertedError);
  });

  it("lists the storage that a call touches", async () => {
    const { address, account } = await deploy();
    const data = encodeFunctionData({ abi, functionName: "set", args: [9n] });
    const { accessList, gasUsed } = await node.createAccessList({ account: account.address, to: address, data });
    assert.equal(accessList.length, 1);
    assert.ok(isAddressEqual(accessList[0].address, address));
    assert.deepEqual(accessList[0].storageKeys, [zeroHash]);
    assert.ok(gasUsed > 21_000n);
  });
});

describe("transactions", () => {
  for (const [type, fees] of [
    ["legacy", { gasPrice: parseGwei("20") }],
    ["eip2930", { gasPrice: parseGwei("20"), accessList: [{ address: bob.address, storageKeys: [zeroHash] }] }],
    ["eip1559", { maxFeePerGas: parseGwei("20"), maxPriorityFeePerGas: parseGwei("2") }],
  ]) {
    it(`takes a signed ${type} transaction and gives it back`, async () => {
      const to = stranger().address;
      const { transactionHash: hash, ...receipt } = await mined(
        node.sendTransaction({ account: alice, to, value: 3n, type, ...fees }),
      );
      assert.equal(receipt.status, "success");
      assert.equal(receipt.type, type);
      assert.equal(await node.getBalance({ address: to }), 3n);
      const transaction = await node.getTransaction({ hash });
      const { baseFeePerGas } = await node.getBlock({ blockHash: receipt.blockHash });
      assert.equal(transaction.type, type);
      assert.equal(receipt.effectiveGasPrice, fees.gasPrice ?? baseFeePerGas + fees.maxPriorityFeePerGas);
      const { r, s, v, yParity } = transaction;
      const raw = serializeTransaction({ ...transaction, data: transaction.input }, { r, s, v, yParity });
      assert.equal(keccak256(raw), hash);
      assert.equal(await recoverTransactionAddress({ serializedTransaction: raw }), alice.address);
    });
  }

  it("signs and sends for the accounts whose keys it has", async () => {
    const to = stranger().address;
    const receipt = await mined(node.sendTransaction({ account: bob.address, to, value: 4n }));
    assert.equal(receipt.status, "success");
    assert.ok(isAddressEqual(receipt.from, bob.address));
    assert.equal(await node.getBalance({ address: to }), 4n);
    const creation = await mined(node.deployContract({ account: bob.address, abi, bytecode, args: [6n] }));
    const deployed = { abi, address: creation.contractAddress };
    await mined(node.writeContract({ ...deployed, account: bob.address, functionName: "set", args: [9n] }));
    assert.equal(await node.readContract({ ...deployed, functionName: "value" }), 9n);
  });

  it("pays a contract", async () => {
    const { address, account, write } = await deploy();
    const { logs } = await mined(write.pay({ value: 5n }));
    const [paid] = parseEventLogs({ abi, logs, eventName: "Paid" });
    assert.deepEqual(paid.args, { from: account.address, amount: 5n });
    await mined(node.sendTransaction({ account, to: address, value: 6n }));
    assert.equal(await node.getBalance({ address }), 11n);
  });

  it("shows a transaction its own block", async () => {
    const { write } = await deploy();
    const { logs, blockHash } = await mined(write.look());
    const [{ args }] = parseEventLogs({ abi, logs, eventName: "Seen" });
    const block = await node.getBlock({ blockHash });
    assert.deepEqual(args.surroundings, {
      number: block.number,
      timestamp: block.timestamp,
      basefee: block.baseFeePerGas,
      gaslimit: block.gasLimit,
      chainid: BigInt(chain.id),
      coinbase: getAddress(block.miner),
      prevrandao: hexToBigInt(block.mixHash),
      parent: block.parentHash,
    });
  });

  it("mines a transaction that fails", async () => {
    const { account, write } = await deploy();
    const before = await node.getBalance(account);
    const receipt = await mined(write.failWithString({ gas: 100_000n }));
    assert.equal(receipt.status, "reverted");
    assert.deepEqual(receipt.logs, []);
    assert.equal(await node.getBalance(account), before - receipt.gasUsed * receipt.effectiveGasPrice);
  });

  it("refuses a nonce that is used", async () => {
    const account = await newcomer();
    await mined(node.sendTransaction({ account, to: bob.address }));
    await failure(node.sendTransaction({ account, to: bob.address, nonce: 0 }), NonceTooLowError);
  });

  it("refuses what the sender cannot pay for", async () => {
    const account = await newcomer();
    const payment = { account, to: bob.address, value: parseEther("10") };
    await failure(node.sendTransaction(payment), InsufficientFundsError);
    await failure(node.sendTransaction({ ...payment, gas: 21_000n }), InsufficientFundsError);
  });

  it("refuses too little gas", async () => {
    const account = await newcomer();
    await failure(node.sendTransaction({ account, to: bob.address, gas: 20_999n }), IntrinsicGasTooLowError);
  });

  it("lets a transaction wait for the one before it", async () => {
    const account = await newcomer();
    const second = await node.sendTransaction({ account, to: bob.address, nonce: 1 });
    assert.equal((await node.getTransaction({ hash: second })).blockNumber, null);
    const first = await node.sendTransaction({ account, to: bob.address, nonce: 0 });
    const receipts = await Promise.all([first, second].map(mined));
    assert.deepEqual(receipts.map(({ status }) => status), ["success", "success"]);
  });

  it("replaces a waiting transaction for a higher fee only", async (t) => {
    await hold(t);
    const account = await newcomer();
    const fees = (gwei) => ({ maxFeePerGas: parseGwei(gwei), maxPriorityFeePerGas: parseGwei(gwei) });
    const transaction = { account, to: bob.address, nonce: 0 };
    const replaced = await node.sendTransaction({ ...transaction, ...fees("20") });
    const again = await failure(node.sendTransaction({ ...transaction, ...fees("20") }), NonceTooLowError);
    assert.match(again.details, /already/);
    const cheaper = node.sendTransaction({ ...transaction, ...fees("19") });
    assert.match((await failure(cheaper, TransactionExecutionError)).details, /underpriced/);
    const replacement = await node.sendTransaction({ ...transaction, ...fees("40") });
    await node.mine({ blocks: 1 });
    const { blockHash } = await node.getTransactionReceipt({ hash: replacement });
    assert.deepEqual((await node.getBlock({ blockHash })).transactions, [replacement]);
    await failure(node.getTransactionReceipt({ hash: replaced }), TransactionReceiptNotFoundError);
  });
});

describe("signatures", () => {
  it("signs a message", async () => {
    const message = "µRaiden";
    const signature = await node.signMessage({ account: alice.address, message });
    assert.equal(await recoverMessageAddress({ message, signature }), alice.address);
    assert.equal(signature, await alice.signMessage({ message }));
    const params = [alice.address, stringToHex(message)];
    assert.equal(await node.request({ method: "eth_sign", params }), signature);
    assert.ok(await node.verifyMessage({ address: alice.address, message, signature }));
  });

  it("signs typed data", async () => {
    const data = typedData(chain.id);
    const signature = await node.signTypedData({ account: bob.address, ...data });
    assert.equal(await recoverTypedDataAddress({ ...data, signature }), bob.address);
    assert.equal(signature, await bob.signTypedData(data));
  });

  it("signs a transaction without sending it", async () => {
    const request = await node.prepareTransactionRequest({ account: alice.address, to: stranger().address, value: 1n });
    const serializedTransaction = await node.signTransaction(request);
    assert.equal(await recoverTransactionAddress({ serializedTransaction }), alice.address);
    const { to, value, nonce } = parseTransaction(serializedTransaction);
    assert.deepEqual([to, value, nonce], [request.to.toLowerCase(), 1n, request.nonce]);
    const { status } = await mined(node.sendRawTransaction({ serializedTransaction }));
    assert.equal(status, "success");
  });
});

describe("logs", () => {
  it("finds logs by range, address and topics", async () => {
    const { address, account, blockNumber, write } = await deploy();
    const { blockNumber: setAt } = await mined(write.set([1n]));
    const { blockNumber: countedAt, blockHash } = await mined(write.count([3n]));
    await node.mine({ blocks: 1 });
    const names = async (filter) => (await node.getLogs({ address, ...filter })).map(({ eventName }) => eventName);
    const all = { fromBlock: blockNumber, toBlock: "latest" };
    assert.deepEqual(await names({ ...all, event: valueSet }), ["ValueSet"]);
    assert.deepEqual(await names({ ...all, event: valueSet, args: { by: account.address } }), ["ValueSet"]);
    assert.deepEqual(await names({ ...all, event: valueSet, args: { by: bob.address } }), []);
    assert.deepEqual(await names({ ...all, event: counted, args: { index: [0n, 2n] } }), ["Counted", "Counted"]);
    const both = ["ValueSet", "Counted", "Counted", "Counted"];
    assert.deepEqual(await names({ ...all, events: [valueSet, counted] }), both);
    assert.deepEqual(await names({ fromBlock: setAt, toBlock: setAt, events: [valueSet, counted] }), ["ValueSet"]);
    assert.deepEqual(await names({ blockHash, events: [valueSet, counted] }), ["Counted", "Counted", "Counted"]);
    assert.deepEqual(await names({ ...all, address: bob.address, event: valueSet }), []);
    assert.deepEqual(await names({ ...all, address: [bob.address, address], event: valueSet }), ["ValueSet"]);
    const [, , last] = await node.getContractEvents({ abi, address, ...all, eventName: "Counted" });
    assert.deepEqual(last.args, { index: 2n });
    assert.equal(last.logIndex, 2);
    assert.equal(last.blockNumber, countedAt);
    assert.equal(last.blockTimestamp, (await node.getBlock({ blockHash })).timestamp);
    assert.equal(last.removed, false);
  });

  it("numbers the logs of a block through all its transactions", async (t) => {
    const { write } = await deploy();
    await hold(t);
    await write.count([2n], { gas: 100_000n, nonce: 1 });
    const hash = await write.count([1n], { gas: 100_000n, nonce: 2 });
    await node.mine({ blocks: 1 });
    const { logs } = await node.getTransactionReceipt({ hash });
    assert.deepEqual(logs.map(({ logIndex, transactionIndex }) => [logIndex, transactionIndex]), [[2, 1]]);
  });

  it("filters logs", async () => {
    const { address, write } = await deploy();
    const filter = await node.createContractEventFilter({ abi, address, eventName: "Counted", args: { index: 1n } });
    await mined(write.count([3n]));
    await mined(write.count([2n]));
    const changes = await node.getFilterChanges({ filter });
    assert.deepEqual(changes.map(({ args }) => args.index), [1n, 1n]);
    assert.deepEqual(await node.getFilterChanges({ filter }), []);
    await mined(write.count([2n]));
    assert.equal((await node.getFilterChanges({ filter })).length, 1);
    assert.ok(await node.uninstallFilter({ filter }));
    assert.ok(!(await node.uninstallFilter({ filter })));
    await failure(node.getFilterChanges({ filter }), InvalidInputRpcError);
  });

  it("gives all logs of a filter again", async () => {
    const { address, blockNumber, write } = await deploy();
    await mined(write.set([1n]));
    const filter = await node.createEventFilter({ address, event: valueSet, fromBlock: blockNumber });
    await mined(write.set([2n]));
    for (let round = 0; round < 2; round++) {
      const logs = await node.getFilterLogs({ filter });
      assert.deepEqual(logs.map(({ args }) => args.value), [1n, 2n]);
    }
    await node.uninstallFilter({ filter });
  });

  it("filters blocks", async () => {
    const filter = await node.createBlockFilter();
    await node.mine({ blocks: 2 });
    const { hash, parentHash } = await node.getBlock();
    assert.deepEqual(await node.getFilterChanges({ filter }), [parentHash, hash]);
    assert.deepEqual(await node.getFilterChanges({ filter }), []);
    assert.ok(await node.uninstallFilter({ filter }));
  });

  it("filters pending transactions", async () => {
    const account = await newcomer();
    const filter = await node.createPendingTransactionFilter();
    const { transactionHash } = await mined(node.sendTransaction({ account, to: bob.address }));
    assert.deepEqual(await node.getFilterChanges({ filter }), [transactionHash]);
    assert.ok(await node.uninstallFilter({ filter }));
  });
});

/** What watchers must deliver, over either transport. */
function watches(getClient) {
  it("watches blocks", async () => {
    const client = getClient();
    const [numbers, blocks] = [inbox("block number"), inbox("block")];
    const next = (await client.getBlockNumber()) + 1n;
    const unwatchNumbers = client.watchBlockNumber({ onBlockNumber: (number) => numbers.put(number) });
    const unwatchBlocks = client.watchBlocks({ includeTransactions: true, onBlock: (block) => blocks.put(block) });
    await mined(client.sendTransaction({ account: await newcomer(), to: bob.address }));
    await numbers.find((number) => number >= next);
    const { hash, number, transactions } = await blocks.find((block) => block.number >= next);
    assert.equal((await client.getBlock({ blockNumber: number })).hash, hash);
    assert.equal(transactions.length, 1);
    await Promise.all([unwatchNumbers(), unwatchBlocks()]);
  });

  it("watches pending transactions", async () => {
    const client = getClient();
    const hashes = inbox("pending transaction");
    const unwatch = client.watchPendingTransactions({ onTransactions: (news) => hashes.put(...news) });
    const sent = await client.sendTransaction({ account: await newcomer(), to: bob.address });
    await hashes.find((hash) => hash === sent);
    await unwatch();
  });

  it("watches the events of a contract until it is told to stop", async () => {
    const client = getClient();
    const { address, account, write } = await deploy();
    const [events, own, others] = [inbox("contract event"), inbox("event of the account"), inbox("event of others")];
    const watched = { address, event: valueSet };
    const [unwatchEvents, unwatchOwn, unwatchOthers] = [
      client.watchContractEvent({ abi, address, onLogs: (logs) => events.put(...logs) }),
      client.watchEvent({ ...watched, args: { by: account.address }, onLogs: (logs) => own.put(...logs) }),
      client.watchEvent({ ...watched, args: { by: bob.address }, onLogs: (logs) => others.put(...logs) }),
    ];
    await client.getChainId(); // answered after the subscriptions were made
    const { blockHash } = await mined(write.set([1n]));
    const log = await own.find();
    assert.deepEqual(log.args, { by: account.address, value: 1n });
    assert.equal(log.blockHash, blockHash);
    await unwatchOwn();
    await mined(write.count([1n]));
    await mined(write.set([2n]));
    await events.find(({ args }) => args.value === 2n);
    assert.deepEqual(events.items.map(({ eventName }) => eventName), ["ValueSet", "Counted", "ValueSet"]);
    assert.equal(own.items.length, 1);
    assert.equal(others.items.length, 0);
    await Promise.all([unwatchEvents(), unwatchOthers()]);
  });
}

describe("polling", () => {
  watches(() => node);
});

describe("subscriptions over WebSocket", () => {
  const socket = connect(webSocket(SOCKET_URL, { reconnect: false, retryCount: 0 }));
  after(async () => (await socket.transport.getRpcClient()).close());

  watches(() => socket);

  it("announces the header of each block once", async () => {
    const headers = inbox("header");
    const subscription = await socket.transport.subscribe({
      params: ["newHeads"],
      onData: ({ result }) => headers.put(result),
    });
    await socket.mine({ blocks: 3 });
    const last = await socket.getBlock();
    await headers.find(({ hash }) => hash === last.hash);
    const numbers = headers.items.map(({ number }) => Number(number));
    assert.deepEqual(numbers, [2, 1, 0].map((back) => Number(last.number) - back));
    assert.equal((await subscription.unsubscribe()).result, true);
    assert.equal((await subscription.unsubscribe()).result, false);
  });

  it("answers requests and says why they fail", async () => {
    assert.equal(await socket.getChainId(), chain.id);
    const account = await newcomer();
    const payment = { account, to: bob.address, value: parseEther("11") };
    await failure(socket.sendTransaction(payment), InsufficientFundsError);
  });
});

describe("batches", () => {
  it("answers many requests at once, each for itself", async () => {
    const bodies = [];
    const fetchFn = (url, request) => {
      bodies.push(JSON.parse(request.body));
      return fetch(url, request);
    };
    const client = connect(http(NODE_URL, { batch: true, retryCount: 0, fetchFn }));
    const { address } = await deploy(7n);
    const probe = getContract({ abi, address, client });
    const [id, value, refusal, block] = await Promise.all([
      client.getChainId(),
      probe.read.value(),
      failure(probe.read.failWithString(), ContractFunctionRevertedError),
      client.getBlock({ blockNumber: 0n }),
    ]);
    assert.equal(id, chain.id);
    assert.equal(value, 7n);
    assert.equal(refusal.reason, "the probe refuses");
    assert.equal(block.number, 0n);
    assert.deepEqual(bodies.map((body) => body.length), [4]);
  });
});

describe("development methods", () => {
  it("mines blocks at the distance it is told", async () => {
    const before = await node.getBlock();
    await node.mine({ blocks: 3, interval: 10 });
    const block = await node.getBlock();
    assert.equal(block.number, before.number + 3n);
    const previous = await node.getBlock({ blockNumber: block.number - 1n });
    const distance = block.timestamp - previous.timestamp;
    assert.ok(distance >= 10n && distance < 20n, `${distance} s`); // time goes on while blocks are mined
    await node.request({ method: "evm_mine" });
    assert.equal(await node.getBlockNumber(), before.number + 4n);
  });

  it("sets the time of blocks to come", async () => {
    const { timestamp } = await node.getBlock();
    await node.setNextBlockTimestamp({ timestamp: timestamp + 1000n });
    await node.mine({ blocks: 1 });
    assert.equal((await node.getBlock()).timestamp, timestamp + 1000n);
    await node.increaseTime({ seconds: 5000 });
    await node.mine({ blocks: 1 });
    const later = await node.getBlock();
    assert.ok(later.timestamp >= timestamp + 6000n);
    assert.ok(later.timestamp < timestamp + 6100n);
  });

  it("sets balance, nonce, code and storage", async () => {
    const { address } = stranger();
    await node.setBalance({ address, value: 123n });
    assert.equal(await node.getBalance({ address }), 123n);
    await node.setNonce({ address, nonce: 5 });
    assert.equal(await node.getTransactionCount({ address }), 5);
    const { address: probe } = await deploy(7n);
    const code = await node.getCode({ address: probe });
    await node.setCode({ address, bytecode: code });
    assert.equal(await node.getCode({ address }), code);
    await node.setStorageAt({ address, index: 0, value: numberToHex(9n, { size: 32 }) });
    assert.equal(await node.readContract({ abi, address, functionName: "value" }), 9n);
    assert.equal(await node.getStorageAt({ address, slot: "0x0" }), numberToHex(9n, { size: 32 }));
  });

  it("sets the base fee of the next block", async () => {
    await node.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei("3") });
    await node.mine({ blocks: 1 });
    assert.equal((await node.getBlock()).baseFeePerGas, parseGwei("3"));
    await node.mine({ blocks: 1 });
    assert.ok((await node.getBlock()).baseFeePerGas < parseGwei("3"));
  });

  it("sets the gas limit of blocks", async (t) => {
    const { gasLimit } = await node.getBlock();
    t.after(() => node.setBlockGasLimit({ gasLimit }));
    await node.setBlockGasLimit({ gasLimit: 12_345_678n });
    await node.mine({ blocks: 1 });
    assert.equal((await node.getBlock()).gasLimit, 12_345_678n);
  });

  it("sets who earns the fees", async (t) => {
    const { miner } = await node.getBlock();
    t.after(() => node.setCoinbase({ address: miner }));
    const { address } = stranger();
    await node.setCoinbase({ address });
    const fees = { maxFeePerGas: parseGwei("20"), maxPriorityFeePerGas: parseGwei("1") };
    const account = await newcomer();
    const { blockHash } = await mined(node.sendTransaction({ account, to: bob.address, ...fees }));
    assert.ok(isAddressEqual((await node.getBlock({ blockHash })).miner, address));
    assert.equal(await node.getBalance({ address }), 21_000n * parseGwei("1"));
  });

  it("mines at once or on request", async (t) => {
    t.after(() => node.setAutomine(true));
    assert.equal(await node.getAutomine(), true);
    await node.setAutomine(false);
    assert.equal(await node.getAutomine(), false);
    const hash = await node.sendTransaction({ account: await newcomer(), to: bob.address });
    assert.equal((await node.getTransaction({ hash })).blockNumber, null);
    await node.mine({ blocks: 1 });
    assert.equal((await node.getTransactionReceipt({ hash })).status, "success");
  });

  it("mines in an interval", async (t) => {
    t.after(async () => {
      await node.setIntervalMining({ interval: 0 });
      await node.setAutomine(true);
    });
    const numbers = inbox("block number");
    const number = await node.getBlockNumber();
    const unwatch = node.watchBlockNumber({ onBlockNumber: (news) => numbers.put(news) });
    await node.setIntervalMining({ interval: 1 });
    await numbers.find((news) => news > number);
    unwatch();
  });

  it("sends for an account whose key nobody has", async () => {
    const { address } = stranger();
    await node.setBalance({ address, value: parseEther("1") });
    const payment = { account: address, to: bob.address, value: 1n };
    await node.impersonateAccount({ address });
    const { status, from } = await mined(node.sendTransaction(payment));
    assert.equal(status, "success");
    assert.ok(isAddressEqual(from, address));
    await node.stopImpersonatingAccount({ address });
    await failure(node.sendTransaction(payment), TransactionExecutionError);
  });

  it("sends a transaction that nobody signed", async () => {
    const { address } = stranger();
    await node.setBalance({ address, value: parseEther("1") });
    const { status, from } = await mined(node.sendUnsignedTransaction({ from: address, to: bob.address, value: 1n }));
    assert.equal(status, "success");
    assert.ok(isAddressEqual(from, address));
  });

  it("goes back to a snapshot", async () => {
    const { address, read, write } = await deploy(7n);
    const block = await node.getBlock();
    const id = await node.snapshot();
    const hash = await write.set([8n]);
    await mined(hash);
    await node.revert({ id });
    assert.deepEqual(await node.getBlock(), block);
    assert.equal(await read.value(), 7n);
    await failure(node.getTransactionReceipt({ hash }), TransactionReceiptNotFoundError);
    assert.deepEqual(await node.getLogs({ address, fromBlock: block.number }), []);
    await mined(write.set([9n]));
    assert.equal(await read.value(), 9n);
  });

  it("replaces the last blocks", async () => {
    const { address, read, write } = await deploy(7n);
    const base = await node.getBlock();
    const { transactionHash: hash } = await mined(write.set([8n]));
    await node.mine({ blocks: 1 });
    const dropped = await node.getBlock();
    await node.request({ method: "anvil_reorg", params: [2, []] });
    const block = await node.getBlock();
    assert.equal(block.number, dropped.number);
    assert.notEqual(block.hash, dropped.hash);
    const first = await node.getBlock({ blockHash: block.parentHash });
    assert.notEqual(first.hash, dropped.parentHash);
    assert.equal(first.parentHash, base.hash);
    assert.equal(await read.value(), 7n);
    await failure(node.getTransactionReceipt({ hash }), TransactionReceiptNotFoundError);
    assert.deepEqual(await node.getLogs({ address, fromBlock: base.number }), []);
  });

  it("shows the pool of waiting transactions and drops one of them", async (t) => {
    await hold(t);
    const account = await newcomer();
    const send = (nonce) => node.sendTransaction({ account, to: bob.address, value: 1n, gas: 21_000n, nonce });
    const [waiting, queued] = [await send(0), await send(2)];
    assert.deepEqual(await node.getTxpoolStatus(), { pending: 1, queued: 1 });
    const content = await node.getTxpoolContent();
    const inspection = await node.inspectTxpool();
    for (const [part, nonce, hash] of [["pending", "0", waiting], ["queued", "2", queued]]) {
      const [[sender, transactions]] = Object.entries(content[part]);
      assert.ok(isAddressEqual(sender, account.address));
      assert.equal(transactions[nonce].hash, hash);
      const [[inspected, summaries]] = Object.entries(inspection[part]);
      assert.ok(isAddressEqual(inspected, account.address));
      assert.match(summaries[nonce], /^0x[0-9a-fA-F]{40}: 1 wei \+ 21000 gas × \d+ wei$/);
    }
    await node.dropTransaction({ hash: waiting });
    assert.deepEqual(await node.getTxpoolStatus(), { pending: 0, queued: 1 });
    await failure(node.getTransaction({ hash: waiting }), TransactionNotFoundError);
    await send(0);
    await send(1);
    assert.deepEqual(await node.getTxpoolStatus(), { pending: 3, queued: 0 });
    await node.mine({ blocks: 1 });
    assert.deepEqual(await node.getTxpoolStatus(), { pending: 0, queued: 0 });
    assert.equal((await node.getTransactionReceipt({ hash: queued })).transactionIndex, 2);
  });

  it("loads the state that it dumped", async () => {
    const { address, read, write } = await deploy(7n);
    const { address: rich } = await newcomer();
    const state = await node.dumpState();
    await mined(write.set([8n]));
    await node.setBalance({ address: rich, value: 1n });
    await node.setCode({ address, bytecode: "0x" });
    await node.loadState({ state });
    assert.equal(await read.value(), 7n);
    assert.equal(await node.getBalance({ address: rich }), parseEther("10"));
  });

  it("knows Hardhat's names", async () => {
    const hardhat = connect(http(NODE_URL, { retryCount: 0 }), "hardhat");
    const { address } = stranger();
    const { address: probe } = await deploy();
    await hardhat.setCode({ address, bytecode: await node.getCode({ address: probe }) });
    await hardhat.setStorageAt({ address, index: 0, value: numberToHex(9n, { size: 32 }) });
    assert.equal(await node.readContract({ abi, address, functionName: "value" }), 9n);
    const { address: actor } = stranger();
    await hardhat.setBalance({ address: actor, value: parseEther("1") });
    await hardhat.setNonce({ address: actor, nonce: 3 });
    await hardhat.impersonateAccount({ address: actor });
    const transactionHash = await hardhat.sendTransaction({ account: actor, to: bob.address });
    await mined(transactionHash);
    assert.equal((await node.getTransaction({ hash: transactionHash })).nonce, 3);
    await hardhat.stopImpersonatingAccount({ address: actor });
    const number = await node.getBlockNumber();
    await hardhat.mine({ blocks: 2 });
    assert.equal(await node.getBlockNumber(), number + 2n);
  });
});

describe("browsers", () => {
  it("serves a wallet in the page (EIP-1193)", async () => {
    const wallet = connect(custom(ethereum));
    const [account] = await wallet.requestAddresses();
    assert.equal(account, alice.address);
    assert.equal(await wallet.getChainId(), chain.id);
    const to = stranger().address;
    await mined(wallet.sendTransaction({ account, to, value: 2n }));
    assert.equal(await wallet.getBalance({ address: to }), 2n);
    const message = "hello";
    assert.equal(await wallet.signMessage({ account, message }), await alice.signMessage({ message }));
    const data = typedData(chain.id);
    assert.equal(await wallet.signTypedData({ account, ...data }), await alice.signTypedData(data));
  });

  it("lets pages of any origin ask (CORS)", async () => {
    const origin = "https://page.example";
    const asked = { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const preflight = await fetch(NODE_URL, { method: "OPTIONS", headers: asked });
    assert.ok(preflight.ok);
    assert.match(preflight.headers.get("access-control-allow-methods"), /POST|\*/);
    assert.match(preflight.headers.get("access-control-allow-headers"), /content-type|\*/);
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
    const headers = { origin, "content-type": "application/json" };
    const response = await fetch(NODE_URL, { method: "POST", headers, body });
    assert.equal(Number((await response.json()).result), chain.id);
    for (const answer of [preflight, response]) {
      assert.ok(["*", origin].includes(answer.headers.get("access-control-allow-origin")));
    }
  });
});
