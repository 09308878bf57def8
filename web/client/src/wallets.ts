// Wallets in the browser: EIP-1193 providers, found by EIP-6963, or at `window.ethereum` as before it.

import { MicroRaidenError } from "./errors.js";

/** What a wallet gives a page (EIP-1193). */
export interface Eip1193Provider {
  request(request: { method: string; params?: unknown }): Promise<unknown>;
  on?(event: string, listener: (...values: never[]) => void): unknown;
  removeListener?(event: string, listener: (...values: never[]) => void): unknown;
}

/** A wallet that has announced itself. */
export interface Wallet {
  /** What it calls itself; whatever it likes. */
  name: string;
  /** What names it for good, such as `io.example.wallet`; it is not proved. */
  rdns: string;
  /** A picture as a `data:` URL; empty without one. */
  icon: string;
  provider: Eip1193Provider;
}

interface Announcement {
  info: { uuid: string; name: string; icon: string; rdns: string };
  provider: Eip1193Provider;
}

/** The name of what stands at `window.ethereum` and does not announce itself. */
export const INJECTED = "injected";

/**
 * Asks all wallets to announce themselves, and goes on listening: `found` is called with all wallets whenever one more is
 * there. A wallet that is only at `window.ethereum` counts when none has announced itself in a while.
 *
 * @returns a function that ends it.
 */
export function discoverWallets(found: (wallets: Wallet[]) => void, patience = 400): () => void {
  const wallets = new Map<string, Wallet>();
  const add = (id: string, wallet: Wallet) => {
    if (wallets.has(id)) return;
    wallets.set(id, wallet);
    found([...wallets.values()]);
  };
  const announced = (event: Event) => {
    const { info, provider } = (event as CustomEvent<Announcement>).detail ?? {};
    if (!info?.uuid || typeof provider?.request !== "function") return;
    const icon = String(info.icon ?? "").startsWith("data:image/") ? info.icon : "";
    add(info.uuid, { name: String(info.name), rdns: String(info.rdns), icon, provider });
  };
  window.addEventListener("eip6963:announceProvider", announced);
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  const timer = setTimeout(() => {
    const { ethereum } = window as { ethereum?: Eip1193Provider };
    const isKnown = [...wallets.values()].some(({ provider }) => provider === ethereum);
    if (typeof ethereum?.request === "function" && !isKnown && wallets.size === 0) {
      add(INJECTED, { name: "Wallet in this browser", rdns: INJECTED, icon: "", provider: ethereum });
    }
  }, patience);
  return () => {
    clearTimeout(timer);
    window.removeEventListener("eip6963:announceProvider", announced);
  };
}

interface NodeError {
  code: number;
  message: string;
  /** What a contract that said no has returned. */
  data?: unknown;
}

/** A node's address as a provider; its own accounts sign, as a development node's do. */
export function nodeProvider(url: string): Eip1193Provider {
  let id = 0;
  return {
    async request({ method, params = [] }) {
      const body = JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params });
      const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const { result, error } = (await response.json()) as { result?: unknown; error?: NodeError };
      if (error) throw Object.assign(new Error(error.message), { code: error.code, data: error.data });
      return result;
    },
  };
}

/** What the class of 2018 took: a node's address, a provider, or something that holds one. */
export type ProviderSource = string | Eip1193Provider | { currentProvider: Eip1193Provider } | null | undefined;

/** @throws MicroRaidenError `invalid-provider` */
export function providerOf(source: ProviderSource): Eip1193Provider {
  if (!source) return nodeProvider("http://localhost:8545");
  if (typeof source === "string") return nodeProvider(source);
  const provider = (source as { currentProvider?: Eip1193Provider }).currentProvider ?? (source as Eip1193Provider);
  if (typeof provider.request !== "function") throw new MicroRaidenError("invalid-provider", "Invalid web3 provider");
  return provider;
}
