//! The options of `pay-proxy`.

use crate::args::local_address;
use crate::sender::SenderArgs;
use clap::{ArgGroup, Args};
use http::uri::Authority;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use url::{Host, Url};

/// Options of `pay-proxy`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("whom").args(["target", "allow"]).required(true)),
    after_help = "\
Examples:
  microraiden pay-proxy --target http://api.example:5000 --max-price '0.01 TKN' --budget '1 TKN' \\
      --private-key sender.key --deployment-file deployment.json
  curl http://127.0.0.1:4021/fortune
  OPENAI_BASE_URL=http://127.0.0.1:4021/v1 your-program

  microraiden pay-proxy --allow api.example --allow 10.0.0.7:5000 --max-price ... (the rest as above)
  curl -x http://127.0.0.1:4021 http://api.example/fortune
  http_proxy=http://127.0.0.1:4021 your-program

Whoever reaches the port spends the money, within the limits: docs/pay-proxy.md"
)]
pub(crate) struct PayProxyArgs {
    #[command(flatten)]
    pub(crate) sender: SenderArgs,
    /// The server to pay: what is asked here is asked there, by path and query, and paid
    #[arg(long, value_name = "URL", value_parser = target)]
    pub(crate) target: Option<Url>,
    /// Be a plain HTTP proxy, and pay this host when it asks to be paid, at any port or at one; * for every host; may be
    /// repeated. Other hosts are asked and never paid
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) allow: Vec<AllowedHost>,
    /// Never pay more for one request: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_price: String,
    /// Never sign away more to one host until this program ends, lost answers included
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: String,
    /// Never let a channel hold more. Without it one is opened for a hundred requests, as far as the budget pays them, and
    /// topped up for half as many
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_deposit: Option<String>,
    /// The port to listen on, 0 for any free one; or an address with a port
    #[arg(long, value_name = "[HOST:]PORT", default_value = "4021", value_parser = local_address)]
    pub(crate) listen: SocketAddr,
    /// Listen on an address that other machines may reach, and accept that whoever reaches it spends the money
    #[arg(long)]
    pub(crate) let_others_spend: bool,
    /// The longest body of a request, in MiB; it is kept in memory, since a request may have to be repeated
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) max_body: u32,
    /// How long a server may take for the head of an answer, and then for each next piece
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Close the channels at the end
    #[arg(long)]
    pub(crate) close: bool,
    /// Print address and limits as one line of JSON; the default when piped
    #[arg(long)]
    pub(crate) json: bool,
}

/// A host that may be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AllowedHost {
    /// Every host.
    Any,
    /// One, by name or address.
    One {
        /// As a URL has it.
        host: String,
        /// Its port; `None` for all.
        port: Option<u16>,
    },
}

impl AllowedHost {
    /// Whether it is the host of a URL.
    pub(crate) fn is_of(&self, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::One { host, port } => {
                url.host_str() == Some(host) && (port.is_none() || *port == url.port_or_known_default())
            }
        }
    }
}

impl FromStr for AllowedHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a host as api.example or 10.0.0.7, perhaps with a port, or *";
        if text == "*" {
            return Ok(Self::Any);
        }
        let authority: Authority = text.parse().map_err(|_| FORM)?;
        let host = Host::parse(authority.host()).map_err(|_| FORM)?.to_string();
        let port = authority.port_u16();
        // A user's name, or a port that is none, would be left out silently.
        let written = match port {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        };
        (written == text).then_some(Self::One { host, port }).ok_or(FORM)
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One { host, port: None } => f.write_str(host),
            Self::One {
                host,
                port: Some(port),
            } => write!(f, "{host}:{port}"),
        }
    }
}

/// A server that paths can be appended to. A password in it would be in the list of processes.
fn target(text: &str) -> Result<Url, &'static str> {
    let url: Url = text.parse().map_err(|_| "a URL as http://api.example:5000")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("a URL that begins with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without a name and a password: the program that asks sends them");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a URL that ends with its path");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_at_all_ports_or_at_one() {
        for (allowed, url, expected) in [
            ("api.example", "http://api.example/a", true),
            ("API.example", "http://api.EXAMPLE:81/", true),
            ("api.example", "http://evil.api.example/", false),
            ("api.example", "http://api.example.evil/", false),
            ("api.example", "http://api.example@evil/", false),
            ("api.example:80", "http://api.example/", true),
            ("api.example:80", "https://api.example/", false),
            ("10.0.0.7:5000", "http://10.0.0.7:5000/", true),
            ("10.0.0.7:5000", "http://10.0.0.7:5001/", false),
            ("[::1]:5000", "http://[0:0::1]:5000/", true),
            ("*", "http://anything/", true),
        ] {
            let host: AllowedHost = allowed.parse().unwrap();
            assert_eq!(host.is_of(&url.parse().unwrap()), expected, "{allowed} {url}");
        }
        for bad in ["", "http://a", "a/b", "ann@a", "a:", "a:b", "*.a b", "a:99999"] {
            assert!(bad.parse::<AllowedHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_has_no_secrets_and_ends_with_its_path() {
        for good in ["http://a", "http://a:5000/v1/", "https://[::1]/b"] {
            assert!(target(good).is_ok(), "{good}");
        }
        for bad in [
            "a",
            "ftp://a",
            "http://ann@a",
            "http://ann:secret@a",
            "http://a?b",
            "http://a#b",
        ] {
            let refused = target(bad).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
