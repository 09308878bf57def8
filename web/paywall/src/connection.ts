// A wallet, one of its accounts, and the channel class over both.

import type { Address } from "viem";
import { MicroRaiden, type MicroTokenInfo, type Wallet } from "../../client/src/index.js";

/** Where to connect to. */
export interface Place {
  contract: Address;
  token: Address;
  chainId: number;
  symbol: string;
  decimals: number;
}

/** How a wallet says that it does not know a network (EIP-3085). */
const UNKNOWN_NETWORK = 4902;

/** A wallet that was chosen. */
export class Connection {
  readonly raiden: MicroRaiden;
  accounts: Address[] = [];
  account: Address | undefined;
  /** What {@link look} saw. */
  token: MicroTokenInfo | undefined;

  constructor(
    readonly wallet: Wallet,
    readonly place: Place,
    startBlock: number,
    onTransaction: () => void,
  ) {
    const { contract, token } = place;
    this.raiden = new MicroRaiden(wallet.provider, contract, undefined, token, undefined, startBlock, { onTransaction });
  }

  /** Calls back when the wallet's user has chosen other accounts or another network; gives what ends that. */
  listen(changed: () => void): () => void {
    const { provider } = this.wallet;
    const accounts = (now: readonly string[]) => {
      const isSame = now.length === this.accounts.length && now.every((address) => this.accounts.some((known) => same(known, address)));
      if (!isSame) changed();
    };
    provider.on?.("accountsChanged", accounts);
    provider.on?.("chainChanged", changed);
    return () => {
      provider.removeListener?.("accountsChanged", accounts);
      provider.removeListener?.("chainChanged", changed);
    };
  }

  /** Asks for accounts: the wallet's user, or only for what was allowed before. */
  async open(ask: boolean): Promise<void> {
    this.accounts = ask ? await this.raiden.requestAccounts() : await this.raiden.getAccounts();
    const { account } = this;
    this.account = this.accounts.find((known) => account && same(known, account)) ?? this.accounts[0];
  }

  async isOnNetwork(): Promise<boolean> {
    return Number(await this.wallet.provider.request({ method: "eth_chainId" })) === this.place.chainId;
  }

  async blockNumber(): Promise<number> {
    return Number(await this.wallet.provider.request({ method: "eth_blockNumber" }));
  }

  /** Asks the wallet to go to the network of the contract. */
  async switchNetwork(): Promise<void> {
    const chainId = `0x${this.place.chainId.toString(16)}`;
    try {
      await this.wallet.provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
    } catch (error) {
      if ((error as { code?: unknown }).code !== UNKNOWN_NETWORK) throw error;
      const id = this.place.chainId;
      throw new Error(`Your wallet does not know this network. Add the network with chain ID ${id} to it, then try again.`);
    }
  }

  /** Looks at what the account owns. */
  async look(): Promise<MicroTokenInfo> {
    this.token = await this.raiden.getTokenInfo(this.account);
    return this.token;
  }

  /** What the account owned when it was looked at, in base units. */
  get balance(): bigint {
    return this.token?.balance ?? 0n;
  }

  get symbol(): string {
    return this.token?.symbol || this.place.symbol;
  }

  /** Base units as text with the token's symbol. */
  amount(value: bigint): string {
    return `${this.raiden.tkn2num(value)} ${this.symbol}`.trim();
  }

  /** Asks the wallet to show the token among those of its user. */
  async watchToken(): Promise<void> {
    const { symbol, place } = this;
    const options = { address: place.token, symbol, decimals: this.token?.decimals ?? place.decimals };
    await this.wallet.provider.request({ method: "wallet_watchAsset", params: { type: "ERC20", options } });
  }
}

const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();
