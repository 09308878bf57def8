// The page of a 402: from a wallet to a payment, in the order of the states in which a visitor may be.
//
// It asks for everything anew when it is loaded: the wallet for its accounts, the chain for the channel, the server for the
// balance. Nothing is signed without a click, but where the visitor said that pages up to a price are paid for at once.

import { MicroRaidenError, parseAmount, type MicroChannelInfo } from "../../client/src/index.js";
import { Books } from "./books.js";
import type { Connection } from "./connection.js";
import { Deeds } from "./deeds.js";
import { AutoPay, attempts } from "./memory.js";
import { readOffer } from "./offer.js";
import { Receiver } from "./receiver.js";
import { element, notice, on, setText, show, type Part } from "./view.js";
import { Visit, busy, fail, findThrowaway } from "./visit.js";
import { isPassing, isSeenBefore, refusal, words } from "./words.js";

const offer = readOffer();
const receiver = new Receiver(offer);
const autoPay = new AutoPay(offer);
const books = new Books();
const visit = new Visit(offer, receiver.startBlock(), showVisitor);
const deeds = new Deeds(visit, receiver, books, offer, showChannel);

/** A channel that was opened this many blocks ago, and is not known to the server, will not be. */
const RECENT = 50;
/** For so many pages a deposit is proposed. */
const PAGES = 20n;
/** How often the same payment is offered again by itself. */
const REPEATS = 10;

/** What was paid for this page a moment ago. */
const before = attempts.last();
/** What the server said to that. */
let refused = before && offer.error !== undefined && !isSeenBefore(offer.error) ? offer.error : undefined;

const proposal = offer.price * PAGES;

/** Makes the channel current that is in storage, or on chain, and shows it. */
async function showVisitor(here: Connection): Promise<void> {
  const isCurrent = visit.watch();
  const { raiden, account } = here;
  books.clear();
  if (account && !raiden.loadStoredChannel(account, offer.receiver)) {
    busy("Looking for your channel");
    await raiden.loadChannelFromBlockchain(account, offer.receiver).catch(unlessNotFound);
  }
  if (isCurrent()) await showChannel(here);
}

function unlessNotFound(error: unknown): undefined {
  if (!(error instanceof MicroRaidenError) || error.code !== "channel-not-found") throw error;
  return undefined;
}

async function showChannel(here: Connection): Promise<void> {
  const isCurrent = visit.watch();
  if (!here.raiden.channel) return showMissing(here);
  const info = await here.raiden.getChannelInfo().catch(unlessNotFound);
  if (!isCurrent()) return;
  books.info = info;
  if (info?.state === "opened") return showOpened(here, info);
  if (info?.state === "closed") return showClosed(here, info);
  if (info?.state === "settled") return showSettled();
  show({
    state: "invalid",
    title: "The network does not know your channel",
    text: "Perhaps the network was begun anew, or the block that opened the channel is gone. Forget it, and open another one.",
    parts: ["forget", "retry", "account-row", "other-row"],
  });
}

async function showMissing(here: Connection): Promise<void> {
  const isCurrent = visit.watch();
  const { balance, symbol } = here;
  const canBuy = balance < offer.price && (await here.raiden.canBuyToken());
  if (!isCurrent()) return;
  if (canBuy) {
    setText("buy", buying(here));
    return show({
      state: "buy",
      title: "You need test tokens",
      text: `This account owns too few ${symbol} for this page. They are for testing, and worth nothing.`,
      parts: ["buy", "account-row", "other-row"],
    });
  }
  const isEnough = balance >= offer.price;
  askDeposit(here, isEnough && balance < proposal ? balance : proposal, "Deposit and pay");
  offerAutoPay(here);
  const text = "Your deposit stays yours until you spend it. Close the channel whenever you like, and what is left comes back.";
  show({
    state: "missing",
    title: "Open a channel",
    text: isEnough ? text : `${text} This account owns too few ${symbol} for it: ${here.amount(balance)}.`,
    parts: ["deposit-form", "auto-row", "account-row", "other-row"],
  });
}

const buying = ({ symbol }: Connection) => `Buy 50 ${symbol} for 0.1 ETH`;

/** Sets the form up for a deposit, and says what it pays for. */
function askDeposit(here: Connection, amount: bigint, button: string): void {
  element<HTMLInputElement>("deposit").value = here.raiden.tkn2num(amount);
  setText("unit", here.symbol);
  setText("deposit-button", button);
  hintDeposit();
}

function hintDeposit(): void {
  const input = element<HTMLInputElement>("deposit");
  input.removeAttribute("aria-invalid");
  try {
    const pages = parseAmount(input.value, offer.decimals) / offer.price;
    setText("deposit-hint", `Pays for ${pages} ${pages === 1n ? "page" : "pages"} at this price.`);
  } catch (error) {
    setText("deposit-hint", words(error));
  }
}

async function showOpened(here: Connection, { deposit }: MicroChannelInfo): Promise<void> {
  const isCurrent = visit.watch();
  const { channel } = here.raiden;
  if (!channel) return;
  try {
    books.known = await receiver.channel(channel.account, channel.block);
    if (books.known?.state === "open") await books.learn(here, receiver);
  } catch (error) {
    return isCurrent() ? showAway(error) : undefined;
  }
  const { known } = books;
  const age = known ? 0 : (await here.blockNumber()) - channel.block;
  if (!isCurrent()) return;
  if (!known) return age <= RECENT ? showUnconfirmed() : showRejected("unknown-channel");
  if (known.state === "closed") return showRejected("close-promised");
  showFigures(here);
  const next = books.balance(here) + books.raise(offer.price);
  // The same payment once more costs nothing more, whatever has become of it.
  const isRepeat = before !== undefined && next <= before.balance && before.count < REPEATS;
  if (refused !== undefined && isPassing(refused) && isRepeat) {
    refused = undefined;
    return showUnconfirmed();
  }
  if (next > deposit) return showTopUp(here, next);
  if (next > known.deposit) return showUnconfirmed();
  const isAgreed = before === undefined && autoPay.allows(offer.price) && !offer.crossSite;
  const isSilent = refused === undefined && !deeds.hasFailed && (isAgreed || isRepeat);
  if (deeds.isWanted) return visit.run(() => pay(false));
  if (isSilent) return visit.run(() => (isRepeat ? pay(false, before.balance) : pay(true)));
  if (refused !== undefined) notice(refusal(refused));
  else if (before) notice("You have paid for this page a moment ago, so it asks before it pays again.");
  setText("pay", `Pay ${here.amount(offer.price)}`);
  offerAutoPay(here);
  const parts: Part[] = ["figures", "pay", "auto-row", "more", "close", "forget", "account-row", "other-row"];
  // The browser itself asks before it sends a form twice.
  const text = offer.method === "GET" ? "" : "This page answers a form: when your browser asks, let it send the form again.";
  show({ state: "opened", title: "Your channel is open", text, parts });
}

/**
 * @param isSilent nobody has clicked for it
 * @param most what may be signed, when only the last payment may be repeated
 */
function pay(isSilent: boolean, most?: bigint): Promise<void> {
  return deeds.pay((balance) => {
    attempts.add(balance);
    if (isSilent) autoPay.take(offer.price);
  }, most);
}

/** What is agreed by the click that pays. */
function offerAutoPay(here: Connection): void {
  element<HTMLInputElement>("auto").checked = !autoPay.isOff;
  setText("auto-label", `Pay for the next ${PAGES} pages of this receiver at once, up to ${here.amount(offer.price)} each`);
}

function showFigures(here: Connection): void {
  const { deposit } = books;
  const isLost = books.isLost(here);
  const told = books.known?.balance ?? 0n;
  const spent = isLost ? told : books.spent(here);
  const left = isLost ? (deposit > told ? deposit - told : 0n) : books.left(here);
  setText("left", here.amount(left));
  setText("spent", `${here.amount(spent)}${isLost ? ", says the server" : ""}`);
  setText("deposited", here.amount(deposit));
  const percent = deposit > 0n ? Number((spent * 100n) / deposit) : 0;
  element("bar-spent").style.width = `${percent}%`;
  element("bar").setAttribute("aria-label", `${percent} % of the deposit is spent`);
}

function showUnconfirmed(): void {
  show({
    state: "unconfirmed",
    title: "Waiting confirmations...",
    text: "The server waits for further blocks before it counts your deposit. Then this page goes on by itself.",
    busy: true,
    parts: ["account-row", "other-row"],
  });
  visit.later(() => showChannel(visit.here()));
}

/** @param required the balance that the payment needs */
function showTopUp(here: Connection, required: bigint): void {
  const { balance } = here;
  const missing = required - books.deposit;
  const wanted = proposal > missing ? proposal : missing;
  askDeposit(here, balance >= missing && balance < wanted ? balance : wanted, "Top up and pay");
  showFigures(here);
  setText("buy", buying(here));
  show({
    state: "topup",
    title: "Insufficient funds",
    text: `Your deposit is ${here.amount(books.deposit)}, and this page needs ${here.amount(required)} in all. Top it up, or close the channel.`,
    parts: ["figures", "deposit-form", "close", "forget", "account-row", "other-row"],
  });
  const isCurrent = visit.watch();
  if (balance < missing) void here.raiden.canBuyToken().then((can) => isCurrent() && (element("buy").hidden = !can));
}

/** The server does not answer, or not as it should: the channel can be closed all the same. */
function showAway(error: unknown): void {
  show({
    state: "away",
    title: "The server cannot be asked",
    text: words(error),
    parts: ["retry", "close", "account-row", "other-row"],
  });
}

function showRejected(code: string): void {
  notice(refusal(code));
  show({
    state: "rejected",
    title: "The server won't accept this channel",
    text: "Close it, so that what is left of your deposit comes back; then open a new one.",
    parts: ["close", "forget", "retry", "account-row", "other-row"],
  });
}

async function showClosed(here: Connection, { block, deposit }: MicroChannelInfo): Promise<void> {
  const isCurrent = visit.watch();
  const left = block + here.raiden.challenge - (await here.blockNumber());
  if (!isCurrent()) return;
  element<HTMLButtonElement>("settle").disabled = left > 0;
  show({
    state: "closed",
    title: "Your channel is being closed",
    text:
      left > 0
        ? `The receiver may object during the challenge period: ${left} more ${left === 1 ? "block" : "blocks"}. Then settle it here.`
        : `The challenge period is over. Settle the channel, and what is left of ${here.amount(deposit)} comes back.`,
    parts: ["settle", "forget", "account-row", "other-row"],
  });
  if (left > 0) visit.later(() => showChannel(here));
}

function showSettled(): void {
  show({
    state: "settled",
    title: "Your channel is settled",
    text: "What was left of the deposit is yours again.",
    parts: ["new", "account-row", "other-row"],
  });
}

/** Shows the form to deposit more of one's own accord. */
function showMore(): void {
  askDeposit(visit.here(), proposal, "Top up and pay");
  const parts: Part[] = ["figures", "deposit-form", "retry", "account-row", "other-row"];
  show({ state: "more", title: "Top up your channel", parts, retry: "Back" });
  element("deposit").focus();
}

/** The visitor has clicked to pay: what the box says holds from now on. */
function agree(): void {
  if (!element("auto-row").hidden) autoPay.set(element<HTMLInputElement>("auto").checked, offer.price);
  refused = undefined;
}

on("pay", "click", () => {
  agree();
  void visit.run(() => pay(false));
});
on("deposit", "input", hintDeposit);
on("deposit-form", "submit", (event) => {
  event.preventDefault();
  agree();
  void deeds.deposit();
});
on("more", "click", showMore);
const buttons = {
  buy: () => deeds.buy(),
  close: () => deeds.close(),
  settle: () => deeds.settle(),
  forget: () => deeds.forget(),
  new: () => deeds.renew(),
};
for (const [id, act] of Object.entries(buttons)) on(id, "click", () => void visit.run(act));

receiver.clearCookies();
if (offer.price > 0n) {
  findThrowaway(offer.devChain)
    .then(() => visit.start())
    .catch(fail);
} else {
  fail(new Error("The server names no price. Load the page again."));
}
