//! `microraiden proxy check`: what settings mean, and whether they can be used.

mod online;

use super::route::{Coin, RouteLine};
use super::settings::{Loaded, Source};
use crate::Failure;
use crate::deploy::{table, wants_json};
use clap::Args;
use serde_json::{Value, json};

/// Options of `proxy check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden proxy check --config proxy.toml             is the file right, and what is sold?
  microraiden proxy check --config proxy.toml --online    and are node, contract, gas money, database and upstreams there?
  microraiden proxy check --config proxy.toml --json | jq '.routes[].path'

Nothing is sold, signed or written. It ends with status 1 when the settings cannot be used, or something that is needed
is not there.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    source: Source,
    /// Ask the node, the database and the upstreams, too
    #[arg(long)]
    online: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    json: bool,
}

/// Something that was looked at.
#[derive(Debug)]
struct Finding {
    /// What: one word for programs, in snake case.
    name: &'static str,
    value: String,
    verdict: Verdict,
}

/// What it means for the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It can sell, but somebody should look.
    Warning,
    /// It cannot sell.
    Bad,
}

/// Something that is needed is not there.
#[derive(Debug, thiserror::Error)]
#[error("{} not as the proxy needs it: {}", if *.0 == 1 { "one thing is" } else { "some things are" }, .1)]
struct NotReady(usize, String);

impl Finding {
    fn good(name: &'static str, value: impl Into<String>) -> Self {
        let (value, verdict) = (value.into(), Verdict::Good);
        Self { name, value, verdict }
    }

    fn with(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }
}

/// Looks, and tells.
pub(super) async fn run(args: CheckArgs) -> Result<(), Failure> {
    let loaded = args.source.load()?;
    loaded.site(Coin::Unknown)?;
    loaded.manager(Coin::Unknown)?;
    let lines = loaded.route_lines();
    let findings = match args.online {
        true => online::look(&loaded).await?,
        false => Vec::new(),
    };
    if wants_json(args.json) {
        println!("{:#}", report(&lines, &findings));
    } else {
        show(&lines, &findings, args.online);
    }
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .map(|finding| finding.name)
        .collect();
    match bad.is_empty() {
        true => Ok(()),
        false => Err(NotReady(bad.len(), bad.join(", ")).into()),
    }
}

/// Says in the log what is sold.
pub(super) fn tell(loaded: &Loaded) {
    for line in loaded.route_lines() {
        let RouteLine {
            hosts,
            path,
            price,
            resource,
            ..
        } = line;
        tracing::info!(hosts, path, price, resource, "sells");
    }
}

fn report(lines: &[RouteLine], findings: &[Finding]) -> Value {
    let verdict = |verdict| match verdict {
        Verdict::Good => "good",
        Verdict::Warning => "warning",
        Verdict::Bad => "bad",
    };
    let findings = findings.iter().map(|finding| {
        json!({ "name": finding.name, "value": finding.value, "verdict": verdict(finding.verdict) })
    });
    json!({ "routes": lines, "findings": findings.collect::<Vec<_>>() })
}

fn show(lines: &[RouteLine], findings: &[Finding], online: bool) {
    let mut routes = table();
    routes.set_header(["Host", "Path", "Price", "From", "And"]);
    for line in lines {
        routes.add_row([
            &line.hosts,
            &line.path,
            &line.price,
            &line.resource,
            &line.more.join("\n"),
        ]);
    }
    println!("{routes}");
    if !online {
        println!(
            "The settings can be used. With --online, node, contract, token, gas money, database and upstreams are asked, too."
        );
        return;
    }
    let mut found = table();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Warning => "look",
            Verdict::Bad => "FAULT",
        };
        found.add_row([mark, &finding.name.replace('_', " "), &finding.value]);
    }
    println!("{found}");
}
