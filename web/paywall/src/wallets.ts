// Which wallets there are, as a list to choose from.

import { discoverWallets, type Wallet } from "../../client/src/index.js";
import { lastWallet } from "./memory.js";
import { element, show } from "./view.js";

/** How long to look for a wallet before saying that there is none, in milliseconds. */
const PATIENCE = 900;

/**
 * Shows the wallets that there are until one is chosen. One that was used before is taken without being asked.
 *
 * @param chosen is told which, and whether its user clicked on it just now
 */
export function chooseWallet(chosen: (wallet: Wallet, isAsked: boolean) => void): void {
  const list = element("wallets");
  let isChosen = false;
  let isEmpty = true;
  const choose = (wallet: Wallet, isAsked: boolean) => {
    if (isChosen) return;
    isChosen = true;
    end();
    chosen(wallet, isAsked);
  };
  show({ state: "loading", title: "Looking for a wallet", busy: true });
  const end = discoverWallets((wallets) => {
    if (isChosen) return;
    isEmpty = false;
    const known = wallets.find(({ rdns }) => rdns === lastWallet.get());
    // Called from within discovery, whose end is not known yet.
    if (known) return queueMicrotask(() => choose(known, false));
    list.replaceChildren(...wallets.map((wallet) => entry(wallet, () => choose(wallet, true))));
    show({ state: "choose-wallet", title: "Choose a wallet", text: "It signs your payments. Its keys stay with it.", parts: ["wallets"] });
  });
  setTimeout(() => {
    if (!isEmpty || isChosen) return;
    show({
      state: "no-wallet",
      title: "No wallet found",
      text: "To pay here you need an Ethereum wallet in this browser, such as an extension. Install or unlock one, then try again.",
      parts: ["retry"],
    });
  }, PATIENCE);
}

function entry({ name, icon, rdns }: Wallet, choose: () => void): HTMLLIElement {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.rdns = rdns;
  const picture = icon ? Object.assign(document.createElement("img"), { src: icon, alt: "" }) : document.createElement("span");
  if (!icon) picture.className = "blank";
  const text = document.createElement("span");
  text.textContent = name;
  button.append(picture, text);
  button.addEventListener("click", choose);
  const item = document.createElement("li");
  item.append(button);
  return item;
}
