// The node that the tests run on: the development chain, or anvil when MICRORAIDEN_TEST_NODE says so.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { microraiden, ROOT, start } from "./test-process.mjs";

/** How often a block is mined without transactions, in milliseconds, so that confirmations come. */
const IDLE_BLOCK = 100;

/** Sends one request to a node. It fails with the code, the message and the data of the node's error. */
export async function rpc(url, method, params = []) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw Object.assign(new Error(error.message), { code: error.code, data: error.data });
  return result;
}

/** Starts a node that mines each transaction at once, and blocks by the clock besides. */
export async function startNode({ chainId = 31_337 } = {}) {
  const { process, url, keys } = await launch(chainId);
  const ask = (method, ...params) => rpc(url, method, params);
  let isHeld = false;
  const clock = setInterval(() => {
    // It may have ended meanwhile, when a test ends it.
    if (!isHeld) ask("evm_mine").catch(() => {});
  }, IDLE_BLOCK);
  return {
    url,
    chainId,
    /** Keys of its accounts, which have ether. */
    keys,
    ask,
    mine: (blocks = 1) => ask("anvil_mine", `0x${blocks.toString(16)}`),
    blockNumber: async () => Number(await ask("eth_blockNumber")),
    /** From now on it mines only what is asked for, until the test ends, or `release` is called. */
    async hold(t) {
      const release = async () => {
        await ask("evm_setAutomine", true);
        isHeld = false;
      };
      t.after(release);
      isHeld = true;
      await ask("evm_setAutomine", false);
      return release;
    },
    async stop() {
      clearInterval(clock);
      await process.stop();
    },
  };
}

async function launch(chainId) {
  const kind = process.env.MICRORAIDEN_TEST_NODE ?? "devchain";
  if (kind !== "devchain" && kind !== "anvil") throw new Error(`MICRORAIDEN_TEST_NODE is devchain or anvil, not ${kind}`);
  const folder = await mkdtemp(join(tmpdir(), "microraiden-node-"));
  const file = join(folder, "node.json");
  const options = ["--port", "0", "--chain-id", String(chainId), "--config-out", file];
  const isOurs = kind === "devchain";
  const node = isOurs
    ? await start(microraiden(), ["devchain", "--json", ...options], /"url":"([^"]+)"/)
    : await start(anvil(), options, /Listening on (\S+)/);
  const { private_keys: keys } = JSON.parse(await readFile(file, "utf8"));
  await rm(folder, { recursive: true });
  return { process: node, keys, url: isOurs ? node.match[1] : `http://${node.match[1]}` };
}

/** The binary of the npm package for this machine. */
function anvil() {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  return join(ROOT, `node_modules/@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil`);
}
