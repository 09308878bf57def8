// What the page remembers between two visits, beside channels.

import type { Offer } from "./offer.js";

/** How long an attempt counts, in milliseconds: as long as its cookies may pay. */
const AGE = 60_000;
/** What a visitor agrees to by a click: so many pages, without another one. */
const PAGES = 20n;
const ATTEMPT = "microraiden|attempt";
const WALLET = "microraiden|wallet";

/** The wallet that was used last, by its `rdns`. */
export const lastWallet = {
  get: () => localStorage.getItem(WALLET),
  set: (rdns: string) => localStorage.setItem(WALLET, rdns),
  forget: () => localStorage.removeItem(WALLET),
};

/** A payment for this page, just now and in this tab. */
export interface Attempt {
  /** What was signed for it, in base units. */
  balance: bigint;
  /** How often. */
  count: number;
}

/** What was paid for this page a moment ago: a payment that does not bring the page must not go on by itself. */
export const attempts = {
  last(): Attempt | undefined {
    try {
      const { url, balance, count, at } = JSON.parse(sessionStorage.getItem(ATTEMPT) ?? "{}") as Record<string, unknown>;
      const isRecent = url === location.href && Date.now() - Number(at) < AGE;
      return isRecent ? { balance: BigInt(String(balance)), count: Number(count) } : undefined;
    } catch {
      return undefined;
    }
  },
  add(balance: bigint): void {
    const count = (this.last()?.count ?? 0) + 1;
    const attempt = { url: location.href, balance: balance.toString(), count, at: Date.now() };
    sessionStorage.setItem(ATTEMPT, JSON.stringify(attempt));
  },
};

/**
 * What is paid without asking: pages of a receiver up to a price, and so much in all, in base units of one token at one
 * contract. Each click that pays says it anew.
 */
export class AutoPay {
  readonly #name: string;

  constructor({ chainId, contract, receiver, token }: Offer) {
    this.#name = ["microraiden", "auto", chainId, contract, receiver, token].join("|").toLowerCase();
  }

  #read(): { most: bigint; left: bigint } {
    const [most, left] = (localStorage.getItem(this.#name) ?? "").split("|");
    return /^\d+$/.test(most ?? "") && /^\d+$/.test(left ?? "") ? { most: BigInt(most ?? 0), left: BigInt(left ?? 0) } : { most: 0n, left: 0n };
  }

  /** Whether the visitor has said no, the last time. */
  get isOff(): boolean {
    return localStorage.getItem(this.#name) === "off";
  }

  allows(price: bigint): boolean {
    const { most, left } = this.#read();
    return price <= most && price <= left;
  }

  /** Something was paid without a click. */
  take(price: bigint): void {
    const { most, left } = this.#read();
    localStorage.setItem(this.#name, `${most}|${left - price}`);
  }

  /** What the visitor says by a click. */
  set(isOn: boolean, price: bigint): void {
    localStorage.setItem(this.#name, isOn ? `${price}|${price * PAGES}` : "off");
  }
}
