// What is known of the current channel: by the chain, by everybody, and by what the server proves.

import type { MicroChannelInfo } from "../../client/src/index.js";
import type { Connection } from "./connection.js";
import type { PublicChannel, Receiver, Standing } from "./receiver.js";

/** All amounts are base units. */
export class Books {
  /** What the chain has. */
  info: MicroChannelInfo | undefined;
  /** What the server tells everybody. */
  known: PublicChannel | undefined;
  /** What the server tells the sender. */
  standing: Standing | undefined;

  /** Forgets the channel of before. */
  clear(): void {
    this.info = this.known = this.standing = undefined;
  }

  /**
   * Learns what the server holds, when there is a signature to ask with.
   *
   * @throws Error when the server says more than it can prove by a signature of ours
   */
  async learn({ raiden }: Connection, receiver: Receiver): Promise<void> {
    const { channel } = raiden;
    const last = [channel?.next_proof, channel?.proof].find((proof) => proof?.sig);
    this.standing = undefined;
    if (!channel || !last) return;
    const standing = await receiver.standing(channel, last);
    const { account, block } = raiden.channel ?? {};
    if (account !== channel.account || block !== channel.block) throw new Error("The channel was changed meanwhile. Try again.");
    // Only what it proves by a signature of ours takes the place of the last one.
    if (standing?.proof.sig && (await raiden.verifyProof(standing.proof))) {
      this.standing = standing;
      return;
    }
    if (standing && standing.proof.balance > last.balance) {
      throw new Error(`The server says that you owe ${standing.proof.balance} base units, which you have not signed. Nothing is paid to it.`);
    }
    if (!channel.next_proof?.sig) return;
    // That it holds less than the last one needs no proof, since it is to our good: then that one is not taken. Otherwise it
    // counts as taken.
    this.known = await receiver.channel(channel.account, channel.block);
    const isTaken = this.known === undefined || this.known.balance >= channel.next_proof.balance;
    if (isTaken) raiden.confirmPayment(channel.next_proof);
    else if (!(await raiden.verifyProof(channel.proof))) raiden.setBalance(channel.proof.balance);
  }

  /** By how much a payment raises the balance: the price less what the server has to our credit, but by one unit at least. */
  raise(price: bigint): bigint {
    const credit = this.standing?.credit ?? 0n;
    return price - (credit < price - 1n ? credit : price - 1n);
  }

  /** What is signed. What the server says beside it, to everybody, is no ground to sign anything. */
  balance({ raiden }: Connection): bigint {
    return raiden.channel?.proof.balance ?? 0n;
  }

  /** Nothing is signed here, and the server says that something was: the channel was found on chain again. */
  isLost({ raiden }: Connection): boolean {
    const { proof, next_proof } = raiden.channel ?? {};
    return !proof?.sig && !next_proof?.sig && (this.known?.balance ?? 0n) > 0n;
  }

  /** What the sender has spent: at this balance it can close. */
  spent(here: Connection): bigint {
    const balance = this.balance(here);
    const back = (this.standing?.credit ?? 0n) + (this.standing?.refund ?? 0n);
    return balance > back ? balance - back : 0n;
  }

  get deposit(): bigint {
    return this.info?.deposit ?? 0n;
  }

  /** What the next payments can use. */
  left(here: Connection): bigint {
    const balance = this.balance(here);
    return this.deposit > balance ? this.deposit - balance + (this.standing?.credit ?? 0n) : 0n;
  }
}
