import {
  encodePacked,
  isAddressEqual,
  isHex,
  stringToHex,
  type Abi,
  type Address,
  type Client,
  type Hex,
  type TransactionReceipt,
} from "viem";
import { contractAbi, tokenAbi } from "./abi.js";
import { checkBalance, formatAmount, parseAmount } from "./amounts.js";
import { balanceProof, closingMessage, signer, typedSignatureHash } from "./balance-proof.js";
import { Chain, type Transaction } from "./chain.js";
import type { MicroChannel, MicroChannelInfo, MicroProof, MicroTokenInfo } from "./channel.js";
import { InsufficientFundsError, MicroRaidenError, isDenied, isRevert, isUnsupported } from "./errors.js";
import * as stored from "./storage.js";
import type { TextStorage } from "./storage.js";
import { providerOf, type Eip1193Provider, type ProviderSource } from "./wallets.js";

/** What a class of its own may need to be told. */
export interface Options {
  /** Where channels are kept; the page's `localStorage` without it. */
  storage?: TextStorage;
  /** How often the node is asked for what is waited for, in milliseconds. */
  pollingInterval?: number;
  /** Called with the hash of each transaction that the wallet has sent, before it is mined. */
  onTransaction?: (hash: Hex) => void;
}

/** Development chains and public test networks: the same as in the Rust program. */
const PLAY_MONEY_CHAINS = [1337, 31337, 5, 17_000, 560_048, 11_155_111];
/** What minting test tokens costs, in wei: 0.1 ether. */
const MINT_PRICE = 100_000_000_000_000_000n;

/**
 * A sender's channel to one receiver: it is opened, paid with by signing, topped up, closed and settled.
 *
 * Order of calls: {@link getChallengePeriod} shows that the contract is there; {@link getTokenInfo} gives the decimals; then
 * {@link loadStoredChannel}, or {@link loadChannelFromBlockchain}, or {@link openChannel}; then the rest. One channel is
 * current at a time. Amounts are base units as `bigint`.
 *
 * What was signed is in storage before it is returned. All methods reject with {@link MicroRaidenError}.
 */
export class MicroRaiden {
  readonly provider: Eip1193Provider;
  /** Chain access by viem, through the provider. */
  readonly client: Client;
  readonly contract: { address: Address; abi: Abi };
  readonly token: { address: Address; abi: Abi };
  /** The block from which events are searched: that of the contract's deployment, or 0. */
  readonly startBlock: number;
  /** The current channel. */
  channel: MicroChannel | undefined;
  /** The token's decimals, once {@link getTokenInfo} was called. */
  decimals = 0;
  /** The challenge period in blocks, once {@link getChallengePeriod} was called. */
  challenge = 0;
  /** The network, once {@link getChallengePeriod} was called. */
  chainId: number | undefined;
  readonly #storage: TextStorage;
  readonly #chain: Chain;

  /**
   * @param web3 a wallet's provider (EIP-1193), an object that has it as `currentProvider`, or a node's URL
   * @throws MicroRaidenError `invalid-provider`
   */
  constructor(
    web3: ProviderSource,
    contractAddr: Address,
    contractABI: Abi = contractAbi,
    tokenAddr: Address,
    tokenABI: Abi = tokenAbi,
    startBlock = 0,
    { storage, pollingInterval = 1_000, onTransaction = () => {} }: Options = {},
  ) {
    this.provider = providerOf(web3);
    this.#chain = new Chain(this.provider, pollingInterval, onTransaction);
    this.client = this.#chain.client;
    this.contract = { address: contractAddr, abi: contractABI };
    this.token = { address: tokenAddr, abi: tokenABI };
    this.startBlock = startBlock;
    this.#storage = storage ?? globalThis.localStorage;
  }

  /** Reads tokens as base units; nothing is 0. Exact: see {@link parseAmount}. */
  num2tkn(value?: string | number): bigint {
    return value === undefined ? 0n : parseAmount(String(value), this.decimals);
  }

  /** Writes base units as tokens, exactly. */
  tkn2num(amount: bigint): string {
    return formatAmount(amount, this.decimals);
  }

  // ------------------------------------------------------------------------------------------- Network, accounts, token

  /**
   * The challenge period in blocks. It shows that the contract is on the wallet's network.
   *
   * @throws MicroRaidenError `invalid-contract`
   */
  async getChallengePeriod(): Promise<number> {
    const chainId = Number(await this.#chain.ask("eth_chainId", []));
    const challenge = await this.#chain.read<number>("challenge_period", [], this.contract).catch((cause: unknown) => {
      throw new MicroRaidenError("invalid-contract", "Invalid challenge: no channel contract on this network", { cause });
    });
    if (!(challenge > 0)) throw new MicroRaidenError("invalid-contract", "Invalid challenge");
    // Who names both could have other tokens shown than those that are paid.
    const token = await this.#chain.read<Address>("token", [], this.contract);
    if (!isAddressEqual(token, this.token.address)) {
      throw new MicroRaidenError("invalid-contract", `The deposits of this contract are made of another token: ${token}`);
    }
    this.chainId = chainId;
    this.challenge = challenge;
    return challenge;
  }

  /** The accounts that the wallet shows to this page; none until it is connected ({@link requestAccounts}). */
  async getAccounts(): Promise<Address[]> {
    return (await this.#chain.ask("eth_accounts", [])) as Address[];
  }

  /** Asks the wallet's user to connect accounts. A provider without such a question gives those that it has. */
  async requestAccounts(): Promise<Address[]> {
    try {
      return (await this.#chain.ask("eth_requestAccounts", [])) as Address[];
    } catch (error) {
      if (isUnsupported(error)) return this.getAccounts();
      throw error;
    }
  }

  /** The token, and what an account owns of it. */
  async getTokenInfo(account?: Address): Promise<MicroTokenInfo> {
    const read = <T>(functionName: string, args: readonly unknown[]) => this.#chain.read<T>(functionName, args, this.token);
    const [name, symbol, decimals, balance] = await Promise.all([
      read<string>("name", []).catch(() => ""),
      read<string>("symbol", []).catch(() => ""),
      read<number>("decimals", []).catch((error: unknown) => {
        // A token without decimals is counted in base units.
        if (isRevert(error)) return 0;
        throw error;
      }),
      account ? read<bigint>("balanceOf", [account]) : 0n,
    ]);
    this.decimals = decimals;
    return { name, symbol, decimals, balance };
  }

  /** Whether the token is one for testing, which {@link buyToken} mints: never on a network where ether is worth something. */
  async canBuyToken(): Promise<boolean> {
    if (this.chainId === undefined) await this.getChallengePeriod();
    if (!PLAY_MONEY_CHAINS.includes(this.chainId ?? 0)) return false;
    return this.#chain.read<bigint>("multiplier", [], this.token).then(
      () => true,
      () => false,
    );
  }

  /**
   * Mints 50 test tokens for 0.1 ether, and waits until a block lies above.
   *
   * @throws MicroRaidenError `transaction-failed`, also for tokens that are not for testing
   */
  async buyToken(account: Address): Promise<TransactionReceipt> {
    const mint = { at: this.token, functionName: "mint", args: [], value: MINT_PRICE };
    return this.#chain.mined(await this.#send(account, mint), 1);
  }

  // -------------------------------------------------------------------------------------------- Which channel is current

  /** Makes the channel that is in storage the current one; `false`, and none is current, when there is none. */
  loadStoredChannel(account: Address, receiver: Address): boolean {
    this.channel = stored.load(this.#storage, account, receiver, this.#home());
    return this.channel !== undefined;
  }

  /** Removes the current channel from storage. Its balance can be learnt again only from the receiver. */
  forgetStoredChannel(): void {
    if (this.channel) stored.forget(this.#storage, this.channel, this.#home());
    this.channel = undefined;
  }

  /** Makes a channel the current one, and keeps it. */
  setChannel(channel: MicroChannel): void {
    stored.save(this.#storage, channel, this.#home());
    this.channel = channel;
  }

  /** Whether a channel, by default the current one, has all its parts. */
  isChannelValid(channel: MicroChannel | undefined = this.channel): channel is MicroChannel {
    return Boolean(channel?.receiver && channel.block && channel.proof && channel.account);
  }

  /**
   * Makes a channel that the chain knows the current one, at balance 0: sign that, and the receiver says what it is. Open
   * channels come first; those whose challenge period runs are left out.
   *
   * @throws MicroRaidenError `channel-not-found`
   */
  async loadChannelFromBlockchain(account: Address, receiver: Address): Promise<void> {
    const parties = { _sender_address: account, _receiver_address: receiver };
    const created = await this.#chain.events(this.contract, "ChannelCreated", parties, this.startBlock);
    if (created.length === 0) {
      throw new MicroRaidenError("channel-not-found", "No channel found for this account");
    }
    const current = await this.#chain.blockNumber();
    let closed: number | undefined;
    for (const block of created.map(({ blockNumber }) => Number(blockNumber))) {
      const info = await this.#infoOnChain({ account, receiver, block });
      if (info?.state === "opened") return this.setChannel({ account, receiver, block, proof: { balance: 0n } });
      if (info?.state === "closed" && current >= info.block + this.challenge) closed ??= block;
    }
    if (closed === undefined) {
      throw new MicroRaidenError("channel-not-found", `No open and valid channels found from ${created.length}`);
    }
    this.setChannel({ account, receiver, block: closed, proof: { balance: 0n } });
  }

  /**
   * A channel, by default the current one, as the chain has it.
   *
   * @throws MicroRaidenError `no-channel`, or `channel-not-found` when the chain has no such channel
   */
  async getChannelInfo(channel: MicroChannel | undefined = this.channel): Promise<MicroChannelInfo> {
    if (!this.isChannelValid(channel)) throw new MicroRaidenError("no-channel", "No valid channelInfo");
    const info = await this.#infoOnChain(channel);
    if (info) {
      if (info.deposit > 0n) return info;
      throw new MicroRaidenError("channel-not-found", `Invalid channel deposit: ${info.deposit}`);
    }
    const settled = await this.#chain.events(
      this.contract,
      "ChannelSettled",
      { _sender_address: channel.account, _receiver_address: channel.receiver, _open_block_number: channel.block },
      channel.block,
    );
    const last = settled.at(-1);
    if (!last) throw new MicroRaidenError("channel-not-found", "Invalid channel deposit: the contract knows no such channel");
    return { state: "settled", block: Number(last.blockNumber), deposit: 0n, withdrawn: 0n };
  }

  // ----------------------------------------------------------------------------------------------------------- On chain

  /**
   * Deposits `deposit` base units in a new channel and makes it the current one, once a block lies above. In one transaction
   * where the token can (ERC223), otherwise in two.
   *
   * @throws MicroRaidenError `not-enough-tokens`, or `invalid-amount` for what the contract does not take, before anything is sent
   */
  async openChannel(account: Address, receiver: Address, deposit: bigint): Promise<void> {
    await this.#checkDeposit(account, deposit);
    const data = encodePacked(["address", "address"], [account, receiver]);
    const create = { at: this.contract, functionName: "createChannel", args: [receiver, deposit] };
    const receipt = await this.#deposit(account, deposit, data, create);
    const channel = { account, receiver, block: Number(receipt.blockNumber), proof: { balance: 0n } };
    const info = await this.#infoOnChain(channel);
    if (!info || info.deposit <= 0n) throw new MicroRaidenError("channel-not-found", "No deposit found!");
    this.setChannel(channel);
  }

  /** Adds `deposit` base units to the current channel and waits until a block lies above; gives the transaction's hash. */
  async topUpChannel(deposit: bigint): Promise<Hex> {
    const { account, receiver, block } = this.#current();
    const { state, deposit: held } = await this.getChannelInfo();
    if (state !== "opened") throw new MicroRaidenError("wrong-state", `Tried topping up ${state} channel`);
    await this.#checkDeposit(account, deposit, held);
    const data = encodePacked(["address", "address", "uint32"], [account, receiver, block]);
    const topUp = { at: this.contract, functionName: "topUp", args: [receiver, block, deposit] };
    return (await this.#deposit(account, deposit, data, topUp)).transactionHash;
  }

  /**
   * Closes the current channel at `proof.balance`: for good with the receiver's closing signature, or with one for this
   * balance that is in the channel already; otherwise on the sender's word, and the challenge period begins. Gives the
   * transaction's hash once it is mined.
   *
   * @throws MicroRaidenError `invalid-signature` when `closingSig` is not the receiver's for this balance
   */
  async closeChannel(closingSig?: Hex): Promise<Hex> {
    const { state, withdrawn } = await this.getChannelInfo();
    if (state !== "opened") throw new MicroRaidenError("wrong-state", "Tried closing already closed channel");
    const channel = this.#current();
    const signature = await this.#agreement(channel, closingSig);
    if (!signature) {
      // Below what was withdrawn the contract pays no less, and the close would look like a lie.
      const { balance } = channel.proof;
      return this.#close("uncooperativeClose", [channel.receiver, channel.block, balance > withdrawn ? balance : withdrawn]);
    }
    this.setChannel({ ...channel, closing_sig: signature });
    const { balance, sig } = channel.proof.sig ? channel.proof : await this.signNewProof();
    return this.#close("cooperativeClose", [channel.receiver, channel.block, balance, sig, signature]);
  }

  /** Settles the current channel once its challenge period is over; gives the transaction's hash once it is mined. */
  async settleChannel(): Promise<Hex> {
    const { state, block } = await this.getChannelInfo();
    if (state !== "closed") {
      throw new MicroRaidenError("wrong-state", `Tried settling opened or settled channel: ${state}`);
    }
    if (this.challenge === 0) await this.getChallengePeriod();
    const current = await this.#chain.blockNumber();
    const over = block + this.challenge;
    if (current < over) {
      throw new MicroRaidenError(
        "inside-challenge-period",
        `Tried settling inside challenge period: ${current} < ${over}`,
      );
    }
    const channel = this.#current();
    return this.#close("settle", [channel.receiver, channel.block]);
  }

  // ------------------------------------------------------------------------------------------------------------ Signing

  /** Signs text, or bytes as hex, with the current account: by `personal_sign`, or by `eth_sign` where there is none. */
  async signMessage(msg: string): Promise<Hex> {
    const { account } = this.#current();
    const hex = isHex(msg) ? msg : stringToHex(msg);
    try {
      return (await this.#chain.ask("personal_sign", [hex, account])) as Hex;
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      return (await this.#chain.ask("eth_sign", [account, hex])) as Hex;
    }
  }

  /**
   * Signs a balance of the current channel, by default its own, and keeps it as `next_proof` (and as `proof` when that has
   * the same balance). What is signed already is given again.
   *
   * @throws MicroRaidenError `user-denied`; `invalid-signature` when the wallet signed with another key, or something else;
   *   `invalid-amount` for what cannot be a balance
   */
  async signNewProof(proof?: MicroProof): Promise<MicroProof & { sig: Hex }> {
    const channel = this.#current();
    const { balance, sig } = proof ?? channel.proof;
    const known = sig ?? this.#signatureFor(balance);
    if (known) return { balance, sig: known };
    checkBalance(balance);
    const message = balanceProof(channel.receiver, this.#place(balance));
    const signature = await this.#signTyped(channel.account, message);
    const by = await signer(message, signature);
    if (!by || !isAddressEqual(by, channel.account)) {
      throw new MicroRaidenError(
        "invalid-signature",
        `Invalid recovered signature: ${by ?? "none"} instead of ${channel.account}. Does the wallet support eth_signTypedData version 1?`,
      );
    }
    const signed = { balance, sig: signature };
    // What was current when the wallet was asked may not be any more: then another tab has signed.
    const now = this.channel === channel ? channel : this.#current();
    const isSame = now.block === channel.block && isAddressEqual(now.account, channel.account);
    if (!isSame) throw new MicroRaidenError("no-channel", "The channel was changed while the wallet was asked to sign");
    this.setChannel({ ...now, next_proof: signed, ...(now.proof.balance === balance && { proof: signed }) });
    return signed;
  }

  /**
   * Signs what is owed after paying `amount` more; 0 signs what is owed.
   *
   * @throws InsufficientFundsError when the deposit does not cover it; MicroRaidenError `wrong-state` when the channel is not open
   */
  async incrementBalanceAndSign(amount: bigint): Promise<MicroProof & { sig: Hex }> {
    const { state, deposit } = await this.getChannelInfo();
    if (state !== "opened") throw new MicroRaidenError("wrong-state", "Tried signing on closed channel");
    if (amount < 0n) throw new MicroRaidenError("invalid-amount", "A payment cannot be less than 0");
    const balance = this.#current().proof.balance + amount;
    if (balance > deposit) throw new InsufficientFundsError(deposit, balance);
    return this.signNewProof({ balance });
  }

  /**
   * The receiver has taken `proof`, the last that was signed: it becomes the channel's.
   *
   * @throws MicroRaidenError `invalid-proof` when another one was signed last
   */
  confirmPayment(proof: MicroProof): void {
    const channel = this.#current();
    if (!proof.sig || channel.next_proof?.sig !== proof.sig) {
      throw new MicroRaidenError("invalid-proof", "Invalid provided or stored next signature");
    }
    this.#take(channel.next_proof);
  }

  /**
   * Sets a balance that nobody has proved; its signature is dropped.
   *
   * @throws MicroRaidenError `invalid-amount` for what cannot be a balance
   */
  setBalance(value: bigint): void {
    checkBalance(value);
    this.#take({ balance: value });
  }

  /** Whether the current account has signed a proof, as the receiver says; then it becomes the channel's. */
  async verifyProof(proof: MicroProof): Promise<boolean> {
    const channel = this.#current();
    const by = proof.sig && (await signer(balanceProof(channel.receiver, this.#place(proof.balance)), proof.sig));
    if (!by || !isAddressEqual(by, channel.account)) return false;
    this.#take(proof);
    return true;
  }

  // -------------------------------------------------------------------------------------------------------------- Parts

  #home() {
    return { contract: this.contract.address, chainId: this.chainId };
  }

  #current(): MicroChannel {
    const { channel } = this;
    if (!this.isChannelValid(channel)) throw new MicroRaidenError("no-channel", "No valid channelInfo");
    return channel;
  }

  /** Makes a proof the channel's. An agreement to a close is kept only if it is for this balance. */
  #take(proof: MicroProof): void {
    const { next_proof: _, closing_sig, ...kept } = this.#current();
    const isAgreed = proof.balance === kept.proof.balance;
    this.setChannel({ ...kept, proof, ...(isAgreed && closing_sig && { closing_sig }) });
  }

  /** Where a message of the current channel belongs. */
  #place(balance: bigint) {
    return { block: this.#current().block, balance, contract: this.contract.address };
  }

  /** The signature for a balance that was signed before. */
  #signatureFor(balance: bigint): Hex | undefined {
    const { proof, next_proof } = this.#current();
    return [proof, next_proof].find((known) => known?.balance === balance && known.sig)?.sig;
  }

  /** The typed entries signed by the wallet; by the hash alone where the wallet does not know them. */
  async #signTyped(account: Address, entries: ReturnType<typeof balanceProof>): Promise<Hex> {
    try {
      return (await this.#chain.ask("eth_signTypedData", [entries, account])) as Hex;
    } catch (error) {
      // A wallet that puts a prefix before the hash signs something else; the caller's check finds that.
      if (isDenied(error) || !isUnsupported(error)) throw error;
      return this.signMessage(typedSignatureHash(entries));
    }
  }

  /** A channel as the contract has it; `undefined` when it has none, so also once it is settled. */
  async #infoOnChain({ account, receiver, block }: Omit<MicroChannel, "proof">): Promise<MicroChannelInfo | undefined> {
    if (this.challenge === 0) await this.getChallengePeriod();
    type Info = readonly [Hex, bigint, number, bigint, bigint];
    let info: Info;
    try {
      info = await this.#chain.read<Info>("getChannelInfo", [account, receiver, block], this.contract);
    } catch (error) {
      if (isRevert(error)) return undefined;
      throw error;
    }
    const [, deposit, settleBlock, , withdrawn] = info;
    return settleBlock === 0
      ? { state: "opened", block, deposit, withdrawn }
      : { state: "closed", block: settleBlock - this.challenge, deposit, withdrawn };
  }

  /** Whether an account can deposit so much more in a channel that has `held`: asked before it approves of anything. */
  async #checkDeposit(account: Address, deposit: bigint, held = 0n): Promise<void> {
    if (deposit <= 0n) throw new MicroRaidenError("invalid-amount", "A deposit must be more than 0");
    const limit = await this.#chain.read<bigint>("channel_deposit_bugbounty_limit", [], this.contract);
    if (held + deposit > limit) {
      throw new MicroRaidenError("invalid-amount", `A channel's deposit is at most ${this.tkn2num(limit)} tokens in all`);
    }
    const { balance } = await this.getTokenInfo(account);
    if (balance < deposit) {
      const amounts = `Token balance = ${this.tkn2num(balance)} , required = ${this.tkn2num(deposit)}`;
      throw new MicroRaidenError("not-enough-tokens", `Not enough tokens. ${amounts}`);
    }
  }

  /** Moves a deposit: by one ERC223 transfer with `data` where the token can make it, otherwise by approval and `pull`. */
  async #deposit(account: Address, deposit: bigint, data: Hex, pull: Transaction): Promise<TransactionReceipt> {
    const transfer = { at: this.token, functionName: "transfer", args: [this.contract.address, deposit, data] };
    if (await this.#chain.takes(account, transfer)) return this.#chain.mined(await this.#send(account, transfer), 1);
    const approval = { at: this.token, functionName: "approve", args: [this.contract.address, deposit] };
    const allowed = await this.#chain.read<bigint>("allowance", [account, this.contract.address], this.token);
    if (allowed < deposit) {
      // Some tokens change an allowance only from nothing.
      if (allowed > 0n) await this.#chain.mined(await this.#send(account, { ...approval, args: [this.contract.address, 0n] }));
      await this.#chain.mined(await this.#send(account, approval));
    }
    return this.#chain.mined(await this.#send(account, pull), 1);
  }

  /** The receiver's agreement to close at the channel's balance: that in the channel, if it is not for another balance, or the one given. */
  async #agreement(channel: MicroChannel, given: Hex | undefined): Promise<Hex | undefined> {
    const message = closingMessage(channel.account, this.#place(channel.proof.balance));
    for (const signature of [channel.closing_sig, given]) {
      const by = signature && (await signer(message, signature));
      if (by && isAddressEqual(by, channel.receiver)) return signature;
    }
    if (given === undefined) return undefined;
    throw new MicroRaidenError("invalid-signature", "Invalid closing signature: it is not the receiver's for this balance");
  }

  /** Has the wallet send a transaction, if it is on the network still. */
  async #send(account: Address, transaction: Transaction): Promise<Hex> {
    if (this.chainId !== undefined && Number(await this.#chain.ask("eth_chainId", [])) !== this.chainId) {
      throw new MicroRaidenError("wrong-state", "The wallet has changed to another network; nothing was sent");
    }
    return this.#chain.send(account, transaction);
  }

  async #close(functionName: string, args: readonly unknown[]): Promise<Hex> {
    const hash = await this.#send(this.#current().account, { at: this.contract, functionName, args });
    return (await this.#chain.mined(hash)).transactionHash;
  }
}
