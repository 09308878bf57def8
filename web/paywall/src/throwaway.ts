// A wallet in the page, for development chains only: its key lies open in this browser, and it signs without asking.

import { createClient, custom, type Address, type Hex, type TransactionRequest } from "viem";
import { generatePrivateKey, privateKeyToAccount, type PrivateKeyAccount } from "viem/accounts";
import { getBalance, sendTransaction, waitForTransactionReceipt } from "viem/actions";
import { nodeProvider, typedSignatureHash, type Eip1193Provider, type TypedEntry } from "../../client/src/index.js";
import type { DevChain } from "./offer.js";

/** What it is known by to the page. */
export const RDNS = "microraiden.throwaway";
const KEY = "microraiden|throwaway";
/** What it is given when it has less than half of it, in wei: ten ether. */
const GIFT = 10_000_000_000_000_000_000n;

const ICON =
  "data:image/svg+xml," +
  encodeURIComponent(
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='8' fill='#8a4b00'/>" +
      "<path d='M8 12h16l-2 13H10zM12 12V8h8v4' fill='none' stroke='white' stroke-width='2'/></svg>",
  );

/** Lets the page find the wallet as it finds any other (EIP-6963). */
export function announce(chain: DevChain): void {
  const detail = Object.freeze({
    info: Object.freeze({ uuid: RDNS, name: "Throw-away wallet, to try it", icon: ICON, rdns: RDNS }),
    provider: provider(chain),
  });
  const tell = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", tell);
  tell();
}

/** The key of this browser; made when it is first asked for. */
function account(): PrivateKeyAccount {
  const key = localStorage.getItem(KEY) ?? generatePrivateKey();
  localStorage.setItem(KEY, key);
  return privateKeyToAccount(key as Hex);
}

function provider({ url, funder }: DevChain): Eip1193Provider {
  const node = nodeProvider(url);
  const client = createClient({ transport: custom(node as never, { retryCount: 0 }), pollingInterval: 200, cacheTime: 0 });
  const own = account();
  let isConnected = localStorage.getItem(`${KEY}|connected`) !== null;

  /** Gives it ether for gas and test tokens. */
  async function fund(): Promise<void> {
    if ((await getBalance(client, { address: own.address })) > GIFT / 2n) return;
    const rich = privateKeyToAccount(funder);
    const hash = await sendTransaction(client, { account: rich, to: own.address, value: GIFT, chain: null });
    await waitForTransactionReceipt(client, { hash });
  }

  const accounts = (): Address[] => (isConnected ? [own.address] : []);
  const methods: Record<string, (params: never) => unknown> = {
    eth_accounts: accounts,
    eth_requestAccounts: async () => {
      await fund();
      isConnected = true;
      localStorage.setItem(`${KEY}|connected`, "");
      return accounts();
    },
    eth_sendTransaction: ([{ to, data, gas, value }]: [TransactionRequest]) =>
      sendTransaction(client, {
        account: own,
        chain: null,
        ...(to && { to }),
        ...(data && { data }),
        ...(gas && { gas: BigInt(gas) }),
        ...(value && { value: BigInt(value) }),
      }),
    eth_signTypedData: ([entries]: [TypedEntry[]]) => own.sign({ hash: typedSignatureHash(entries) }),
    personal_sign: ([message]: [Hex]) => own.signMessage({ message: { raw: message } }),
    wallet_watchAsset: () => true,
  };
  return {
    async request({ method, params = [] }) {
      const known = Object.hasOwn(methods, method) ? methods[method] : undefined;
      return known ? known(params as never) : node.request({ method, params });
    },
  };
}
