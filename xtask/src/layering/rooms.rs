//! The house as data: every crate, its level, and what of ours it may use.

/// A crate's place in the house.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// The package.
    pub(crate) package: &'static str,
    /// Arrows go to lower levels only.
    pub(crate) level: u8,
    /// Our packages that it may depend on, development dependencies aside.
    pub(crate) may_use: &'static [&'static str],
}

const PROTOCOL: &str = "microraiden-protocol";
const DEVCHAIN: &str = "microraiden-devchain";
const HTTP: &str = "microraiden-http";
const STORE: &str = "microraiden-store";
const CHAIN: &str = "microraiden-chain";
const MANAGER: &str = "microraiden-manager";
const SENDER: &str = "microraiden-sender";
const PAYWALL: &str = "microraiden-paywall";
const PROXY: &str = "microraiden-proxy";
const EXAMPLE_SETUP: &str = "microraiden-example-setup";

const LIBRARIES: &[&str] = &[
    PROTOCOL, DEVCHAIN, HTTP, STORE, CHAIN, MANAGER, SENDER, PAYWALL, PROXY,
];

const fn room(package: &'static str, level: u8, may_use: &'static [&'static str]) -> Room {
    Room {
        package,
        level,
        may_use,
    }
}

/// All rooms, in reading order.
///
/// What must never be follows from what is allowed: `protocol` uses nothing of ours, `manager` and
/// `sender` do not know each other, `store` does not know the chain, `paywall` not the store, and
/// no library uses the devchain: only the program does, and the whole-system tests, which reach
/// everything and which nothing reaches. The examples are programs of their own.
pub(crate) const ROOMS: &[Room] = &[
    room(PROTOCOL, 0, &[]),
    room(DEVCHAIN, 0, &[]),
    room(HTTP, 1, &[PROTOCOL]),
    room(STORE, 1, &[PROTOCOL]),
    room(CHAIN, 1, &[PROTOCOL]),
    room(MANAGER, 2, &[PROTOCOL, STORE, CHAIN]),
    room(SENDER, 2, &[PROTOCOL, HTTP, CHAIN]),
    room(PAYWALL, 3, &[MANAGER, HTTP, PROTOCOL]),
    room(PROXY, 4, &[PAYWALL, MANAGER, STORE, CHAIN, HTTP, PROTOCOL]),
    room("microraiden", 4, &[SENDER, PAYWALL]),
    room("microraiden-cli", 5, LIBRARIES),
    room("microraiden-tests", 6, LIBRARIES),
    room(
        "microraiden-example-echo",
        6,
        &[CHAIN, MANAGER, SENDER, PAYWALL, PROXY],
    ),
    room(
        "microraiden-example-setup",
        6,
        &[PROTOCOL, CHAIN, MANAGER, SENDER, PAYWALL, PROXY],
    ),
    room(
        "microraiden-example-demo-proxy",
        7,
        &[EXAMPLE_SETUP, HTTP, PAYWALL, PROTOCOL],
    ),
    room(
        "microraiden-example-ticker",
        7,
        &[EXAMPLE_SETUP, PAYWALL, PROTOCOL, SENDER],
    ),
    room(
        "microraiden-example-streaming",
        7,
        &[EXAMPLE_SETUP, PAYWALL, PROTOCOL, SENDER],
    ),
    room("microraiden-test-postgres", 0, &[]),
    room("xtask", 0, &[]),
];
