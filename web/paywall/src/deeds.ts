// What a visitor can have done: pay, deposit, close, settle, forget, buy.

import { InsufficientFundsError, MicroRaidenError, type MicroChannelInfo } from "../../client/src/index.js";
import type { Books } from "./books.js";
import type { Connection } from "./connection.js";
import type { Offer } from "./offer.js";
import type { Receiver } from "./receiver.js";
import { ask, element, setText, show } from "./view.js";
import { busy, type Visit } from "./visit.js";
import { refusal, words } from "./words.js";

/** How a channel is closed: with the receiver's signature, without, or not at all. */
type Agreement = { signature: `0x${string}` } | "alone" | "not";

export class Deeds {
  /** The visitor has asked for this page: it is paid for as soon as that is possible. */
  isWanted = false;
  /** Something has failed or was declined: nothing happens without a click any more. */
  hasFailed = false;
  readonly #visit: Visit;
  readonly #receiver: Receiver;
  readonly #books: Books;
  readonly #offer: Offer;
  readonly #show: (here: Connection) => Promise<void>;

  /** @param show shows what has become of the channel */
  constructor(visit: Visit, receiver: Receiver, books: Books, offer: Offer, show: (here: Connection) => Promise<void>) {
    this.#visit = visit;
    this.#receiver = receiver;
    this.#books = books;
    this.#offer = offer;
    this.#show = show;
    visit.failed = () => {
      this.isWanted = false;
      this.hasFailed = true;
    };
  }

  /**
   * Signs the payment for this page, and loads it with that; gives what was signed to `paid` before.
   *
   * @param most the highest balance that may be signed, where only what was signed before may be repeated
   */
  async pay(paid: (balance: bigint) => void, most?: bigint): Promise<void> {
    const here = this.#visit.here();
    const isCurrent = this.#visit.watch();
    busy("Paying", "Your wallet may ask you to sign. That costs no fee.");
    try {
      // Two tabs must not sign the same balance for two pages.
      await alone(() => this.#sign(here, isCurrent, paid, most));
    } catch (error) {
      if (!(error instanceof InsufficientFundsError)) throw error;
      // The chain has changed since it was looked at; it says what is missing.
      this.isWanted = false;
      return this.#show(here);
    }
    if (isCurrent()) location.reload();
  }

  async #sign(here: Connection, isCurrent: () => boolean, paid: (balance: bigint) => void, most?: bigint): Promise<void> {
    if (!isCurrent()) return;
    const { raiden } = here;
    const { account, block } = raiden.channel ?? {};
    const isThere = account && raiden.loadStoredChannel(account, this.#offer.receiver);
    const { channel } = raiden;
    if (!isThere || channel?.block !== block || !channel) throw new Error("The channel was changed in another tab. Try again.");
    this.#books.known = await this.#receiver.channel(channel.account, channel.block);
    await this.#ask(here);
    if (this.#books.known?.state === "closed") throw new Error(refusal("close-promised"));
    const raise = this.#books.raise(this.#offer.price);
    if (most !== undefined && this.#books.balance(here) + raise > most) {
      throw new Error("The server has taken the last payment after all. Pay again if the page has not come.");
    }
    const proof = await raiden.incrementBalanceAndSign(raise);
    this.isWanted = false;
    if (!isCurrent()) return;
    paid(proof.balance);
    this.#receiver.pay(channel, proof, this.#offer.price);
  }

  /** Signs nothing for a channel that was found on chain again: then the server tells and proves its balance. */
  async #recover(here: Connection): Promise<void> {
    const { channel } = here.raiden;
    if (!channel || channel.proof.sig || channel.next_proof?.sig) return;
    this.#books.known ??= await this.#receiver.channel(channel.account, channel.block);
    if (this.#books.isLost(here)) await here.raiden.signNewProof();
  }

  /** Deposits what is in the form, in a new channel or in the one that is there. */
  async deposit(): Promise<void> {
    const here = this.#visit.here();
    const input = element<HTMLInputElement>("deposit");
    let amount: bigint;
    try {
      amount = here.raiden.num2tkn(input.value);
      if (amount === 0n) throw new MicroRaidenError("invalid-amount", "Deposit more than nothing.");
      if (amount > here.balance) throw new MicroRaidenError("invalid-amount", `This account owns ${here.amount(here.balance)}.`);
    } catch (error) {
      input.setAttribute("aria-invalid", "true");
      setText("deposit-hint", words(error));
      return input.focus();
    }
    await this.#visit.run(() => this.#send(here, amount));
  }

  async #send(here: Connection, amount: bigint): Promise<void> {
    const { raiden, account } = here;
    const isCurrent = this.#visit.watch();
    const title = raiden.channel ? "Topping up" : "Opening the channel";
    show({ state: "opening", title, text: "Confirm in your wallet.", busy: true });
    if (raiden.channel) await raiden.topUpChannel(amount);
    else if (account) await raiden.openChannel(account, this.#offer.receiver, amount);
    this.isWanted = true;
    if (isCurrent()) await this.#visit.refresh();
  }

  /** Closes the channel: by agreement, or on the sender's word alone if the visitor wants that. */
  async close(): Promise<void> {
    const here = this.#visit.here();
    const { raiden } = here;
    const books = this.#books;
    const isCurrent = this.#visit.watch();
    // A server that does not answer, or lies, keeps nobody from closing.
    let fault: unknown;
    // What is agreed already is not asked for again.
    if (!raiden.channel?.closing_sig) await this.#ask(here).catch((error: unknown) => (fault = error));
    if (!isCurrent()) return;
    // What was signed and never answered counts as taken.
    const { next_proof } = raiden.channel ?? {};
    if (fault !== undefined && next_proof?.sig) raiden.confirmPayment(next_proof);
    const spent = books.spent(here);
    const left = here.amount(books.deposit - spent);
    const isNew = spent === 0n && !raiden.channel?.proof.sig && !fault;
    const alone =
      `Then the receiver may object for ${raiden.challenge} blocks. After that you settle the channel here, and ` +
      `${left} of your deposit comes back to you.`;
    if (fault !== undefined || isNew) {
      // Of a channel that was never paid with the server has nothing to agree to.
      const why = isNew ? "Nothing was paid on it, so you close it alone." : `The server cannot be asked: ${words(fault)} You can close without it.`;
      if (!(await ask("Close the channel?", `${why} ${alone}`, "Close"))) return this.#visit.refresh();
      return this.#finish(here, isCurrent, "alone");
    }
    const text = `${left} of your deposit comes back to you. To pay further pages you open a new channel.`;
    if (!(await ask("Close the channel?", text, "Close"))) return this.#visit.refresh();
    await this.#finish(here, isCurrent, await this.#agree(here, spent, alone));
  }

  /** Learns what is owed, also for a channel that was found on chain again. */
  async #ask(here: Connection): Promise<void> {
    await this.#recover(here);
    await this.#books.learn(here, this.#receiver);
  }

  async #finish({ raiden }: Connection, isCurrent: () => boolean, agreement: Agreement): Promise<void> {
    if (!isCurrent()) return;
    if (agreement !== "not") {
      busy("Closing the channel", "Confirm in your wallet.");
      await raiden.closeChannel(agreement === "alone" ? undefined : agreement.signature);
    }
    if (isCurrent()) await this.#visit.refresh();
  }

  /** Has the receiver agree to a close at what was shown, and at nothing else. */
  async #agree(here: Connection, spent: bigint, alone: string): Promise<Agreement> {
    const { raiden } = here;
    const agreed = raiden.channel?.closing_sig;
    if (agreed) return { signature: agreed };
    busy("Closing the channel", "Your wallet asks you to sign what you owe, and then to send a transaction.");
    if (raiden.channel?.proof.balance !== spent) raiden.setBalance(spent);
    try {
      const proof = await raiden.signNewProof();
      if (!raiden.channel) return "not";
      return { signature: await this.#receiver.agree(raiden.channel, proof) };
    } catch (error) {
      if (error instanceof MicroRaidenError) throw error;
      const text = `The server did not agree: ${words(error)} You can close without it. ${alone}`;
      return (await ask("Close without the receiver?", text, "Close anyway")) ? "alone" : "not";
    }
  }

  async settle(): Promise<void> {
    busy("Settling the channel", "Confirm in your wallet.");
    await this.#visit.here().raiden.settleChannel();
    await this.#visit.refresh();
  }

  async forget(): Promise<void> {
    const isOnChain = (["opened", "closed"] as unknown[]).includes(this.#books.info?.state satisfies MicroChannelInfo["state"] | undefined);
    const text = isOnChain
      ? "This browser then does not know what you have paid. The deposit stays in the contract, and this page looks for the channel on the network again."
      : "This browser removes what it knows of the channel.";
    if (await ask("Forget the channel?", text, "Forget")) this.#visit.here().raiden.forgetStoredChannel();
    await this.#visit.refresh();
  }

  /** Makes room for a new channel after a settled one. */
  async renew(): Promise<void> {
    this.#visit.here().raiden.forgetStoredChannel();
    await this.#visit.refresh();
  }

  async buy(): Promise<void> {
    const { raiden, account } = this.#visit.here();
    busy("Buying test tokens", "Confirm in your wallet.");
    if (account) await raiden.buyToken(account);
    await this.#visit.refresh();
  }
}

/** Does something that no other tab of this site does meanwhile. Where the browser has no locks for pages (without HTTPS), as it is. */
function alone(act: () => Promise<void>): Promise<void> {
  const { locks } = navigator as { locks?: LockManager };
  return locks ? locks.request("microraiden", act) : act();
}
