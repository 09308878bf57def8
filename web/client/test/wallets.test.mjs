// How a page finds the wallets of a browser.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { INJECTED, discoverWallets } from "../dist/index.js";

/** How long a wallet that does not announce itself is waited for here, in milliseconds. */
const PATIENCE = 30;

const provider = () => ({ request: async () => null });
const announce = (detail) => window.dispatchEvent(Object.assign(new Event("eip6963:announceProvider"), { detail }));
const wallet = (name, more = {}) => ({
  info: { uuid: `id of ${name}`, name, rdns: `test.${name}`, icon: "data:image/svg+xml,<svg/>", ...more },
  provider: provider(),
});

describe("discoverWallets", () => {
  let end = () => {};
  beforeEach(() => (globalThis.window = new EventTarget()));
  afterEach(() => {
    end();
    delete globalThis.window;
  });

  /** What was found so far, and a promise for `count` wallets. */
  function discover(count = 1) {
    const seen = [];
    const complete = new Promise((resolve) => {
      end = discoverWallets((wallets) => {
        seen.push(wallets.map(({ name }) => name));
        if (wallets.length === count) resolve(wallets);
      }, PATIENCE);
    });
    return { seen, complete };
  }

  /** Comes after the patience with `window.ethereum` is over. */
  const later = () => new Promise((resolve) => setTimeout(resolve, PATIENCE + 20));

  it("asks, and lists those that answer and those that come later, each once", async () => {
    const [early, late] = [wallet("early"), wallet("late")];
    window.addEventListener("eip6963:requestProvider", () => announce(early));
    const { seen, complete } = discover(2);
    announce(early);
    announce(late);
    const found = await complete;
    assert.deepEqual(seen, [["early"], ["early", "late"]]);
    assert.deepEqual(found[0], { name: "early", rdns: "test.early", icon: "data:image/svg+xml,<svg/>", provider: early.provider });
  });

  it("takes what stands at window.ethereum when nothing announces itself", async () => {
    window.ethereum = provider();
    const [found] = await discover().complete;
    assert.deepEqual(found, { name: "Wallet in this browser", rdns: INJECTED, icon: "", provider: window.ethereum });
  });

  it("does not list a wallet twice that also stands at window.ethereum", async () => {
    const one = wallet("one");
    window.ethereum = one.provider;
    window.addEventListener("eip6963:requestProvider", () => announce(one));
    const { seen } = discover();
    await later();
    assert.deepEqual(seen, [["one"]]);
  });

  it("finds none where there is none", async () => {
    window.ethereum = { send() {} };
    const { seen } = discover();
    await later();
    assert.deepEqual(seen, []);
  });

  it("passes over what is no announcement, and shows no picture from another host", async () => {
    const { seen, complete } = discover();
    announce(null);
    announce({});
    announce({ info: { name: "no id" }, provider: provider() });
    announce({ info: wallet("no provider").info });
    announce({ info: wallet("no request").info, provider: {} });
    announce(wallet("watched", { icon: "https://example.org/pixel.png" }));
    const [found] = await complete;
    assert.equal(found.icon, "");
    assert.deepEqual(seen, [["watched"]]);
  });

  it("ends when it is told to", async () => {
    window.ethereum = provider();
    const { seen } = discover();
    end();
    announce(wallet("too late"));
    await later();
    assert.deepEqual(seen, []);
  });
});
