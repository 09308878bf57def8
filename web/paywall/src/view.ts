// What is on the screen: one card whose parts are shown as the state of affairs needs them.

/** The parts of the card that come and go; not every page has them all. */
const PARTS = [
  "wallets",
  "figures",
  "deposit-form",
  "pay",
  "auto-row",
  "connect",
  "switch",
  "buy",
  "settle",
  "new",
  "retry",
  "more",
  "close",
  "forget",
  "account-row",
  "other-row",
  "watch",
] as const;

export type Part = (typeof PARTS)[number];

/** What the card shows. */
export interface View {
  /** Names it, for styles and tests: `data-state` of the body. */
  state: string;
  title: string;
  text?: string;
  /** Something is going on, and nothing can be done. */
  busy?: boolean;
  parts?: Part[];
  /** What the button says that shows the state of affairs again. */
  retry?: string;
}

/** The element of an id, which is in the page. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function setText(id: string, text: string): void {
  const { childNodes } = element(id);
  // Said again, it would be read out again.
  if (childNodes.length !== 1 || element(id).textContent !== text) element(id).textContent = text;
}

export function show({ state, title, text = "", busy = false, parts = [], retry = "Try again" }: View): void {
  const card = element("card");
  const hadFocus = document.activeElement !== document.body && card.contains(document.activeElement);
  document.body.dataset.state = state;
  card.hidden = false;
  card.classList.toggle("busy", busy);
  card.setAttribute("aria-busy", String(busy));
  setText("title", title);
  setText("text", text);
  setText("retry", retry);
  for (const part of PARTS) {
    const it = document.getElementById(part);
    if (it) it.hidden = !parts.includes(part);
  }
  // Whoever goes by keyboard must not fall out of the card when what had the focus is gone.
  if (hadFocus && (document.activeElement === document.body || !isShown(document.activeElement))) element("title").focus();
}

function isShown(it: Element | null): boolean {
  return it instanceof HTMLElement && it.offsetParent !== null;
}

/** Says what went wrong, or nothing any more. */
export function notice(text = ""): void {
  setText("notice", text);
  element("notice").hidden = text === "";
}

export function on(id: string, event: string, act: (event: Event) => void): void {
  element(id).addEventListener(event, act);
}

/** Asks before something that cannot be undone. */
export function ask(title: string, text: string, yes: string): Promise<boolean> {
  const dialog = element<HTMLDialogElement>("dialog");
  setText("dialog-title", title);
  setText("dialog-text", text);
  setText("dialog-yes", yes);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
