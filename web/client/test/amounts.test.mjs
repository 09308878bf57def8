// Tokens as people write them, and as base units: exact in both directions.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MAX_AMOUNT, MicroRaiden, formatAmount, parseAmount } from "../dist/index.js";
import { Storage, failure } from "./stage.mjs";

const ZERO = "0x0000000000000000000000000000000000000000";

/** A page whose token has so many decimals; it needs no node for this. */
function pageWith(decimals) {
  const page = new MicroRaiden({ request: async () => null }, ZERO, undefined, ZERO, undefined, 0, { storage: new Storage() });
  page.decimals = decimals;
  return page;
}

describe("num2tkn and tkn2num", () => {
  const exact = [
    [0, "0", 0n],
    [0, "1", 1n],
    [0, "9007199254740993", 2n ** 53n + 1n],
    [0, MAX_AMOUNT.toString(), MAX_AMOUNT],
    [6, "0.000001", 1n],
    [18, "1.5", 1_500_000_000_000_000_000n],
    [18, "0.000000000000000001", 1n],
    [18, "9007199254.740993000000000001", 9_007_199_254_740_993_000_000_000_001n],
    [18, "123456789012345678.987654321098765432", 123_456_789_012_345_678_987_654_321_098_765_432n],
    [36, "0.000000000000000000000000000000000001", 1n],
    [36, "3.141592653589793238462643383279502884", 3_141_592_653_589_793_238_462_643_383_279_502_884n],
    [36, "1000000", 10n ** 42n],
  ];
  for (const [decimals, text, amount] of exact) {
    it(`${text} with ${decimals} decimals`, () => {
      assert.equal(pageWith(decimals).num2tkn(text), amount);
      assert.equal(pageWith(decimals).tkn2num(amount), text);
    });
  }

  it("take numbers, blanks around them, and zeros that mean nothing", () => {
    const page = pageWith(2);
    assert.equal(page.num2tkn(2), 200n);
    assert.equal(page.num2tkn(0.25), 25n);
    assert.equal(page.num2tkn(" 0002.500000 "), 250n);
    assert.equal(pageWith(0).num2tkn("7.000"), 7n);
    assert.equal(page.num2tkn(), 0n, "as the class of 2018");
    assert.equal(page.tkn2num(250n), "2.5");
    assert.equal(page.tkn2num(-5n), "-0.05");
  });

  it("agree with each other for any amount and any decimals", () => {
    let state = 1n;
    for (let round = 0; round < 500; round++) {
      state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) % 2n ** 192n;
      const [amount, decimals] = [state >> BigInt(round % 190), round % 37];
      assert.equal(parseAmount(formatAmount(amount, decimals), decimals), amount, `${amount} with ${decimals} decimals`);
    }
  });

  const refused = ["1e5", "1,5", "-1", "", " ", "+1", ".5", "5.", "0x10", "1 000", "1_000", "NaN", "Infinity", "1.2.3", "٣", "１"];
  for (const text of refused) {
    it(`refuse ${JSON.stringify(text)}`, () => failure(() => pageWith(18).num2tkn(text), "invalid-amount", /is not an amount/));
  }

  it("refuse numbers that JavaScript writes with an exponent, rather than guess", async () => {
    await failure(() => pageWith(18).num2tkn(1e21), "invalid-amount");
    await failure(() => pageWith(18).num2tkn(1e-7), "invalid-amount");
    await failure(() => pageWith(18).num2tkn(NaN), "invalid-amount");
  });

  it("refuse more decimals than the token has", async () => {
    await failure(() => pageWith(2).num2tkn("0.001"), "invalid-amount", /“0.001” has more than the 2 decimals of the token/);
    await failure(() => pageWith(0).num2tkn("1.5"), "invalid-amount", /0 decimals/);
  });

  it("refuse more than a channel can hold", async () => {
    await failure(() => pageWith(0).num2tkn((MAX_AMOUNT + 1n).toString()), "invalid-amount", /more than a channel can hold/);
    await failure(() => pageWith(36).num2tkn("9".repeat(60)), "invalid-amount");
  });
});
