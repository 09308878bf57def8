// Test tokens: their page, and what a visitor sees of a token that is none.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PlainToken } from "../client/test/tokens.mjs";
import { customersOf } from "./customers.mjs";
import { openShop } from "./shop.mjs";
import { openBrowser } from "./visitor.mjs";

const PAGE = "/js/microraiden/tokens.html";
const TOKENS = 10n ** 18n;
/** A token that nobody can mint, which knows no transfer with data. */
const SUPPLY = 10n ** 12n;

const [shop, plain] = await Promise.all([
  openShop(),
  openShop({ price: "0.002 PLN", issue: (contracts) => contracts.deploy(PlainToken, [SUPPLY, 6]) }),
]);
const browser = await openBrowser();
const { customer } = customersOf(shop, browser);
const plainly = customersOf(plain, browser);

/** Opens the page and connects. */
async function connect(visitor) {
  await visitor.connect(PAGE);
  return visitor.reaches("tokens", "not-for-sale");
}

describe("the page of test tokens", () => {
  it("sells 50 for 0.1 ether, as often as one wants", async (t) => {
    const visitor = await customer(t, { tokens: 0n, ether: "1" });
    await connect(visitor);
    assert.equal(await visitor.page.textContent("#title"), "You own 0 TKN");
    await visitor.shot("tokens");
    await visitor.isAccessible();
    for (const owned of [50n, 100n]) {
      await visitor.click("#buy");
      await visitor.page.waitForSelector(`#title:text-is("You own ${owned} TKN")`);
      await visitor.reaches("tokens");
      assert.equal(await shop.tokensOf(visitor.address), owned * TOKENS);
    }
    const left = BigInt(await shop.node.ask("eth_getBalance", visitor.address, "latest"));
    assert.ok(left < 8n * 10n ** 17n && left > 79n * 10n ** 16n, `${left} wei are left of an ether`);
  });

  it("has the wallet show the token", async (t) => {
    const visitor = await customer(t);
    visitor.wallet.answer("wallet_watchAsset", () => true);
    await connect(visitor);
    await visitor.click("#watch");
    await visitor.page.waitForSelector("#notice:has-text('The wallet was asked to show the token.')");
    const { params } = visitor.wallet.requests.find(({ method }) => method === "wallet_watchAsset");
    const options = { address: shop.token.address, symbol: "TKN", decimals: 18 };
    assert.deepEqual(params, { type: "ERC20", options });
    visitor.wallet.deny("wallet_watchAsset");
    await visitor.click("#watch");
    await visitor.page.waitForSelector("#notice:has-text('You declined in the wallet.')");
  });

  it("says so when the token is not for sale", async (t) => {
    const visitor = await plainly.customer(t, { tokens: 5_000n });
    assert.equal(await connect(visitor), "not-for-sale");
    assert.equal(await visitor.page.textContent("#title"), "You own 0.005 PLN");
    assert.ok(!(await visitor.page.isVisible("#buy")));
    await visitor.shot("not-for-sale");
    await visitor.isAccessible();
  });
});

describe("a page that is paid with a token that is not for sale", () => {
  it("says how much an account owns that owns too little", async (t) => {
    const visitor = await plainly.customer(t, { tokens: 1_999n });
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    assert.match(await visitor.page.textContent("#text"), /This account owns too few PLN for it: 0\.001999 PLN\./);
    await visitor.shot("missing-poor");
    await visitor.click("#deposit-button");
    assert.match(await visitor.page.textContent("#deposit-hint"), /This account owns 0\.001999 PLN/);
    assert.deepEqual(visitor.wallet.sent, []);
  });

  it("takes a deposit in two transactions, and tops it up of the visitor's own accord", async (t) => {
    const visitor = await plainly.regular(t, { tokens: 100_000n, deposit: "0.005", isAuto: false });
    assert.equal(plainly.transactions(visitor), 2, "one approves, one deposits");
    const block = await plainly.blockOf(visitor);
    assert.equal((await plain.channel(visitor.address, block)).deposit, 5_000n);
    await visitor.click("#next");
    await visitor.reaches("opened");
    await visitor.click("#more");
    await visitor.reaches("more");
    await visitor.shot("more");
    await visitor.isAccessible();
    await visitor.click("#retry:text-is('Back')");
    await visitor.reaches("opened");
    assert.equal(plainly.transactions(visitor), 2);
    await visitor.click("#more");
    await visitor.reaches("more");
    await visitor.page.fill("#deposit", "0.012345");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 2");
    assert.equal((await plain.channel(visitor.address, block)).deposit, 17_345n);
    assert.equal(await plain.tokensOf(visitor.address), 100_000n - 17_345n);
    assert.equal(await plainly.held(visitor), 4_000n);
    assert.deepEqual([plainly.signatures(visitor), plainly.transactions(visitor)], [2, 4]);
  });
});
