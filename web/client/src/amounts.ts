import { MicroRaidenError } from "./errors.js";

/** The largest amount of a channel: 2¹⁹² − 1 base units. */
export const MAX_AMOUNT = 2n ** 192n - 1n;

/** @throws MicroRaidenError `invalid-amount` for what cannot be a balance: less than 0, or more than {@link MAX_AMOUNT}. */
export function checkBalance(balance: bigint): void {
  if (balance < 0n || balance > MAX_AMOUNT) throw new MicroRaidenError("invalid-amount", `${balance} cannot be a balance`);
}

/**
 * Reads tokens as base units, exactly: `"1.5"` with 18 decimals is 1500000000000000000n.
 *
 * @throws MicroRaidenError `invalid-amount` for what is not a decimal number, has more decimals than the token, or is
 *   larger than a channel can hold.
 */
export function parseAmount(text: string, decimals: number): bigint {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text.trim());
  const [, whole = "", written = ""] = match ?? [];
  const part = written.replace(/0+$/, "");
  if (!match) throw new MicroRaidenError("invalid-amount", `“${text}” is not an amount: write a number such as 2 or 0.5`);
  if (part.length > decimals) {
    throw new MicroRaidenError("invalid-amount", `“${text}” has more than the ${decimals} decimals of the token`);
  }
  const amount = BigInt(whole + part.padEnd(decimals, "0"));
  if (amount > MAX_AMOUNT) throw new MicroRaidenError("invalid-amount", `“${text}” is more than a channel can hold`);
  return amount;
}

/** Writes base units as tokens, exactly and without needless zeros: the inverse of {@link parseAmount}. */
export function formatAmount(amount: bigint, decimals: number): string {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const part = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return (amount < 0n ? "-" : "") + whole + (part && `.${part}`);
}

/**
 * Reads a whole number as JSON of 2018 holds it: decimal text, also with an exponent (`"1.5e+21"`), as its library for
 * large numbers wrote those of more than 21 digits.
 *
 * @returns `undefined` for anything else.
 */
export function reviveAmount(value: unknown): bigint | undefined {
  const match = /^(\d+)(?:\.(\d+))?(?:e\+?(\d{1,2}))?$/i.exec(typeof value === "number" ? String(value) : String(value ?? ""));
  if (!match) return undefined;
  const [, whole = "", part = "", exponent = "0"] = match;
  const shift = Number(exponent);
  if (part.length > shift) return undefined;
  const amount = BigInt(whole + part.padEnd(shift, "0"));
  return amount <= MAX_AMOUNT ? amount : undefined;
}
