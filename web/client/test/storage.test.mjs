// Channels in the page's storage, which it shares with the page of 2018, with other networks and with other contracts.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { numberToHex, pad, toFunctionSelector } from "viem";
import { MicroRaiden } from "../dist/index.js";
import { Storage, failure, stranger } from "./stage.mjs";

const [CONTRACT, OTHER] = [stranger().address, stranger().address];
const [account, receiver] = [stranger().address, stranger().address];
const NAME = `${account}|${receiver}`;
const SIG = `0x${"ab".repeat(64)}1b`;

/** A page on a network; the node answers nothing but what the page must know of the contract. */
async function page(storage, { contract = CONTRACT, chainId = 1337 } = {}) {
  const node = {
    request: async ({ method, params }) => {
      if (method === "eth_chainId") return `0x${chainId.toString(16)}`;
      if (method === "eth_call") return pad(params[0].data === toFunctionSelector("token()") ? OTHER : numberToHex(500));
      throw new Error(`not expected here: ${method}`);
    },
  };
  const made = new MicroRaiden(node, contract, undefined, OTHER, undefined, 0, { storage });
  await made.getChallengePeriod();
  return made;
}

/** A storage in which text stands, as it is. */
function storageWith(texts) {
  const storage = new Storage();
  for (const [name, text] of Object.entries(texts)) storage.setItem(name, text);
  return storage;
}

const channel = (balance = 7n) => ({ account, receiver, block: 12, proof: { balance, sig: SIG } });

describe("a channel that was kept", () => {
  it("is there when the page comes again, whole", async () => {
    const storage = new Storage();
    const first = await page(storage);
    const kept = { ...channel(2n ** 191n), next_proof: { balance: 2n ** 191n + 1n, sig: SIG }, closing_sig: SIG };
    first.setChannel(kept);
    const second = await page(storage);
    assert.equal(second.loadStoredChannel(account, receiver), true);
    assert.deepEqual(second.channel, kept);
    assert.equal(second.isChannelValid(), true);
  });

  it("stands where the page of 2018 would look for it, in a form that it can read", async () => {
    const storage = new Storage();
    (await page(storage)).setChannel(channel(22n * 10n ** 18n));
    const { [NAME]: written } = storage.content;
    assert.deepEqual(written.proof, { balance: "22000000000000000000", sig: SIG });
    assert.deepEqual([written.account, written.receiver, written.block], [account, receiver, 12]);
  });

  it("is found in whatever case its addresses are written, and kept once", async () => {
    const lower = NAME.toLowerCase();
    const storage = storageWith({ [lower]: JSON.stringify({ account: account.toLowerCase(), receiver, block: 12, proof: { balance: "7" } }) });
    const made = await page(storage);
    assert.equal(made.loadStoredChannel(account, receiver.toUpperCase().replace("0X", "0x")), true);
    assert.equal(made.channel.proof.balance, 7n);
    made.setChannel(channel(8n));
    assert.deepEqual(Object.keys(storage.content), [NAME], "the old balance is gone");
    assert.equal(made.loadStoredChannel(account.toLowerCase(), receiver), true);
    assert.equal(made.channel.proof.balance, 8n);
  });

  it("is forgotten when it is told to, and only that one", async () => {
    const storage = storageWith({ theme: '"dark"' });
    const made = await page(storage);
    const other = stranger().address;
    made.setChannel({ ...channel(), receiver: other });
    made.setChannel(channel());
    made.forgetStoredChannel();
    assert.equal(made.channel, undefined);
    assert.deepEqual(Object.keys(storage.content).sort(), [`${account}|${other}`, "theme"].sort());
    assert.equal((await page(storage)).loadStoredChannel(account, receiver), false);
    assert.doesNotThrow(() => made.forgetStoredChannel(), "without one there is nothing to do");
  });
});

describe("a channel of 2018", () => {
  const legacy = (proof, more = {}) => storageWith({ [NAME]: JSON.stringify({ account, receiver, block: 4_804_175, proof, ...more }) });

  it("is read with balances as its library wrote them", async () => {
    const written = [
      ["0", 0n],
      ["22000000000000000000", 22n * 10n ** 18n],
      ["1.5e+21", 1_500_000_000_000_000_000_000n],
      ["6.277101735386680763835789423207666416102355444464034512895e+57", 2n ** 192n - 1n],
      [5, 5n],
    ];
    for (const [balance, amount] of written) {
      const made = await page(legacy({ balance, sig: SIG }, { next_proof: { balance, sig: SIG }, closing_sig: SIG }));
      assert.equal(made.loadStoredChannel(account, receiver), true, String(balance));
      const proof = { balance: amount, sig: SIG };
      assert.deepEqual(made.channel, { account, receiver, block: 4_804_175, proof, next_proof: proof, closing_sig: SIG });
    }
  });

  it("is not taken when its balance cannot be known", async () => {
    for (const balance of ["", "1.5", "-1", "NaN", "1.55e+1", "6.3e+57", "1e999", null, true, {}, "0x10", 1.5]) {
      const made = await page(legacy({ balance, sig: SIG }));
      assert.equal(made.loadStoredChannel(account, receiver), false, JSON.stringify(balance));
      assert.equal(made.channel, undefined);
    }
  });

  it("is not taken with parts missing, or when it is no JSON", async () => {
    const whole = { account, receiver, block: 12, proof: { balance: "7" } };
    const broken = [
      ...Object.keys(whole).map((part) => JSON.stringify({ ...whole, [part]: undefined })),
      JSON.stringify({ ...whole, block: 0 }),
      JSON.stringify({ ...whole, block: "12" }),
      JSON.stringify({ ...whole, account: "0x12" }),
      '{"account":',
      "",
      "null",
      "7",
      "[]",
    ];
    for (const text of broken) {
      const made = await page(storageWith({ [NAME]: text }));
      made.setChannel({ ...channel(), receiver: OTHER });
      assert.equal(made.loadStoredChannel(account, receiver), false, text);
      assert.equal(made.channel, undefined, "the channel before is not current any more");
    }
  });

  it("loses a signature that is none, and keeps the balance", async () => {
    const made = await page(legacy({ balance: "7", sig: "yes" }, { next_proof: "no", closing_sig: 5 }));
    assert.equal(made.loadStoredChannel(account, receiver), true);
    assert.deepEqual(made.channel, { account, receiver, block: 4_804_175, proof: { balance: 7n } });
  });
});

describe("channels of several networks and contracts between the same two parties", () => {
  const homes = [{}, { chainId: 5 }, { contract: OTHER }, { contract: OTHER, chainId: 5 }];

  it("are never taken for each other", async () => {
    for (const elsewhere of homes.slice(1)) {
      const storage = new Storage();
      (await page(storage)).setChannel(channel());
      assert.equal((await page(storage, elsewhere)).loadStoredChannel(account, receiver), false);
      assert.equal((await page(storage)).loadStoredChannel(account, receiver), true);
    }
  });

  it("are all kept, whichever was used last", async () => {
    const storage = new Storage();
    for (let round = 0; round < 3; round++) {
      for (const [index, home] of homes.entries()) {
        const made = await page(storage, home);
        const balance = BigInt(10 * round + index);
        if (round > 0) {
          assert.equal(made.loadStoredChannel(account, receiver), true);
          assert.equal(made.channel.proof.balance, balance - 10n);
        }
        made.setChannel(channel(balance));
      }
    }
  });

  it("are forgotten one by one", async () => {
    const storage = new Storage();
    for (const [index, home] of homes.entries()) (await page(storage, home)).setChannel(channel(BigInt(index)));
    const made = await page(storage, homes[1]);
    assert.equal(made.loadStoredChannel(account, receiver), true);
    made.forgetStoredChannel();
    assert.equal(made.loadStoredChannel(account, receiver), false);
    for (const index of [0, 2, 3]) {
      const other = await page(storage, homes[index]);
      assert.equal(other.loadStoredChannel(account, receiver), true);
      assert.equal(other.channel.proof.balance, BigInt(index));
    }
  });
});

describe("without a channel", () => {
  it("what needs one says so", async () => {
    const made = await page(new Storage());
    assert.equal(made.isChannelValid(), false);
    assert.equal(made.isChannelValid({ ...channel(), block: 0 }), false);
    const calls = [
      () => made.getChannelInfo(),
      () => made.getChannelInfo({ account, receiver, block: 0, proof: { balance: 0n } }),
      () => made.topUpChannel(1n),
      () => made.closeChannel(),
      () => made.settleChannel(),
      () => made.signMessage("hello"),
      () => made.signNewProof(),
      () => made.incrementBalanceAndSign(1n),
      () => made.confirmPayment({ balance: 1n, sig: SIG }),
      () => made.setBalance(1n),
      () => made.verifyProof({ balance: 1n, sig: SIG }),
    ];
    for (const call of calls) await failure(call, "no-channel", /^No valid channelInfo$/);
  });
});
