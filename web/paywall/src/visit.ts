// From the first sight of the page to a wallet with an account on the right network: what all pages begin with.

import { MicroRaidenError, type Wallet } from "../../client/src/index.js";
import { Connection, type Place } from "./connection.js";
import { lastWallet } from "./memory.js";
import type { DevChain } from "./offer.js";
import { element, notice, on, setText, show, type View } from "./view.js";
import { chooseWallet } from "./wallets.js";
import { words } from "./words.js";

/** How often something that ends by itself is looked at again, in milliseconds. */
const PAUSE = 2_500;

/** A page's visitor. What is begun supersedes what was under way, which then changes nothing any more. */
export class Visit {
  #connection: Connection | undefined;
  #unlisten = () => {};
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param startBlock where the contract's events begin
   * @param ready shows the page to a visitor whose account and network are right
   */
  constructor(
    readonly place: Place,
    readonly startBlock: Promise<number>,
    readonly ready: (here: Connection) => Promise<void>,
  ) {
    on("connect", "click", () => void this.run(() => this.#connect(this.here().wallet, true)));
    on("retry", "click", () => (this.#connection ? void this.run(() => this.refresh()) : this.start()));
    on("switch", "click", () => {
      void this.run(async () => {
        await this.here().switchNetwork();
        await this.refresh();
      });
    });
    on("other", "click", () => {
      lastWallet.forget();
      notice();
      this.start();
    });
    on("account", "change", () => {
      this.here().account = element<HTMLSelectElement>("account").value as `0x${string}`;
      void this.run(() => this.refresh());
    });
  }

  /** Looks for wallets. */
  start(): void {
    this.#begin();
    this.#unlisten();
    this.#connection = undefined;
    chooseWallet((wallet, isAsked) => void this.run(() => this.#connect(wallet, isAsked)));
  }

  /** The wallet that was chosen. */
  here(): Connection {
    if (!this.#connection) throw new Error("No wallet is connected.");
    return this.#connection;
  }

  /** Does something that the visitor asked for; when it fails, says how and shows what is now. */
  async run(act: () => Promise<void>): Promise<void> {
    this.#begin();
    const isCurrent = this.watch();
    notice();
    try {
      await act();
    } catch (error) {
      if (!isCurrent()) return;
      this.failed();
      notice(words(error));
      await this.refresh().catch((again: unknown) => isCurrent() && fail(again));
    }
  }

  /** Called when something has failed, before the page is shown anew. */
  failed = () => {};

  /** Says later whether nothing else was begun since. */
  watch(): () => boolean {
    const turn = this.#turn;
    return () => turn === this.#turn;
  }

  /** Looks again after a while, unless something else is begun. */
  later(act: () => Promise<void>): void {
    const isCurrent = this.watch();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (isCurrent()) act().catch((error: unknown) => isCurrent() && fail(error));
    }, PAUSE);
  }

  /** Finds out where the visitor is, and shows it. */
  async refresh(): Promise<void> {
    const here = this.here();
    const isCurrent = this.watch();
    const view = await this.#obstacle(here);
    if (!isCurrent()) return;
    if (view) return show(view);
    const { decimals } = await here.look();
    if (!isCurrent()) return;
    if (decimals !== this.place.decimals) {
      // The price would look like another one.
      throw new Error(`The server counts the token with ${this.place.decimals} decimals, and the token itself with ${decimals}. Nothing is paid.`);
    }
    showAccount(here);
    await this.ready(here);
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#turn++;
  }

  async #connect(wallet: Wallet, isAsked: boolean): Promise<void> {
    const isCurrent = this.watch();
    busy(`Connecting to ${wallet.name}`, isAsked ? "Your wallet may ask you." : "");
    const here = new Connection(wallet, this.place, await this.startBlock, () => {
      setText("text", "The transaction is sent. It takes as long as the network needs for a block or two.");
    });
    if (!isCurrent()) return;
    this.#unlisten();
    this.#connection = here;
    this.#unlisten = here.listen(() => void this.run(() => this.#connect(wallet, false)));
    lastWallet.set(wallet.rdns);
    element("test").hidden = wallet.rdns !== "microraiden.throwaway";
    await here.open(isAsked);
    if (isCurrent()) await this.refresh();
  }

  /** What the visitor has to do first; nothing, when all is right. */
  async #obstacle(here: Connection): Promise<View | undefined> {
    if (!here.account) {
      const text = `Unlock ${here.wallet.name} and let this page see an account.`;
      return { state: "connect", title: "No accounts found!", text, parts: ["connect", "other-row"] };
    }
    if (!(await here.isOnNetwork())) {
      const text = `This page is paid on the network with chain ID ${this.place.chainId}.`;
      return { state: "wrong-network", title: "Your wallet is on another network", text, parts: ["switch", "other-row"] };
    }
    try {
      await here.raiden.getChallengePeriod();
      return undefined;
    } catch (error) {
      if (!(error instanceof MicroRaidenError) || error.code !== "invalid-contract") throw error;
      this.later(() => this.refresh());
      const text = "The channel contract is not found on your wallet's network. It is looked for again.";
      return { state: "invalid-contract", title: "Invalid contract", text, parts: ["retry", "other-row"] };
    }
  }
}

/** Says that something is going on. */
export function busy(title: string, text = ""): void {
  show({ state: "busy", title, text, busy: true });
}

export function fail(error: unknown): void {
  const text = words(error);
  // Once is enough.
  if (element("notice").textContent === text) notice();
  show({ state: "error", title: "Something is not right", text, parts: ["retry"] });
}

/** Lets the page find the wallet that a development chain offers, if this is one. Its script is a file of its own. */
export async function findThrowaway(chain: DevChain | undefined): Promise<void> {
  if (!chain) return;
  const script = "/js/microraiden/throwaway.js?v={version}";
  const { announce } = (await import(script)) as typeof import("./throwaway.js");
  announce(chain);
}

function showAccount(here: Connection): void {
  const { accounts, account } = here;
  const select = element<HTMLSelectElement>("account");
  const short = (address: string) => `${address.slice(0, 6)}…${address.slice(-4)}`;
  select.replaceChildren(...accounts.map((address) => new Option(short(address), address, false, address === account)));
  select.disabled = accounts.length < 2;
  setText("balance", here.amount(here.balance));
}
