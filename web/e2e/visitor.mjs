// A visitor: a browser with wallets in it that looks at a shop, and sees to it that nothing happens behind their back.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join, resolve } from "node:path";
import { after } from "node:test";
import { chromium } from "playwright-core";
import { ROOT } from "../test-process.mjs";
import { TestWallet } from "../test-wallet.mjs";
import { injectWallets, reportViolations } from "./injected.mjs";
import { PATIENCE } from "./shop.mjs";

const SCREENSHOTS = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "screenshots");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const WINDOW = { width: 900, height: 900 };
const PHONE = { width: 390, height: 844 };
const PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

/** What Chromium prints for the answers by which a server asks to be paid, or says that it knows no channel. */
const EXPECTED = [/^Failed to load resource: the server responded with a status of 40[24] /];

/** A Chromium of this file's own; it ends with the file. */
export async function openBrowser() {
  const isRoot = process.getuid() === 0;
  const browser = await chromium.launch({
    executablePath: chromiumProgram(),
    args: isRoot ? ["--no-sandbox"] : [],
  });
  after(() => browser.close());
  return browser;
}

/** The system's Chromium. */
function chromiumProgram() {
  const places = process.env.PATH.split(delimiter).map((folder) => join(folder, "chromium"));
  const program = places.find(existsSync);
  if (!program) throw new Error("there is no chromium in the PATH: install it (on Debian: `apt-get install chromium`)");
  return program;
}

/** A wallet as a browser has it: `announces` by EIP-6963, or only stands at `window.ethereum`. */
export function walletOf(nodes, keys, { name = "Test Wallet", announces = true, isAtWindow = !announces, ...options } = {}) {
  const wallet = new TestWallet(nodes, keys, { isConnected: false, ...options });
  const words = name.toLowerCase().replaceAll(" ", "-");
  return Object.assign(wallet, { shown: { name, rdns: `test.${words}`, uuid: `uuid-of-${words}`, icon: PICTURE, announces, isAtWindow } });
}

/**
 * A visitor of a shop, in a context of their own. When the test ends it fails for whatever the page has printed as an
 * error but `allowed`, for what its Content-Security-Policy has stopped, and for each request to another host.
 */
export async function visit(t, browser, shop, { wallets = [], allowed = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: WINDOW, colorScheme: "light", reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE);
  const problems = [];
  const requests = [];
  let isWatching = true;
  const complain = (problem) => isWatching && problems.push(problem);

  await context.exposeFunction("testViolation", complain);
  await context.exposeFunction("testWalletRequest", (index, request) =>
    wallets[index].request(request).then(
      (result) => ({ result }),
      ({ code, message, data }) => ({ error: { code, message, data } }),
    ),
  );
  await context.addInitScript(reportViolations);
  await context.addInitScript(injectWallets, wallets.map(({ shown }) => shown));
  context.on("request", (request) => requests.push({ method: request.method(), url: request.url() }));
  context.on("weberror", (error) => complain(`error in the page: ${error.error().stack}`));
  context.on("console", (message) => {
    const isExpected = [...EXPECTED, ...allowed].some((pattern) => pattern.test(message.text()));
    if (message.type() === "error" && !isExpected) complain(`${message.text()} (${message.location().url})`);
  });
  for (const [index, wallet] of wallets.entries()) {
    for (const event of ["accountsChanged", "chainChanged"]) {
      wallet.on(event, (value) => {
        const tell = ([index, event, value]) => window.testWalletEmit?.(index, event, value);
        // A page that is being left has no listeners.
        for (const page of context.pages()) page.evaluate(tell, [index, event, value]).catch(() => {});
      });
    }
  }
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, [], "what the page should not have done");
    assert.deepEqual(elsewhere(), [], "requests to other hosts than the shop's");
  });

  const elsewhere = () => requests.filter(({ url }) => !url.startsWith("data:") && new URL(url).origin !== new URL(shop.url).origin);

  const unwatched = async (action) => {
    isWatching = false;
    return action().finally(() => (isWatching = true));
  };
  const tab = async () => tabOf(await context.newPage(), shop, unwatched);
  return {
    ...(await tab()),
    context,
    wallets,
    wallet: wallets[0],
    /** All requests so far, to whatever host. */
    requests,
    /** What the page should not have done so far; whoever asks has dealt with it. */
    takeProblems: () => problems.splice(0),
    /** The requests to other hosts than the shop's so far; whoever asks has dealt with them. */
    takeElsewhere() {
      const found = elsewhere();
      for (const request of found) requests.splice(requests.indexOf(request), 1);
      return found;
    },
    /** Opens one more tab. */
    tab,
  };
}

/** What a visitor does in one tab. */
function tabOf(page, shop, unwatched) {
  const state = () => page.evaluate(() => document.body?.dataset.state);
  return {
    page,
    state,
    open: (path) => page.goto(`${shop.url}${path}`),
    click: (selector) => page.click(selector),

    /** Waits until the paywall page is in one of these states. */
    async reaches(...states) {
      const isThere = (states) => states.includes(document.body?.dataset.state);
      await page.waitForFunction(isThere, states, { timeout: PATIENCE }).catch(() => stuck(page, states.join(" or ")));
      return state();
    },

    /** Waits until a page shows this title: that of content that was paid for. */
    async reads(title) {
      await page.waitForSelector(`h1:text-is("${title}")`, { timeout: PATIENCE }).catch(() => stuck(page, `“${title}”`));
    },

    /** Writes pictures of what is to be seen, in light and in dark, and on a phone. */
    async shot(name) {
      await mkdir(SCREENSHOTS, { recursive: true });
      const save = (variant) => page.screenshot({ path: join(SCREENSHOTS, `${name}-${variant}.png`), fullPage: true });
      for (const colorScheme of ["dark", "light"]) {
        await page.emulateMedia({ colorScheme });
        await save(colorScheme);
      }
      await page.setViewportSize(PHONE);
      await save("phone");
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= PHONE.width, `${name} is ${width} pixels wide on a phone`);
      await page.setViewportSize(WINDOW);
    },

    /** Has axe look for what keeps people from using the page. */
    async isAccessible() {
      const source = await readFile(AXE, "utf8");
      const violations = await unwatched(async () => {
        await page.evaluate(source);
        return page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations);
      });
      const told = violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }));
      assert.deepEqual(told, [], "what keeps people from using the page");
    },
  };
}

/** Fails, and says what was to be seen instead of what was waited for. */
async function stuck(page, missing) {
  await mkdir(SCREENSHOTS, { recursive: true });
  const path = join(SCREENSHOTS, `stuck-${Date.now()}.png`);
  await page.screenshot({ path, fullPage: true }).catch(() => {});
  const [state, text] = await page
    .evaluate(() => [document.body?.dataset.state, document.body?.innerText])
    .catch((error) => ["", error.message]);
  assert.fail(`${missing} does not come; state ${state}, picture ${path}:\n${text}`);
}
