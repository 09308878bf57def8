// A seller: a node with the contracts on it, a server with content, and `microraiden proxy` before it.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout } from "node:timers/promises";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { Channels, CustomToken, contractsOn } from "../test-contracts.mjs";
import { startNode } from "../test-node.mjs";
import { microraiden, run, start } from "../test-process.mjs";
import { startContent } from "./content.mjs";

/** The shortest challenge period that the contract allows, in blocks. */
export const CHALLENGE = 500;

/** How long what must come is waited for, in milliseconds. */
export const PATIENCE = 30_000;

/** Waits until `find` gives something; `what` says what is missing when it does not. */
export async function eventually(what, find) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await find();
    if (found) return found;
    assert.ok(Date.now() < deadline, `there is no ${what}`);
    await setTimeout(100);
  }
}

/** What a proxy sells when nothing else is said: everything, at one price. */
const oneForAll = (upstream, price) => `upstream = "${upstream}"\nprice = "${price}"\n`;

/**
 * A shop of this file's own; it ends with the file.
 *
 * `settings` are those of the proxy's file, from the content's address and the price; `options` those of its command line;
 * `issue` puts a token on the chain that is used instead of a new one.
 */
export async function openShop({ price = "0.002 TKN", settings = oneForAll, options = [], issue } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "microraiden-shop-"));
  const [node, content] = await Promise.all([startNode(), startContent()]);
  const contracts = contractsOn(node);
  const issued = await issue?.(contracts);
  const files = Object.fromEntries(["owner.key", "receiver.key", "deployment.json", "proxy.toml"].map((name) => [name, join(folder, name)]));
  await writeFile(files["owner.key"], node.keys[0], { mode: 0o600 });
  await writeFile(files["receiver.key"], node.keys[1], { mode: 0o600 });
  const key = ["--private-key", files["owner.key"], "--deployment-file", files["deployment.json"]];
  const ofToken = issued ? ["--token-address", issued.address] : [];
  await run(microraiden(), ["deploy", "--rpc-provider", node.url, ...key, "--challenge-period", String(CHALLENGE), ...ofToken]);
  const deployed = JSON.parse(await readFile(files["deployment.json"], "utf8"));

  const proxy = proxyOf({ folder, files, node, options, sold: (price) => settings(content.url, price) });
  await proxy.sell(price);
  await proxy.start();
  after(async () => {
    await Promise.all([proxy.kill(), content.stop(), node.stop()]);
    await rm(folder, { recursive: true });
  });

  const token = { address: deployed.token.address, abi: issued?.abi ?? CustomToken.abi };
  const contract = { address: deployed.contract.address, abi: Channels.abi };
  return {
    node,
    content,
    proxy,
    token,
    contract,
    receiver: privateKeyToAccount(node.keys[1]).address,
    get url() {
      return proxy.url;
    },
    /** What the proxy answers to a GET below `/api/1`, and its status. */
    async api(path) {
      const answer = await fetch(`${proxy.url}/api/1/${path}`);
      return { status: answer.status, body: await answer.json().catch(() => undefined) };
    },
    /** A key with ether and tokens, in base units. */
    async customer({ tokens = 10n ** 18n, ether } = {}) {
      const key = generatePrivateKey();
      await contracts.fund(privateKeyToAccount(key).address, { ether, tokens, token });
      return key;
    },
    transact: (functionName, args, key) => contracts.transact(contract, functionName, args, key),
    /** How many tokens an address owns, in base units. */
    tokensOf: (address) => contracts.read(token, "balanceOf", [address]),
    /** A channel as the contract has it; it fails for one that is settled. */
    async channel(sender, block) {
      const args = [sender, privateKeyToAccount(node.keys[1]).address, block];
      const [, deposit, settleBlock, closingBalance, withdrawn] = await contracts.read(contract, "getChannelInfo", args);
      return { deposit, settleBlock, closingBalance, withdrawn };
    },
    /** The blocks in which a sender has opened channels. */
    async channelsOf(sender) {
      const logs = await contracts.events(contract, "ChannelCreated", { _sender_address: sender });
      return logs.map(({ blockNumber }) => Number(blockNumber));
    },
  };
}

/** What a page costs, in base units, as the 402 says. */
const priceOf = async (url) => (await fetch(`${url}/story/1`, { method: "HEAD" })).headers.get("rdn-price");

/** The proxy as a process, which can be ended and started again at the same address. */
function proxyOf({ folder, files, node, options, sold }) {
  let running;
  let url;
  let state = join(folder, "receiver.db");
  const settings = (more) => [
    ...["--config", files["proxy.toml"], "--poll-interval", "100", "--grace", "1s"],
    ...["--rpc-provider", node.url, "--deployment-file", files["deployment.json"]],
    ...["--private-key", files["receiver.key"], "--state-file", state],
    ...["--port", url ? new URL(url).port : "0", ...options, ...more],
  ];
  return {
    get url() {
      return url;
    },
    /** Writes another price into its settings, and has it read them if it runs. */
    async sell(price) {
      await writeFile(files["proxy.toml"], sold(price));
      if (!running) return;
      const before = await priceOf(url);
      running.signal("SIGHUP");
      await eventually("new price", async () => (await priceOf(url)) !== before);
    },
    log: () => running?.output() ?? "",
    /** Starts it and waits until it sells. */
    async start(more = []) {
      assert.ok(!running, "the proxy runs already");
      running = await start(microraiden(), ["proxy", ...settings(more)], /^(https?:\/\/\S+)$/m);
      url = running.match[1];
      await eventually("proxy that sells", async () => (await fetch(`${url}/story/1`, { method: "HEAD" })).status === 402);
    },
    /** Ends it as the power does. */
    async kill() {
      await running?.stop("SIGKILL");
      running = undefined;
    },
    /** Ends it and starts it again, with other options if wanted. */
    async restart(more) {
      await running?.stop();
      running = undefined;
      await this.start(more);
    },
    /** From the next start on it knows nothing of its channels but what the chain tells. */
    forget() {
      state = join(folder, `receiver-${Date.now()}.db`);
    },
  };
}
