// What is signed, and who has signed: held against the shared vectors and against the contract.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { concat, keccak256, numberToHex, slice, stringToHex } from "viem";
import { TestWallet, signHash, typedDataHash } from "../../test-wallet.mjs";
import { MAX_AMOUNT, balanceProof, closingMessage, signer, typedSignatureHash } from "../dist/index.js";
import { setStage, stranger } from "./stage.mjs";

const stage = await setStage();
const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/proofs.json", import.meta.url)));
const place = ({ balance }) => ({ block: vectors.open_block, balance: BigInt(balance), contract: vectors.contract });
const { sender_key: senderKey, receiver_key: receiverKey } = vectors;

const MESSAGES = [
  ...vectors.balance_proofs.map((vector) => ({
    ...vector,
    what: `the balance proof of ${vector.balance}`,
    entries: balanceProof(vectors.receiver, place(vector)),
    by: vectors.sender,
    key: senderKey,
  })),
  ...vectors.closing_signatures.map((vector) => ({
    ...vector,
    what: `the closing signature at ${vector.balance}`,
    entries: closingMessage(vectors.sender, place(vector)),
    by: vectors.receiver,
    key: receiverKey,
  })),
];

/** The order of the curve's group. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const parts = (signature) => [slice(signature, 0, 32), slice(signature, 32, 64), Number(slice(signature, 64))];
const withV = (signature, v) => concat([slice(signature, 0, 64), numberToHex(v, { size: 1 })]);

/** The other signature that the same key could have made of the same hash: s above half of the order. */
function malleated(signature) {
  const [r, s, v] = parts(signature);
  return concat([r, numberToHex(ORDER - BigInt(s), { size: 32 }), numberToHex(v === 27 ? 28 : 27, { size: 1 })]);
}

describe("the vectors that all implementations share", () => {
  for (const { what, entries, hash, signature, by, key } of MESSAGES) {
    it(`${what}: hash, signature and signer`, async () => {
      assert.equal(typedSignatureHash(entries), hash);
      assert.equal(typedDataHash(entries), hash, "the wallet of the tests has written the hash a second time");
      assert.equal(await signHash(key, hash), signature);
      assert.equal(await signer(entries, signature), by);
    });
  }

  it("the types and names that a wallet shows", () => {
    const schema = (entries) => keccak256(concat(entries.map(({ type, name }) => stringToHex(`${type} ${name}`))));
    const [balance, closing] = [balanceProof(vectors.receiver, place({ balance: 1 })), closingMessage(vectors.sender, place({ balance: 1 }))];
    assert.equal(schema(balance), vectors.schema_hashes.balance_proof);
    assert.equal(schema(closing), vectors.schema_hashes.closing);
    assert.deepEqual(balance, [
      { type: "string", name: "message_id", value: "Sender balance proof signature" },
      { type: "address", name: "receiver", value: vectors.receiver },
      { type: "uint32", name: "block_created", value: String(vectors.open_block) },
      { type: "uint192", name: "balance", value: "1" },
      { type: "address", name: "contract", value: vectors.contract },
    ]);
  });

  it("what a wallet has signed that is not ours", async () => {
    const { schema, values, signature, recovers } = vectors.foreign_wallet_vector;
    const entries = schema.map((entry, index) => {
      const [type, name] = entry.split(" ");
      return { type, name, value: values[index] };
    });
    assert.equal(await signer(entries, signature), recovers);
  });
});

describe("a signature", () => {
  const [{ entries, signature, by }] = MESSAGES;
  const isRefused = async (changed) => assert.equal(await signer(entries, changed), undefined, changed);

  it("is taken with v as 27 and 28, or as 0 and 1, as the contract takes it", async () => {
    const v = parts(signature)[2];
    assert.equal(await signer(entries, withV(signature, v - 27)), by);
    assert.equal(await signer(entries, signature.toUpperCase().replace("0X", "0x")), by);
  });

  it("with another v is none", async () => {
    for (const v of [2, 3, 26, 29, 30, 35, 36, 255]) await isRefused(withV(signature, v));
    const other = await signer(entries, withV(signature, parts(signature)[2] === 27 ? 28 : 27));
    assert.notEqual(other, by, "the other v is another signer");
  });

  it("with a high s is none: the contract refuses it", async () => {
    await isRefused(malleated(signature));
    const [r] = parts(signature);
    await isRefused(concat([r, numberToHex(ORDER / 2n + 1n, { size: 32 }), "0x1b"]));
  });

  it("of another length, or what is no hex, is none", async () => {
    await isRefused("0x");
    await isRefused(slice(signature, 0, 64));
    await isRefused(concat([signature, "0x00"]));
    await isRefused(signature.slice(2));
    await isRefused(signature.replace(/^0x./, "0xg"));
    await isRefused(`${signature}\n`);
  });

  it("with an r or an s outside the group is none", async () => {
    const zero = numberToHex(0n, { size: 32 });
    const [r, s] = parts(signature);
    await isRefused(concat([zero, s, "0x1b"]));
    await isRefused(concat([r, zero, "0x1b"]));
    await isRefused(concat([numberToHex(ORDER, { size: 32 }), s, "0x1b"]));
  });

  it("is of this balance, block, contract and receiver, and of no other message", async () => {
    const at = place(vectors.balance_proofs[0]);
    const others = [
      balanceProof(vectors.receiver, { ...at, balance: at.balance + 1n }),
      balanceProof(vectors.receiver, { ...at, block: at.block + 1 }),
      balanceProof(vectors.receiver, { ...at, contract: vectors.sender }),
      balanceProof(vectors.sender, at),
      closingMessage(vectors.receiver, at),
    ];
    for (const other of others) assert.notEqual(await signer(other, signature), by);
  });
});

describe("the contract", () => {
  const { contract } = stage.usual;
  const extract = (name, ...args) => stage.read(contract, `extract${name}Signature`, args);

  /** Blocks and balances from the smallest to the largest, and at random between. */
  const cases = [
    [1, 0n],
    [1, 1n],
    [2 ** 32 - 1, MAX_AMOUNT],
    [4_804_175, 2n ** 53n + 1n],
    ...Array.from({ length: 36 }, () => {
      const bits = 1 + Math.floor(Math.random() * 191);
      const digits = Array.from({ length: bits }, () => (Math.random() < 0.5 ? "0" : "1")).join("");
      return [1 + Math.floor(Math.random() * (2 ** 32 - 1)), BigInt(`0b1${digits}`)];
    }),
  ];

  it("finds the signer of what a wallet signs through signNewProof, for any block and balance", async () => {
    const { page, address } = await stage.sender({ tokens: 0n });
    for (const [block, balance] of cases) {
      const receiver = stranger().address;
      page.setChannel({ account: address, receiver, block, proof: { balance: 0n } });
      const { sig } = await page.signNewProof({ balance });
      assert.equal(await extract("BalanceProof", receiver, block, balance, sig), address, `block ${block}, balance ${balance}`);
    }
  });

  it("finds the signer of a close as the library does", async () => {
    const receiver = stranger();
    const sender = stranger().address;
    for (const [block, balance] of cases) {
      const entries = closingMessage(sender, { block, balance, contract: contract.address });
      const sig = await signHash(receiver.key, typedDataHash(entries));
      assert.equal(await signer(entries, sig), receiver.address);
      assert.equal(await extract("Closing", sender, block, balance, sig), receiver.address, `block ${block}, balance ${balance}`);
    }
  });

  it("refuses what the library takes for no signature", async () => {
    const { page, address, receiver } = await stage.sender({ tokens: 0n });
    const channel = { account: address, receiver: receiver.address, block: 7, proof: { balance: 0n } };
    page.setChannel(channel);
    const { sig } = await page.signNewProof({ balance: 9n });
    const entries = balanceProof(channel.receiver, { block: 7, balance: 9n, contract: contract.address });
    for (const changed of [malleated(sig), withV(sig, 2), withV(sig, 29), slice(sig, 0, 64), concat([sig, "0x00"])]) {
      assert.equal(await signer(entries, changed), undefined);
      await assert.rejects(extract("BalanceProof", channel.receiver, 7, 9n, changed), /InvalidSignature/);
    }
    const ledgers = withV(sig, parts(sig)[2] - 27);
    assert.equal(await signer(entries, ledgers), address);
    assert.equal(await extract("BalanceProof", channel.receiver, 7, 9n, ledgers), address, "v of a hardware wallet");
  });

  it("finds the signer of what the node's own accounts sign", { skip: process.env.MICRORAIDEN_TEST_NODE === "anvil" && "anvil signs no version 1" }, async () => {
    const [account] = new TestWallet(stage.node, [stage.node.keys[0]]).addresses;
    const page = stage.openPage(stage.node.url);
    await page.getChallengePeriod();
    assert.ok((await page.getAccounts()).some((shown) => shown.toLowerCase() === account.toLowerCase()));
    const receiver = stranger().address;
    page.setChannel({ account, receiver, block: 3, proof: { balance: 0n } });
    const { sig } = await page.signNewProof({ balance: MAX_AMOUNT });
    assert.equal(await extract("BalanceProof", receiver, 3, MAX_AMOUNT, sig), account);
  });
});
