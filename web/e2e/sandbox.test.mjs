// Trying it out: the throw-away wallet of a development chain, with nothing installed.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { microraiden, start } from "../test-process.mjs";
import { startContent } from "./content.mjs";
import { openBrowser, visit } from "./visitor.mjs";

const browser = await openBrowser();

/** Starts the program with a chain of its own; the address where it sells. */
async function open(options, ready) {
  const program = await start(microraiden(), options, ready);
  after(() => program.stop("SIGKILL"));
  const url = program.match[1].replace(/\/$/, "");
  const ask = async (path) => (await fetch(`${url}/api/1/${path}`)).json();
  return {
    url,
    /** What the server holds of the channel in a visitor's browser. */
    async held({ page }) {
      const { account, block } = await channelIn(page);
      return BigInt((await ask(`channels/${account}/${block}`)).balance);
    },
    ask,
    /** Asks the node, as the page does. */
    async node(method, ...params) {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const headers = { "content-type": "application/json" };
      return (await (await fetch(`${url}/js/microraiden/chain`, { method: "POST", headers, body })).json()).result;
    },
  };
}

/** The channel that the page has kept. */
const channelIn = (page) =>
  page.evaluate(() => {
    const texts = Object.keys(localStorage).map((name) => localStorage.getItem(name));
    return texts.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text)).find(({ block }) => block);
  });

/** From a page's price to its content, with test tokens that are bought on the way. */
async function firstPage(visitor, title) {
  await visitor.reaches("choose-wallet");
  assert.deepEqual(await visitor.page.locator("#wallets button").allTextContents(), ["Throw-away wallet, to try it"]);
  await visitor.click("#wallets button");
  await visitor.reaches("buy");
  assert.ok(await visitor.page.isVisible("#test"), "it is said that nothing here is worth anything");
  await visitor.click("#buy");
  await visitor.reaches("missing");
  assert.equal(await visitor.page.textContent("#balance"), "50 TKN");
  await visitor.click("#deposit-button");
  await visitor.reads(title);
}

describe("microraiden demo", () => {
  it("is paid for from its first page to the close, with nothing installed", async (t) => {
    const shop = await open(["demo", "--payments", "1"], /^\s+(http:\/\/127\.0\.0\.1:\d+\/)$/m);
    const visitor = await visit(t, browser, shop);
    await visitor.open("/");
    await visitor.reads("Small things for small change");
    await visitor.click('a[href="/story/1"]');
    await firstPage(visitor, "The first bridge");
    const price = await shop.held(visitor);
    assert.ok(price > 0n);
    for (const title of ["The second bridge", "The third bridge"]) {
      await visitor.click('a[rel="next"]');
      await visitor.reads(title);
    }
    assert.equal(await shop.held(visitor), 3n * price);
    await visitor.page.evaluate(() => localStorage.removeItem(Object.keys(localStorage).find((name) => name.startsWith("microraiden|auto"))));
    await visitor.open("/fortune");
    await visitor.reaches("opened");
    await visitor.shot("throw-away");
    await visitor.isAccessible();
    const { account } = await channelIn(visitor.page);
    await visitor.click("#close");
    await visitor.page.waitForSelector("dialog[open]");
    await visitor.click("#dialog-yes");
    await visitor.reaches("settled");
    const { token } = JSON.parse(await visitor.page.textContent("#offer"));
    const data = `0x70a08231${account.slice(2).toLowerCase().padStart(64, "0")}`;
    const owned = BigInt(await shop.node("eth_call", { to: token, data }, "latest"));
    assert.equal(owned, 50n * 10n ** 18n - 3n * price);
  });
});

describe("microraiden proxy --dev", () => {
  it("has the same wallet, and keeps it in the browser", async (t) => {
    const content = await startContent();
    after(() => content.stop());
    const options = ["--upstream", content.url, "--price", "0.002 TKN", "--port", "0"];
    const shop = await open(["proxy", "--dev", ...options], /^(http:\/\/\S+)$/m);
    const visitor = await visit(t, browser, shop);
    await visitor.open("/story/1");
    await firstPage(visitor, "Story 1");
    await visitor.click("#next");
    await visitor.reads("Story 2");
    assert.equal(await shop.held(visitor), 4n * 10n ** 15n);
  });
});
