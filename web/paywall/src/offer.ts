// What the 402 says, as the server wrote it into the page.

import type { Address, Hex } from "viem";
import { reviveAmount } from "../../client/src/index.js";

/** What is sold here, by whom, and what was wrong with the payment that this page answers. */
export interface Offer {
  /** In base units. */
  price: bigint;
  symbol: string;
  decimals: number;
  receiver: Address;
  contract: Address;
  token: Address;
  /** Where the receiver's REST interface begins. */
  gateway: string;
  chainId: number;
  /** Of the request. */
  method: string;
  /** The code of the refusal; `undefined` when nothing was paid. */
  error: string | undefined;
  /** A page of another site has led here: nothing is paid without a click. */
  crossSite: boolean;
  /** Only on development chains: there is a wallet in the page. */
  devChain: DevChain | undefined;
}

/** A development chain that the server lets the page use. */
export interface DevChain {
  /** Where its node answers, on this host. */
  url: string;
  /** The key of an account with ether, which everybody knows. */
  funder: Hex;
}

/** The offer of the page `document`. */
export function readOffer(): Offer {
  const text = document.getElementById("offer")?.textContent ?? "{}";
  const { price, error, crossSite, devChain, ...rest } = JSON.parse(text) as Record<string, unknown>;
  return {
    ...(rest as unknown as Offer),
    price: reviveAmount(price) ?? 0n,
    error: error as string | undefined,
    crossSite: crossSite === true,
    devChain: devChain as DevChain | undefined,
  };
}
