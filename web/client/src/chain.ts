// Access to the chain through a wallet: reading, searching for events, sending transactions and waiting for them.

import { createClient, custom, type Abi, type Address, type Client, type Hex, type TransactionReceipt } from "viem";
import {
  call,
  estimateContractGas,
  getBlockNumber,
  getContractEvents,
  readContract,
  waitForTransactionReceipt,
  writeContract,
} from "viem/actions";
import { decodeFunctionResult, encodeFunctionData } from "viem/utils";
import { MicroRaidenError, isRevert, wrapped } from "./errors.js";
import type { Eip1193Provider } from "./wallets.js";

/** A contract, and its interface. */
export interface Contract {
  address: Address;
  abi: Abi;
}

/** What a transaction needs to be sent: a function of the contract or the token. */
export interface Transaction {
  at: Contract;
  functionName: string;
  args: readonly unknown[];
  value?: bigint;
}

/** How much more gas a transaction may use than was estimated, in percent: what it meets may have changed until it is mined. */
const GAS_MARGIN = 25n;
/** The range of blocks that is not split any more in a search for events: every node searches as many at once. */
const MIN_RANGE = 10n;

/** The chain as a wallet shows it. All methods reject with {@link MicroRaidenError}. */
export class Chain {
  readonly client: Client;

  /** @param onTransaction called with the hash of each transaction that the wallet has sent, before it is mined */
  constructor(
    readonly provider: Eip1193Provider,
    pollingInterval: number,
    readonly onTransaction: (hash: Hex) => void,
  ) {
    const transport = custom(provider as never, { retryCount: 0 });
    // No contract may send the page to another host (`ccipRead`).
    this.client = createClient({ transport, pollingInterval, cacheTime: 0, ccipRead: false });
  }

  /** Asks the provider, and says what went wrong. */
  async ask(method: string, params: unknown[]): Promise<unknown> {
    return this.provider.request({ method, params }).catch((error: unknown) => {
      throw wrapped(error, method);
    });
  }

  /** The result of a function that changes nothing. */
  async read<T>(functionName: string, args: readonly unknown[], { address, abi }: Contract): Promise<T> {
    try {
      return (await readContract(this.client, { address, abi, functionName, args })) as T;
    } catch (error) {
      throw wrapped(error, functionName);
    }
  }

  /** The newest block. */
  async blockNumber(): Promise<number> {
    return Number(
      await getBlockNumber(this.client, { cacheTime: 0 }).catch((error: unknown) => {
        throw wrapped(error, "eth_blockNumber");
      }),
    );
  }

  /** Events of a contract from a block on, in their order. A node that does not search so many blocks at once is asked for fewer. */
  async events({ address, abi }: Contract, eventName: string, args: Record<string, unknown>, from: number) {
    const search = async (fromBlock: bigint, toBlock: bigint): Promise<{ blockNumber: bigint }[]> => {
      try {
        return await getContractEvents(this.client, { address, abi, eventName, args, fromBlock, toBlock });
      } catch (error) {
        if (toBlock - fromBlock < MIN_RANGE) throw wrapped(error, eventName);
        const middle = (fromBlock + toBlock) / 2n;
        return [...(await search(fromBlock, middle)), ...(await search(middle + 1n, toBlock))];
      }
    };
    return search(BigInt(from), BigInt(await this.blockNumber()));
  }

  /** Whether a transfer would be made, and be said to be: what the ABI has is no evidence of what the token can do. */
  async takes(account: Address, { at, functionName, args }: Transaction): Promise<boolean> {
    const hasIt = at.abi.some((item) => item.type === "function" && item.name === "transfer" && item.inputs.length === 3);
    if (!hasIt) return false;
    const data = encodeFunctionData({ abi: at.abi, functionName, args });
    try {
      const result = await call(this.client, { account, to: at.address, data });
      return result.data !== undefined && decodeFunctionResult({ abi: at.abi, functionName, args, data: result.data }) === true;
    } catch {
      return false;
    }
  }

  /**
   * Has a transaction sent by the wallet. It is tried before on the pending block: a contract that would refuse it is not
   * asked, and the reason is told.
   */
  async send(account: Address, { at, functionName, args, value }: Transaction): Promise<Hex> {
    const transaction = { ...at, account, functionName, args, ...(value !== undefined && { value }) };
    try {
      const gas = await estimateContractGas(this.client, { ...transaction, blockTag: "pending" } as never);
      const limit = gas + (gas * GAS_MARGIN) / 100n;
      const hash = await writeContract(this.client, { ...transaction, chain: null, gas: limit } as never);
      this.onTransaction(hash);
      return hash;
    } catch (error) {
      throw isRevert(error)
        ? new MicroRaidenError("transaction-failed", wrapped(error, functionName).message, { cause: error })
        : wrapped(error, functionName);
    }
  }

  /**
   * Waits until a transaction, or the same at another price, is mined and `above` blocks lie above it. One that was cancelled
   * in the wallet, or gave way to another, has failed.
   */
  async mined(hash: Hex, above = 0): Promise<TransactionReceipt> {
    let isDropped = false;
    const receipt = await waitForTransactionReceipt(this.client, {
      hash,
      confirmations: above + 1,
      timeout: 0,
      retryCount: Infinity,
      retryDelay: this.client.pollingInterval,
      onReplaced: ({ reason }) => (isDropped = reason !== "repriced"),
    }).catch((error: unknown) => {
      throw wrapped(error, "transaction");
    });
    if (isDropped) throw new MicroRaidenError("transaction-failed", `Transaction ${hash} was replaced by another one`);
    if (receipt.status !== "success") {
      throw new MicroRaidenError("transaction-failed", `Transaction ${receipt.transactionHash} was mined and has failed`);
    }
    return receipt;
  }
}
