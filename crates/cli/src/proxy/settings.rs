//! The settings of a proxy: one list, for the command line and for the configuration file.

use super::file::{ConfigFile, Step};
use super::route::RouteEntry;
use super::values::{Database, Money, Span, Text, Wei, one_or_many};
use crate::Failure;
use crate::args::local_address;
use crate::exit::Misuse;
use clap::Args;
use microraiden_protocol::Address;
use microraiden_proxy::admission::{Rate, Rule};
use microraiden_proxy::quota::FreeQuota;
use microraiden_proxy::{Network, OfferedChain};
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use url::Url;

/// Declares [`Settings`] with what goes over all of them.
macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// What can be set: by options, or by keys of the same names in the file, with `_` for `-`.
        #[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Settings {
            $($(#[$meta])* pub(crate) $name: $type,)*
        }

        impl Settings {
            /// These, and where nothing is given those of a file.
            fn or(self, file: Self) -> Self {
                Self { $($name: if self.$name.is_given() { self.$name } else { file.$name },)* }
            }

            /// Whether something is given by this name.
            fn gives(&self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name.is_given(),)*
                    _ => false,
                }
            }

            /// The names of what is not the same in others.
            fn differences(&self, other: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$name != other.$name { names.push(stringify!($name)); })*
                names
            }
        }
    };
}

/// Whether a setting was given.
trait Given {
    fn is_given(&self) -> bool;
}

impl<T> Given for Option<T> {
    fn is_given(&self) -> bool {
        self.is_some()
    }
}

impl<T> Given for Vec<T> {
    fn is_given(&self) -> bool {
        !self.is_empty()
    }
}

impl Given for bool {
    fn is_given(&self) -> bool {
        *self
    }
}

settings! {
    /// The server whose content is sold
    #[arg(long, value_name = "URL")]
    upstream: Option<Url>,
    /// What each request costs: an amount with the token's symbol, like '0.002 TKN', or base units; 0 is free
    #[arg(long, value_name = "AMOUNT")]
    price: Option<Money>,
    /// Sell only paths of this pattern, for example /media/{*rest}; everything by default
    #[arg(long, value_name = "PATTERN")]
    path: Option<String>,
    /// How long the upstream may take until its answer begins, and then for each next piece [default: 60s]
    #[arg(long, value_name = "TIME")]
    upstream_timeout: Option<Span>,
    /// What is sold, route by route; only in the file.
    #[arg(skip)]
    route: Vec<RouteEntry>,

    /// The file with the private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE", help_heading = "Receiver")]
    private_key: Option<PathBuf>,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE", help_heading = "Receiver")]
    private_key_password_file: Option<PathBuf>,
    /// Where accounts and proofs are kept; by default in your folder for data, by a name that begins with the
    /// addresses of contract and receiver
    #[arg(long, value_name = "FILE", help_heading = "Receiver")]
    state_file: Option<PathBuf>,
    /// The PostgreSQL database where accounts and proofs are kept, in place of a file: then several proxies of this
    /// receiver can sell together, and one of them follows the chain. The password comes from PGPASSWORD or ~/.pgpass
    #[arg(long, value_name = "postgres://USER@HOST/NAME", help_heading = "Receiver", conflicts_with = "state_file")]
    store: Option<Database>,
    /// Where free requests are counted; beside the state file by default
    #[arg(long, value_name = "FILE", help_heading = "Receiver")]
    quota_file: Option<PathBuf>,

    /// The JSON-RPC endpoint of an Ethereum node, by http, https, ws or wss; given several times, the next one is used
    /// when one fails. All must be of one chain [default: http://127.0.0.1:8545]
    #[arg(long, value_name = "URL", help_heading = "Chain")]
    #[serde(deserialize_with = "one_or_many")]
    rpc_provider: Vec<Url>,
    /// The most requests that are made to each node in a second; as many as there are by default
    #[arg(long, value_name = "N", help_heading = "Chain")]
    rpc_requests_per_second: Option<NonZeroU32>,
    /// The channel contract
    #[arg(long, value_name = "ADDRESS", help_heading = "Chain", conflicts_with = "deployment_file")]
    channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", help_heading = "Chain")]
    deployment_file: Option<PathBuf>,
    /// The first block that can hold one of your channels; that of the deployment file, or 0, by default
    #[arg(long, value_name = "BLOCK", help_heading = "Chain")]
    start_block: Option<u64>,
    /// How many blocks must lie above a deposit before it can be paid with [default: 1]
    #[arg(long, value_name = "BLOCKS", help_heading = "Chain")]
    confirmations: Option<u64>,
    /// Milliseconds between two looks at the chain [default: 2000]
    #[arg(long, value_name = "MS", help_heading = "Chain", value_parser = clap::value_parser!(u64).range(10..))]
    #[serde(deserialize_with = "poll_interval")]
    poll_interval: Option<u64>,
    /// How long to wait at the start for a node that answers, and for a state file that another process still has; 0 is not
    /// at all, and there is no limit by default
    #[arg(long, value_name = "SECONDS", help_heading = "Chain")]
    start_timeout: Option<u64>,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long, help_heading = "Chain")]
    unaudited_real_money: bool,

    /// The least that a transaction must bring in to be worth its gas: nothing is disputed, closed or withdrawn for less.
    /// Selling stops while the wallet cannot pay the gas of what is owed above it [default: 1]
    #[arg(long, value_name = "AMOUNT", help_heading = "Claims")]
    min_claim: Option<Money>,
    /// What one whole token is worth, in wei: then the gas of a transaction costs at most its share of what it brings in
    #[arg(long, value_name = "WEI", help_heading = "Claims")]
    token_value: Option<Wei>,
    /// That share, in percent [default: 100]
    #[arg(long, value_name = "PERCENT", help_heading = "Claims")]
    gas_percent: Option<u32>,
    /// The most that a unit of gas may cost, in wei, or as '30 gwei'; dearer transactions wait, disputes too
    #[arg(long, value_name = "WEI", help_heading = "Claims")]
    gas_price: Option<Wei>,
    /// How many blocks a sender has to bring an agreed close on chain before the receiver does it [default: 240]
    #[arg(long, value_name = "BLOCKS", help_heading = "Claims")]
    close_patience: Option<u64>,
    /// How many blocks after the challenge period a sender has to settle before the receiver claims [default: 240]
    #[arg(long, value_name = "BLOCKS", help_heading = "Claims")]
    settle_patience: Option<u64>,
    /// Sell nothing while the newest block is older; for chains that make blocks by the clock
    #[arg(long, value_name = "SECONDS", help_heading = "Claims")]
    max_head_age: Option<u64>,
    /// Sell nothing where the challenge period lasts less; 0 for any. Development chains are exempt [default: 30]
    #[arg(long, value_name = "MINUTES", help_heading = "Claims")]
    min_challenge_minutes: Option<u32>,

    /// The address to listen on [default: 127.0.0.1]
    #[arg(long, help_heading = "Server", value_parser = own_address)]
    #[serde(deserialize_with = "host")]
    host: Option<IpAddr>,
    /// The port to listen on; 0 takes any free one [default: 5000]
    #[arg(long, help_heading = "Server")]
    port: Option<u16>,
    /// The file with the certificate, and those that vouch for it, in PEM form: then HTTPS is served, with HTTP/2
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    ssl_cert: Option<PathBuf>,
    /// The file with the certificate's private key, in PEM form
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    ssl_key: Option<PathBuf>,
    /// How long what was paid may take at the end, after SIGTERM [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Server")]
    grace: Option<Span>,
    /// Serve only clients of this address or network, or only payments of this sender; may be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many")]
    allow: Vec<Text<Rule>>,
    /// Refuse clients of this address or network, or payments of this sender, also when they are allowed; may be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many")]
    deny: Vec<Text<Rule>>,
    /// How many requests each client may make, like '100 per second'
    #[arg(long, value_name = "RATE", help_heading = "Server")]
    rate: Option<Text<Rate>>,
    /// How many requests each client has for nothing, like '10 per day'
    #[arg(long, value_name = "QUOTA", help_heading = "Server")]
    free: Option<Text<FreeQuota>>,
    /// The proxy in front of this one, whose X-Forwarded-For says who the client is; may be repeated
    #[arg(long, value_name = "NETWORK", help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many")]
    trusted_proxies: Vec<Text<Network>>,
    /// A page that is free at /
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    index_file: Option<PathBuf>,
    /// The folder of the page that browsers get with a 402: its index.html, and what that page uses, free below /js/;
    /// by default one that pays from a wallet in the browser
    #[arg(long, value_name = "FOLDER", help_heading = "Server")]
    paywall_info: Option<PathBuf>,
    /// Let web pages of this origin use the proxy from a browser; * for all; may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Server")]
    #[serde(deserialize_with = "one_or_many")]
    cors_origin: Vec<String>,

    /// Show operators on another address, or port of this machine, how the receiver fares: /metrics, /health and
    /// /ready; its URL is the second line on standard output. It asks for no password
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Operators", value_parser = local_address)]
    #[serde(deserialize_with = "metrics_address")]
    metrics_address: Option<SocketAddr>,
    /// Let somebody log in to the REST interface by this name
    #[arg(long, value_name = "NAME", help_heading = "Operators")]
    operator: Option<String>,
    /// The file with the hash of the operator's password, as `hash-password` prints it
    #[arg(long, value_name = "FILE", help_heading = "Operators")]
    operator_password_hash_file: Option<PathBuf>,
    /// Agree to closes without a signature, for clients of 2018; then anybody can end the selling on a channel
    #[arg(long, help_heading = "Operators")]
    legacy_close: bool,
}

/// What can be changed while the proxy runs; all else is read at the start.
pub(crate) const RELOADED: [&str; 16] = [
    "upstream",
    "price",
    "path",
    "upstream_timeout",
    "route",
    "allow",
    "deny",
    "rate",
    "free",
    "trusted_proxies",
    "index_file",
    "paywall_info",
    "cors_origin",
    "operator",
    "operator_password_hash_file",
    "legacy_close",
];

impl Settings {
    /// All files and folders that are named.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = [
            &mut self.private_key,
            &mut self.private_key_password_file,
            &mut self.state_file,
            &mut self.quota_file,
            &mut self.deployment_file,
            &mut self.ssl_cert,
            &mut self.ssl_key,
            &mut self.index_file,
            &mut self.paywall_info,
            &mut self.operator_password_hash_file,
        ];
        own.into_iter()
            .flatten()
            .chain(self.route.iter_mut().flat_map(RouteEntry::paths))
    }

    /// What was changed that a running proxy does not take over.
    pub(super) fn needs_restart(&self, changed: &Self) -> Vec<&'static str> {
        let mut names = self.differences(changed);
        names.retain(|name| !RELOADED.contains(name));
        names
    }
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Source {
    /// The file with the settings; options on the command line win over it. `microraiden init` writes one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: Settings,
    /// What `--dev` offers to browsers; nothing else does, and no option can.
    #[arg(skip)]
    pub(crate) dev_chain: Option<OfferedChain>,
}

/// Settings that belong together, and where each comes from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    options: Settings,
    file: Option<ConfigFile>,
    pub(crate) dev_chain: Option<OfferedChain>,
}

impl Source {
    /// Reads the file, if one is named, and puts the options before what it says.
    ///
    /// # Errors
    /// When the file cannot be read, or both contradict each other.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let file = self.config.as_deref().map(ConfigFile::read).transpose()?;
        let mut from_file = match &file {
            Some(file) => file.settings()?,
            None => Settings::default(),
        };
        if let Some(file) = file.as_ref().filter(|_| from_file.store_is_named_twice()) {
            let fault = "keep accounts and proofs in this database or in a file, not in both";
            return Err(file.fault_at(&[Step::Key("store")], fault).into());
        }
        if self.options.state_file.is_some() || self.options.store.is_some() {
            // One of them replaces the other.
            from_file.state_file = None;
            from_file.store = None;
        }
        if let Some(file) = file.as_ref().filter(|_| from_file.contract_is_named_twice()) {
            let steps = [Step::Key("deployment_file")];
            return Err(file
                .fault_at(
                    &steps,
                    "name the contract by its address or by this file, not by both",
                )
                .into());
        }
        if self.options.channel_manager_address.is_some() || self.options.deployment_file.is_some() {
            // One of them replaces the other.
            from_file.channel_manager_address = None;
            from_file.deployment_file = None;
        }
        let loaded = Loaded {
            settings: self.options.clone().or(from_file),
            options: self.options.clone(),
            file,
            dev_chain: self.dev_chain.clone(),
        };
        loaded.check()?;
        Ok(loaded)
    }
}

impl Settings {
    const fn store_is_named_twice(&self) -> bool {
        self.store.is_some() && self.state_file.is_some()
    }

    const fn contract_is_named_twice(&self) -> bool {
        self.channel_manager_address.is_some() && self.deployment_file.is_some()
    }
}

impl Loaded {
    /// Makes sure that what was given fits together.
    fn check(&self) -> Result<(), Failure> {
        let settings = &self.settings;
        let needed = [
            ("operator", "operator_password_hash_file"),
            ("operator_password_hash_file", "operator"),
            ("gas_percent", "token_value"),
            ("ssl_cert", "ssl_key"),
            ("ssl_key", "ssl_cert"),
        ];
        for (one, other) in needed {
            if settings.gives(one) && !settings.gives(other) {
                return Err(self.fault(one, format!("this needs {} too", self.name(other))));
            }
        }
        for simple in ["upstream", "price", "path", "upstream_timeout", "free"] {
            if !settings.route.is_empty() && settings.gives(simple) {
                return Err(self.fault(
                    simple,
                    "there are [[route]]s, which say this one by one; set it there",
                ));
            }
        }
        Ok(())
    }

    /// What is wrong with a setting, wherever it comes from.
    pub(crate) fn fault(&self, name: &'static str, message: impl Display) -> Failure {
        match &self.file {
            Some(file) if !self.options.gives(name) && file.has(name) => {
                file.fault_at(&[Step::Key(name)], message).into()
            }
            _ => Misuse(format!("{}: {message}", option(name))).into(),
        }
    }

    /// What is wrong with a part of a route; routes stand only in the file.
    pub(crate) fn route_fault(&self, route: usize, keys: &[Step<'_>], message: impl Display) -> Failure {
        let mut steps = vec![Step::Key("route"), Step::Item(route)];
        steps.extend(keys);
        match &self.file {
            Some(file) => file.fault_at(&steps, message).into(),
            None => Misuse(message.to_string()).into(),
        }
    }

    /// What a setting is called where one would add it.
    pub(crate) fn name(&self, name: &'static str) -> String {
        match &self.file {
            Some(_) => name.to_owned(),
            None => option(name),
        }
    }
}

/// A setting's name on the command line.
fn option(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// An address of this machine; the original took `localhost`, too.
fn own_address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text.parse().map_err(|_| {
            "an IP address of this machine, as 127.0.0.1, 0.0.0.0 for all of them, or localhost".to_owned()
        }),
    }
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    own_address(&text).map(Some).map_err(serde::de::Error::custom)
}

fn metrics_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Port(u16),
        Address(String),
    }
    match Written::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("a port, or an IP address and a port"))?
    {
        Written::Port(port) => Ok(Some(SocketAddr::from(([127, 0, 0, 1], port)))),
        Written::Address(text) => local_address(&text).map(Some).map_err(serde::de::Error::custom),
    }
}

fn poll_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let milliseconds = u64::deserialize(deserializer)?;
    match milliseconds >= 10 {
        true => Ok(Some(milliseconds)),
        false => Err(serde::de::Error::custom("at least 10 milliseconds")),
    }
}

#[cfg(test)]
mod tests;
