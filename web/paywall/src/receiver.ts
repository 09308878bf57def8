// Talking with the receiver's server: what it knows of a channel, payments, closes.

import type { Address, Hex } from "viem";
import { reviveAmount, type MicroChannel, type MicroProof } from "../../client/src/index.js";
import type { Offer } from "./offer.js";

/** What everybody may know of a channel. */
export interface PublicChannel {
  /** The highest balance that the receiver holds a proof for, in base units; not proved. */
  balance: bigint;
  /** What is confirmed of the deposit, in base units. */
  deposit: bigint;
  state: "open" | "closed";
}

/** What only the sender is told. */
export interface Standing {
  /** The receiver's balance with the sender's signature; none when nothing was paid. */
  proof: MicroProof;
  /** What the next payments use up, in base units. */
  credit: bigint;
  /** What comes back at the close besides, in base units. */
  refund: bigint;
}

/** How long payment cookies live, in seconds: as long as a lost answer is given again without charge. */
const COOKIE_AGE = 60;
/** How long an answer may take, in milliseconds. */
const PATIENCE = 20_000;

const amountOf = (value: unknown) => reviveAmount(value) ?? 0n;
const isHex = (value: unknown): value is Hex => /^0x[0-9a-f]+$/i.test(String(value));

/** The server that sells this page. */
export class Receiver {
  readonly #offer: Offer;

  constructor(offer: Offer) {
    this.#offer = offer;
  }

  /** The block from which events of the contract can be; 0 when the server does not say. */
  async startBlock(): Promise<number> {
    try {
      const stats = (await (await this.#ask("/stats")).json()) as { sync_block?: unknown };
      return Number(stats.sync_block) || 0;
    } catch {
      return 0;
    }
  }

  /** What the server says of a channel; `undefined` when it does not know it, or not yet. */
  async channel(account: Address, block: number): Promise<PublicChannel | undefined> {
    const answer = await this.#ask(`/channels/${account}/${block}`);
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`The server cannot tell about your channel now (${answer.status}). Try again later.`);
    const { balance, deposit, state } = (await answer.json()) as Record<string, unknown>;
    return { balance: amountOf(balance), deposit: amountOf(deposit), state: state === "open" ? "open" : "closed" };
  }

  /**
   * Asks what the server holds, by a payment of nothing; `undefined` when the proof does not show who asks.
   *
   * @throws Error when the server cannot tell: then nothing may be signed for it
   */
  async standing({ account, block }: MicroChannel, { balance, sig }: MicroProof): Promise<Standing | undefined> {
    const headers = {
      Accept: "application/json",
      "RDN-Sender-Address": account,
      "RDN-Open-Block": String(block),
      "RDN-Sender-Balance": balance.toString(),
      "RDN-Balance-Signature": sig ?? "",
      "RDN-Payment": "0",
    };
    const answer = await fetch(location.href, { method: "HEAD", headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status >= 500) throw new Error(`The server cannot take payments now (${answer.status}). Try again later.`);
    const told = (name: string) => answer.headers.get(name);
    const held = reviveAmount(told("RDN-Sender-Balance"));
    if (answer.status !== 402 || held === undefined) return undefined;
    const signature = told("RDN-Balance-Signature");
    return {
      proof: { balance: held, ...(isHex(signature) && { sig: signature }) },
      credit: amountOf(told("RDN-Credit")),
      refund: amountOf(told("RDN-Refund")),
    };
  }

  /** Asks the receiver to agree to a close at a balance, which the sender has signed. */
  async agree({ account, block }: MicroChannel, { balance, sig }: MicroProof): Promise<Hex> {
    const body = JSON.stringify({ balance: balance.toString(), balance_signature: sig });
    const answer = await this.#ask(`/channels/${account}/${block}`, {
      method: "DELETE",
      headers: { "Content-Type": "application/json" },
      body,
    });
    const said = (await answer.json().catch(() => undefined)) as { close_signature?: unknown } | string | undefined;
    if (answer.ok && typeof said === "object" && isHex(said.close_signature)) return said.close_signature;
    throw new Error(typeof said === "string" ? said : `it answered ${answer.status}`);
  }

  /**
   * Lets the browser's next request for this page pay. Only for it: cookies of this path alone, which do not last, so that
   * no other request takes the payment.
   */
  pay({ account, block }: MicroChannel, { balance, sig }: MicroProof, amount: bigint): void {
    const values = {
      "RDN-Sender-Address": account,
      "RDN-Open-Block": block,
      "RDN-Sender-Balance": balance,
      "RDN-Balance-Signature": sig,
      "RDN-Payment": amount,
    };
    for (const [name, value] of Object.entries(values)) setCookie(`${name}=${value}; Max-Age=${COOKIE_AGE}`, cookiePath());
  }

  /** Removes what an earlier answer told this page in cookies: sent back, it would be half a payment. */
  clearCookies(): void {
    const names = document.cookie.split(";").map((cookie) => cookie.split("=")[0]?.trim() ?? "");
    for (const name of names.filter((name) => /^RDN-/i.test(name))) {
      for (const path of ["/", cookiePath()]) setCookie(`${name}=; Max-Age=0`, path);
    }
  }

  #ask(path: string, request: RequestInit = {}): Promise<Response> {
    return fetch(this.#offer.gateway + path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...request });
  }
}

function setCookie(cookie: string, path: string): void {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${cookie}; Path=${path}; SameSite=Lax${secure}`;
}

/** This page's path; the folder above where a cookie cannot have it. */
function cookiePath(): string {
  const { pathname } = location;
  const end = pathname.indexOf(";");
  return end < 0 ? pathname : pathname.slice(0, pathname.lastIndexOf("/", end) + 1);
}
