// The page to buy test tokens, and to add the token to the wallet.

import type { Connection } from "./connection.js";
import { readOffer } from "./offer.js";
import { notice, on, setText, show } from "./view.js";
import { Visit, busy, fail, findThrowaway } from "./visit.js";

const offer = readOffer();
const visit = new Visit(offer, Promise.resolve(0), showTokens);

async function showTokens(here: Connection): Promise<void> {
  const isCurrent = visit.watch();
  const canBuy = await here.raiden.canBuyToken();
  if (!isCurrent()) return;
  const { symbol } = here;
  setText("buy", `Buy 50 ${symbol} for 0.1 ETH`);
  setText("watch", `Add ${symbol} to the wallet`);
  show({
    state: canBuy ? "tokens" : "not-for-sale",
    title: `You own ${here.amount(here.balance)}`,
    text: canBuy ? "" : "This token does not sell itself: get it where it is traded, or from somebody who owns some.",
    parts: canBuy ? ["buy", "watch", "account-row", "other-row"] : ["watch", "account-row"],
  });
}

on("buy", "click", () => {
  void visit.run(async () => {
    const { raiden, account } = visit.here();
    busy("Buying test tokens", "Confirm in your wallet.");
    if (account) await raiden.buyToken(account);
    await visit.refresh();
  });
});
on("watch", "click", () => {
  void visit.run(async () => {
    await visit.here().watchToken();
    await visit.refresh();
    notice("The wallet was asked to show the token.");
  });
});

findThrowaway(offer.devChain)
  .then(() => visit.start())
  .catch(fail);
