// What the page remembers between two visits, beside channels.

const AGE = 30_000;
const ATTEMPT = "microraiden|attempt";
const WALLET = "microraiden|wallet";

/** The wallet that was used last, by its `rdns`. */
export const lastWallet = {
  get: () => localStorage.getItem(WALLET),
  set: (rdns: string) => localStorage.setItem(WALLET, rdns),
  forget: () => localStorage.removeItem(WALLET),
};

/** How often this page was paid for just now, in this tab: a payment that does not bring the page must not go on by itself. */
export const attempts = {
  count(): number {
    try {
      const { url, count, at } = JSON.parse(sessionStorage.getItem(ATTEMPT) ?? "{}") as Record<string, unknown>;
      return url === location.href && Date.now() - Number(at) < AGE ? Number(count) : 0;
    } catch {
      return 0;
    }
  },
  add(): void {
    const attempt = { url: location.href, count: this.count() + 1, at: Date.now() };
    sessionStorage.setItem(ATTEMPT, JSON.stringify(attempt));
  },
};

/** Up to which price pages of a receiver are paid for without asking, in base units of a token. */
export class AutoPay {
  readonly #name: string;

  constructor(receiver: string, token: string) {
    this.#name = `microraiden|auto|${receiver}|${token}`.toLowerCase();
  }

  allows(price: bigint): boolean {
    const most = localStorage.getItem(this.#name);
    return most !== null && /^\d+$/.test(most) && price <= BigInt(most);
  }

  set(price: bigint | undefined): void {
    if (price === undefined) localStorage.removeItem(this.#name);
    else if (!this.allows(price)) localStorage.setItem(this.#name, price.toString());
  }
}
