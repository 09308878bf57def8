// What lies around a payment: cookies, pictures, forms, the policy of the page, and requests to nobody else.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { customersOf } from "./customers.mjs";
import { openShop } from "./shop.mjs";
import { openBrowser } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;

const shop = await openShop();
const browser = await openBrowser();
const { customer, regular, held, signatures } = customersOf(shop, browser);

/** The payment cookies that a browser has, as `name path`. */
async function paymentCookies({ context }) {
  const cookies = await context.cookies();
  return cookies.filter(({ name }) => /^RDN-/i.test(name)).map(({ name, path }) => `${name} ${path}`);
}

describe("cookies", () => {
  it("of the 402, as the page of 2018 reads them, are set, and removed by the page that does not need them", async (t) => {
    const visitor = await customer(t);
    const [response] = await Promise.all([visitor.page.waitForResponse("**/story/1"), visitor.open("/story/1")]);
    const set = (await response.headersArray()).filter(({ name }) => name.toLowerCase() === "set-cookie").map(({ value }) => value);
    for (const cookie of [`RDN-Price=${PRICE}`, `RDN-Receiver-Address=${shop.receiver}`, `RDN-Contract-Address=${shop.contract.address}`]) {
      assert.ok(set.some((value) => value.toLowerCase().startsWith(`${cookie.toLowerCase()};`) && /;\s*Path=\/(;|$)/i.test(value)), `${cookie} in ${set}`);
    }
    await visitor.reaches("choose-wallet");
    assert.deepEqual(await paymentCookies(visitor), []);
  });

  it("of a page of 2018 do not get in the way of a payment", async (t) => {
    const visitor = await customer(t);
    const stale = { "RDN-Sender-Address": shop.receiver, "RDN-Open-Block": "7", "RDN-Sender-Balance": "5", "RDN-Balance-Signature": "0x12" };
    await visitor.context.addCookies(Object.entries(stale).map(([name, value]) => ({ name, value, url: `${shop.url}/` })));
    // Half a payment is answered with 4xx, but with a page that can pay.
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    assert.deepEqual(await paymentCookies(visitor), []);
    await visitor.click("#wallets button");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.equal(await held(visitor), PRICE);
    assert.ok((await paymentCookies(visitor)).every((cookie) => cookie.endsWith(" /story/1")), "a payment is for one page");
  });
});

describe("a page that was paid for", () => {
  it("and loads pictures that have a price is shown, and nothing but itself is paid", async (t) => {
    const picture = { "content-type": "image/png" };
    shop.content.answer("/gallery/picture.png", (_, response) => response.writeHead(200, picture).end());
    // Below the page's own path its cookies come along.
    shop.content.page("/gallery", "Gallery", '<img src="/gallery/picture.png" alt=""><img src="/picture.png" alt=""><a id="next" href="/story/2">On</a>');
    const visitor = await regular(t, { allowed: [/status of 4\d\d /] });
    await visitor.open("/gallery");
    await visitor.reads("Gallery");
    await visitor.page.waitForLoadState("networkidle");
    assert.equal(await held(visitor), 2n * PRICE);
    assert.ok(!shop.content.served.some((request) => request.endsWith("picture.png")), "what was not paid is not served");
    await visitor.click("#next");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 3n * PRICE);
    assert.equal(signatures(visitor), 3);
  });

  it("as the answer to a form gets what was filled in, and is paid once", async (t) => {
    shop.content.page("/form", "Order", '<form method="post" action="/order"><input name="what" value="rice"><button id="send">Send</button></form>');
    const received = [];
    shop.content.answer("/order", async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      received.push(`${request.method} ${body}`);
      response.writeHead(200, { "content-type": "text/html" }).end("<title>Ordered</title><h1>Ordered</h1>");
    });
    const visitor = await regular(t, { isAuto: false });
    await visitor.page.evaluate(() => document.querySelector("#next").setAttribute("href", "/form"));
    await visitor.click("#next");
    await visitor.reaches("opened");
    await visitor.page.uncheck("#auto");
    await visitor.click("#pay");
    await visitor.reads("Order");
    await visitor.click("#send");
    await visitor.reaches("opened");
    assert.match(await visitor.page.textContent("#text"), /let it send the form again/);
    await visitor.shot("opened-form");
    assert.deepEqual(received, []);
    await visitor.page.uncheck("#auto");
    await visitor.click("#pay");
    await visitor.reads("Ordered");
    assert.deepEqual(received, ["POST what=rice"]);
    assert.equal(await held(visitor), 3n * PRICE);
  });
});

describe("the page's policy", () => {
  it("stops scripts that are put in, and requests to anybody else", async (t) => {
    const visitor = await customer(t);
    const response = await visitor.open("/story/1");
    const policy = response.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'; script-src 'self';/);
    assert.match(policy, /connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'/);
    await visitor.reaches("choose-wallet");
    assert.deepEqual(visitor.takeProblems(), []);
    const told = await visitor.page.evaluate(async (elsewhere) => {
      const violated = new Promise((resolve) => {
        const directives = new Set();
        document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
          directives.add(effectiveDirective);
          if (directives.size === 3) resolve([...directives].sort());
        });
      });
      const script = document.createElement("script");
      script.textContent = "window.wasRun = true";
      document.body.append(script);
      document.body.append(Object.assign(document.createElement("img"), { src: `${elsewhere}/picture.png` }));
      const asked = await fetch(`${elsewhere}/stopped`, { mode: "no-cors" }).then(() => "answered", () => "stopped");
      return { violated: await violated, asked, wasRun: window.wasRun ?? false };
    }, shop.content.url);
    assert.deepEqual(told, { violated: ["connect-src", "img-src", "script-src-elem"], asked: "stopped", wasRun: false });
    assert.ok(visitor.takeProblems().length >= 3, "the test's own watch has seen them");
    assert.ok(!shop.content.served.includes("GET /stopped"));
    visitor.takeElsewhere();
  });

  it("is what keeps requests here: without it they are made, and seen", async (t) => {
    const visitor = await customer(t, { bypassCSP: true });
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    const url = `${shop.content.url}/elsewhere`;
    await visitor.page.evaluate((url) => fetch(url, { mode: "no-cors" }), url);
    assert.deepEqual(visitor.takeElsewhere(), [{ method: "GET", url }]);
    assert.ok(shop.content.served.includes("GET /elsewhere"));
  });

  it("is on the page that sells test tokens too, and both refuse to be put into a frame", async (t) => {
    const visitor = await customer(t, { allowed: [/frame/i] });
    for (const path of ["/story/1", "/js/microraiden/tokens.html"]) {
      const headers = (await visitor.open(path)).headers();
      assert.match(headers["content-security-policy"], /frame-ancestors 'none'/);
      assert.deepEqual([headers["x-content-type-options"], headers["referrer-policy"]], ["nosniff", "no-referrer"]);
    }
  });
});
