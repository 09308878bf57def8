// The end of a channel, as its sender sees it: by agreement, on the sender's word, and what comes after.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { signHash, typedDataHash } from "../test-wallet.mjs";
import { customersOf } from "./customers.mjs";
import { CHALLENGE, openShop } from "./shop.mjs";
import { openBrowser } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;
const TOKENS = 10n ** 18n;

const shop = await openShop();
const browser = await openBrowser();
const { customer, regular, held, blockOf, signatures, transactions } = customersOf(shop, browser);

/** A visitor who has paid one page and looks at the next, with the channel at hand. */
async function leaving(t, options) {
  const visitor = await regular(t, { tokens: TOKENS, isAuto: false, ...options });
  await visitor.click("#next");
  await visitor.reaches("opened");
  return visitor;
}

async function confirmClose(visitor) {
  await visitor.click("#close");
  await visitor.page.waitForSelector("dialog[open]");
  await visitor.click("#dialog-yes");
}

describe("a close by agreement", () => {
  it("gives the rest back to the unit, with one transaction and no further signature", async (t) => {
    const visitor = await leaving(t);
    const earned = await shop.tokensOf(shop.receiver);
    const signed = signatures(visitor);
    await visitor.click("#close");
    await visitor.page.waitForSelector("dialog[open]");
    assert.match(await visitor.page.textContent("#dialog-text"), /0\.038 TKN of your deposit comes back/);
    await visitor.shot("dialog");
    await visitor.isAccessible();
    await visitor.click("#dialog-yes");
    await visitor.reaches("settled");
    await visitor.shot("settled");
    await visitor.isAccessible();
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - PRICE);
    assert.equal(await shop.tokensOf(shop.receiver), earned + PRICE);
    assert.deepEqual([signatures(visitor), transactions(visitor)], [signed, 2]);
    await visitor.click("#new");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 2");
  });

  it("is not begun when the visitor cancels", async (t) => {
    const visitor = await leaving(t);
    await visitor.click("#close");
    await visitor.page.waitForSelector("dialog[open]");
    await visitor.click("#dialog-no");
    await visitor.reaches("opened");
    assert.equal(transactions(visitor), 1);
    await visitor.click("#pay");
    await visitor.reads("Story 2");
  });

  it("that is declined in the wallet can be made later, but nothing is sold any more", async (t) => {
    const visitor = await leaving(t);
    visitor.wallet.deny("eth_sendTransaction");
    await confirmClose(visitor);
    await visitor.page.waitForSelector("#notice:not([hidden])");
    await visitor.reaches("rejected");
    await visitor.shot("rejected");
    await visitor.isAccessible();
    visitor.wallet.allow();
    await visitor.open("/story/3");
    await visitor.reaches("rejected");
    await confirmClose(visitor);
    await visitor.reaches("settled");
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - PRICE);
  });
});

describe("a close on the sender's word", () => {
  it("waits for the challenge period, is settled, and makes room for a new channel", async (t) => {
    const visitor = await leaving(t);
    const block = await blockOf(visitor);
    // The page is there, and the server does not agree any more.
    await visitor.page.route("**/api/1/channels/**", (route) =>
      route.request().method() === "DELETE" ? route.fulfill({ status: 404, json: "no agreement" }) : route.continue(),
    );
    await confirmClose(visitor);
    await visitor.page.waitForSelector("dialog[open] >> text=Close without the receiver?");
    await visitor.click("#dialog-yes");
    await visitor.reaches("closed");
    const { settleBlock, closingBalance } = await shop.channel(visitor.address, block);
    assert.equal(closingBalance, PRICE);
    assert.match(await visitor.page.textContent("#text"), /more blocks/);
    assert.ok(await visitor.page.isDisabled("#settle"));
    await visitor.shot("closed");
    await visitor.isAccessible();
    await shop.node.mine(CHALLENGE);
    await visitor.page.waitForSelector("#settle:enabled");
    assert.ok((await shop.node.blockNumber()) >= settleBlock);
    await visitor.click("#settle");
    await visitor.reaches("settled");
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - PRICE);
    await visitor.click("#new");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 2");
  });

  it("is what remains where nothing was paid, and gives all of it back", async (t) => {
    const visitor = await customer(t, { tokens: TOKENS });
    visitor.wallet.deny("eth_signTypedData");
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reaches("opened");
    const block = await blockOf(visitor);
    const signed = signatures(visitor);
    await visitor.click("#close");
    await visitor.page.waitForSelector("dialog[open]");
    const text = await visitor.page.textContent("#dialog-text");
    assert.match(text, /Nothing was paid .* object for 500 blocks\. .* 0\.04 TKN of your deposit comes back/);
    await visitor.shot("dialog-unpaid");
    await visitor.click("#dialog-yes");
    await visitor.reaches("closed");
    assert.equal((await shop.channel(visitor.address, block)).closingBalance, 0n);
    assert.equal(signatures(visitor), signed, "nothing is signed for it");
    const asked = visitor.requests.filter(({ method }) => method === "DELETE");
    assert.deepEqual(asked, [], "the server could only refuse");
    await shop.node.mine(CHALLENGE);
    await visitor.page.waitForSelector("#settle:enabled");
    await visitor.click("#settle");
    await visitor.reaches("settled");
    assert.equal(await shop.tokensOf(visitor.address), TOKENS);
  });

  it("is not made when the visitor does not want that", async (t) => {
    const visitor = await leaving(t);
    await visitor.page.route("**/api/1/channels/**", (route) =>
      route.request().method() === "DELETE" ? route.fulfill({ status: 404, json: "no agreement" }) : route.continue(),
    );
    await confirmClose(visitor);
    await visitor.page.waitForSelector("dialog[open] >> text=Close without the receiver?");
    await visitor.click("#dialog-no");
    await visitor.reaches("opened");
    assert.equal(transactions(visitor), 1);
  });
});

describe("a channel that is forgotten", () => {
  it("is found again on the chain, with what the server holds", async (t) => {
    const visitor = await leaving(t);
    await visitor.click("#forget");
    await visitor.page.waitForSelector("dialog[open]");
    assert.match(await visitor.page.textContent("#dialog-text"), /does not know what you have paid/);
    await visitor.click("#dialog-yes");
    await visitor.reaches("opened");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
  });
});

/** Has the server agree to a close at what a visitor has paid, as another client of theirs would. */
async function agreeElsewhere(visitor, block) {
  const { balance, sig } = await visitor.page.evaluate(() => {
    const channels = Object.values({ ...localStorage }).filter((text) => text.startsWith("{"));
    return channels.map((text) => JSON.parse(text))[0].proof;
  });
  const { status } = await fetch(`${shop.url}/api/1/channels/${visitor.address}/${block}`, {
    method: "DELETE",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ balance: String(balance), balance_signature: sig }),
  });
  assert.equal(status, 200);
}

describe("a channel that the server sells nothing on", () => {
  it("since another client has agreed a close, is closed from the page as agreed", async (t) => {
    const visitor = await leaving(t);
    await agreeElsewhere(visitor, await blockOf(visitor));
    const signed = signatures(visitor);
    await visitor.click("#pay");
    await visitor.reaches("rejected");
    assert.match(await visitor.page.textContent("#notice"), /A close of this channel is agreed/);
    assert.equal(signatures(visitor), signed, "nothing is signed for what is not sold");
    await confirmClose(visitor);
    await visitor.reaches("settled");
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - PRICE);
  });

  it("since that happened while the wallet was signing, does not cost the payment that it has not taken", async (t) => {
    const visitor = await leaving(t);
    const block = await blockOf(visitor);
    visitor.wallet.answer("eth_signTypedData", async (entries) => {
      await agreeElsewhere(visitor, block);
      return signHash(visitor.key, typedDataHash(entries));
    });
    await visitor.click("#pay");
    await visitor.reaches("rejected");
    assert.equal(await held(visitor), PRICE);
    await confirmClose(visitor);
    await visitor.reaches("settled");
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - PRICE);
  });

  it("since the network does not know it, is forgotten, and the one that is there is found", async (t) => {
    const visitor = await leaving(t);
    // As after a network was begun anew: what is kept names a block at which nothing was opened.
    await visitor.page.evaluate(() => {
      const [name, text] = Object.entries({ ...localStorage }).find(([, text]) => text.startsWith("{"));
      localStorage.setItem(name, JSON.stringify({ ...JSON.parse(text), block: 1 }));
    });
    await visitor.page.reload();
    await visitor.reaches("invalid");
    await visitor.shot("invalid");
    await visitor.isAccessible();
    await visitor.click("#forget");
    await visitor.page.waitForSelector("dialog[open] >> text=removes what it knows");
    await visitor.click("#dialog-yes");
    await visitor.reaches("opened");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
  });
});
