// What runs in the page before anything else: wallets whose keys are with the test, and the reporting of violations.

/**
 * Puts wallets into a page. `wallets` are { name, rdns, uuid, icon, announces, isAtWindow }, each one's place in the list
 * is its name between page and test. This function is sent to the browser: it can use nothing from outside.
 */
export function injectWallets(wallets) {
  const listeners = wallets.map(() => new Map());
  const providerOf = (index) => ({
    async request(request) {
      const { result, error } = await window.testWalletRequest(index, JSON.parse(JSON.stringify(request)));
      if (error) throw Object.assign(new Error(error.message), error);
      return result;
    },
    on(event, listener) {
      const all = listeners[index].get(event) ?? new Set();
      listeners[index].set(event, all.add(listener));
      return this;
    },
    removeListener(event, listener) {
      listeners[index].get(event)?.delete(listener);
      return this;
    },
  });
  window.testWalletEmit = (index, event, value) => {
    for (const listener of listeners[index].get(event) ?? []) listener(value);
  };
  for (const [index, { announces, isAtWindow, ...info }] of wallets.entries()) {
    const provider = Object.freeze(providerOf(index));
    if (isAtWindow) window.ethereum = provider;
    if (!announces) continue;
    const announce = () => {
      const detail = Object.freeze({ info: Object.freeze(info), provider });
      window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
    };
    window.addEventListener("eip6963:requestProvider", announce);
    announce();
  }
}

/** Tells the test what the page's Content-Security-Policy has stopped. Sent to the browser as well. */
export function reportViolations() {
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    window.testViolation(`${violatedDirective} stopped ${blockedURI}`),
  );
}
