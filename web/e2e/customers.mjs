// Visitors who have a wallet, and those who have paid before.

import assert from "node:assert/strict";
import { visit, walletOf } from "./visitor.mjs";

export function customersOf(shop, browser) {
  /** A visitor with one wallet, and tokens in it. `nodes` are the networks that it knows. */
  async function customer(t, { tokens, ether, wallet, nodes = shop.node, ...options } = {}) {
    const key = await shop.customer({ tokens, ether });
    const visitor = await visit(t, browser, shop, { wallets: [walletOf(nodes, [key], wallet)], ...options });
    return {
      ...visitor,
      key,
      address: visitor.wallet.address,
      /** Opens a page that must be paid for, and chooses the wallet. */
      async connect(path) {
        await visitor.open(path);
        await visitor.reaches("choose-wallet");
        await visitor.click("#wallets button");
      },
    };
  }

  /** The same, with a channel from which the first page was paid; with `isAuto: false` every page asks. */
  async function regular(t, { isAuto = true, deposit, ...options } = {}) {
    const visitor = await customer(t, options);
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    if (deposit) await visitor.page.fill("#deposit", deposit);
    if (!isAuto) await visitor.page.uncheck("#auto");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    return visitor;
  }

  /** The block of a visitor's only channel. */
  async function blockOf({ address }) {
    const blocks = await shop.channelsOf(address);
    assert.equal(blocks.length, 1);
    return blocks[0];
  }

  return {
    customer,
    regular,
    blockOf,
    /** The balance that the server holds of a visitor's only channel. */
    held: async (visitor) => BigInt((await shop.api(`channels/${visitor.address}/${await blockOf(visitor)}`)).body.balance),
    /** How often a visitor's wallet was asked to sign. */
    signatures: ({ wallet }) => wallet.methods.filter((method) => method === "eth_signTypedData").length,
    /** How many transactions it has sent. */
    transactions: ({ wallet }) => wallet.sent.length,
  };
}
