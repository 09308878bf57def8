//! What `proxy check --online` asks.

use super::{Finding, Verdict};
use crate::Failure;
use crate::deploy::minutes;
use crate::proxy::route::Coin;
use crate::proxy::settings::Loaded;
use crate::proxy::values::Database;
use crate::proxy::{USUAL_KEY, said};
use crate::{data_folder, keys};
use microraiden_chain::deployment::in_ether;
use microraiden_chain::deployment::is_play_money;
use microraiden_chain::inspection::{Kind, block_time};
use microraiden_chain::{Contract, Inspection, Node, U256};
use microraiden_manager::DEVELOPMENT_CHAINS;
use microraiden_protocol::Address;
use microraiden_proxy::{Resource, Upstream};
use microraiden_store::{Binding, DatabaseUrl, database_binding};
use std::time::Duration;

/// What a close takes at most, with room for a price that doubles; as the channel manager counts.
const CLOSE_GAS: u128 = 2 * 110_000;
/// How long an upstream may take to answer.
const UPSTREAM_PATIENCE: Duration = Duration::from_secs(5);

/// Asks the nodes, the database and the upstreams.
///
/// # Errors
/// When a setting is wrong.
pub(super) async fn look(loaded: &Loaded) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let mut binding = None;
    if let Some(node) = nodes(loaded, &mut findings).await {
        match chain(loaded, &node, &mut findings).await {
            Ok(found) => binding = found,
            Err(error) => findings.push(Finding::good("chain", said(&*error)).with(Verdict::Bad)),
        }
    }
    if let Some(Database(url)) = &loaded.settings.store {
        findings.push(database(url, binding).await);
    }
    upstreams(loaded, &mut findings).await?;
    Ok(findings)
}

/// Asks each node; the first that answers is used.
async fn nodes(loaded: &Loaded, findings: &mut Vec<Finding>) -> Option<Node> {
    let settings = &loaded.settings;
    let mut first = None;
    for url in settings.nodes() {
        let address = url.origin().ascii_serialization();
        match Node::connect_to(std::slice::from_ref(&url), settings.node_options()).await {
            Ok(node) => {
                findings.push(Finding::good(
                    "node",
                    format!("{address} is on chain {}", node.chain_id()),
                ));
                first.get_or_insert(node);
            }
            Err(error) => {
                findings
                    .push(Finding::good("node", format!("{address}: {}", said(&error))).with(Verdict::Bad));
            }
        }
    }
    first
}

/// Looks at contract, token and gas money; gives what the state must belong to, where all of that is known.
async fn chain(
    loaded: &Loaded,
    node: &Node,
    findings: &mut Vec<Finding>,
) -> Result<Option<Binding>, Failure> {
    let settings = &loaded.settings;
    let id = node.chain_id();
    findings.push(match (is_play_money(id), settings.unaudited_real_money) {
        (true, _) => Finding::good("chain_id", format!("{id}, a test chain")),
        (false, true) => Finding::good(
            "chain_id",
            format!("{id}: real money, and the contract is unaudited"),
        )
        .with(Verdict::Warning),
        (false, false) => Finding::good(
            "chain_id",
            format!("{id}: real money; say unaudited_real_money to accept that"),
        )
        .with(Verdict::Bad),
    });
    if let Err(error) = node.check_block_numbers().await {
        findings.push(Finding::good("block_numbers", said(&error)).with(Verdict::Bad));
    }
    let (address, start_block) = loaded.contract(id)?;
    let found = Inspection::of(node, address, start_block).await?;
    let what = match &found.kind {
        Kind::Ours(_) => Some((Verdict::Good, "our channel contract, every byte")),
        Kind::Compatible(_) => Some((
            Verdict::Warning,
            "other code that answers as a channel contract of 0.2",
        )),
        Kind::NoCode | Kind::Token | Kind::Unknown => None,
    };
    let Some((verdict, what)) = what else {
        findings.push(
            Finding::good(
                "contract",
                format!("{address} is no channel contract on this chain"),
            )
            .with(Verdict::Bad),
        );
        return Ok(None);
    };
    findings.push(Finding::good("contract", format!("{address}: {what}")).with(verdict));
    findings.extend(
        found
            .code_hash
            .map(|hash| Finding::good("code_hash", hash.to_string())),
    );
    let contract = Contract::at(node.clone(), address).await?;
    let token = contract.token();
    let named = format!(
        "{} ({}, {} decimals) at {}",
        token.name, token.symbol, token.decimals, token.address
    );
    findings.push(Finding::good("token", named));
    findings.push(
        match loaded
            .site(Coin::Known(token))
            .map(|_| loaded.manager(Coin::Known(token)))
        {
            Ok(Ok(_)) => Finding::good("prices", "all can be expressed in the token"),
            Ok(Err(error)) | Err(error) => Finding::good("prices", said(&*error)).with(Verdict::Bad),
        },
    );
    challenge(loaded, node, &contract, findings).await?;
    match receiver(loaded)? {
        Some(receiver) => {
            gas_money(node, receiver, findings).await?;
            let escrow = contract.escrow();
            Ok(Some(Binding { escrow, receiver }))
        }
        None => {
            let made = "none is named, so one will be made in your folder for data at the start".to_owned();
            findings.push(Finding::good("receiver", made).with(Verdict::Warning));
            Ok(None)
        }
    }
}

/// Compares the challenge period with the least that it may last.
async fn challenge(
    loaded: &Loaded,
    node: &Node,
    contract: &Contract,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let blocks = contract.challenge_period();
    let least = loaded.manager(Coin::Unknown)?.min_challenge_time;
    let Some(time) = block_time(node).await? else {
        let said = format!("{blocks} blocks; how long they take is not seen yet");
        findings.push(Finding::good("challenge_period", said));
        return Ok(());
    };
    let said = format!("{blocks} blocks, about {} minutes", minutes(blocks, time));
    let finding = Finding::good("challenge_period", said);
    let is_short = time.saturating_mul(blocks) < least && !DEVELOPMENT_CHAINS.contains(&node.chain_id());
    findings.push(finding.with(if is_short { Verdict::Bad } else { Verdict::Good }));
    Ok(())
}

/// The address of the receiver; a keystore that tells it is not opened.
fn receiver(loaded: &Loaded) -> Result<Option<Address>, Failure> {
    let settings = &loaded.settings;
    let file = match &settings.private_key {
        Some(file) => file.clone(),
        None => data_folder::path("--private-key")?.join(USUAL_KEY),
    };
    if settings.private_key.is_none() && file.symlink_metadata().is_err() {
        return Ok(None);
    }
    let password_file = settings.private_key_password_file.as_deref();
    let address =
        keys::address(&file, password_file).map_err(|error| loaded.fault("private_key", said(&error)))?;
    Ok(Some(address))
}

/// Whether the receiver can pay a close.
async fn gas_money(node: &Node, receiver: Address, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    findings.push(Finding::good("receiver", receiver.to_string()));
    let balance = node.eth_balance(receiver).await?;
    let close = U256::from(node.gas_price().await?.saturating_mul(CLOSE_GAS));
    let said = format!(
        "{} ether, and a close needs up to {}",
        in_ether(balance),
        in_ether(close)
    );
    let is_enough = balance >= close;
    let finding = Finding::good("gas_money", said);
    findings.push(finding.with(if is_enough { Verdict::Good } else { Verdict::Bad }));
    Ok(())
}

/// Whether a proxy can use the database.
async fn database(url: &DatabaseUrl, wanted: Option<Binding>) -> Finding {
    let (value, verdict) = match database_binding(url).await {
        Err(error) => (said(&error), Verdict::Bad),
        Ok(None) => (
            "empty; the first proxy makes the tables".to_owned(),
            Verdict::Good,
        ),
        Ok(Some(Binding { escrow, receiver })) => {
            let (chain, contract) = (escrow.chain_id, escrow.contract);
            let value =
                format!("has the state of receiver {receiver} at contract {contract} on chain {chain}");
            let is_ours = wanted.is_none_or(|wanted| wanted == Binding { escrow, receiver });
            (value, if is_ours { Verdict::Good } else { Verdict::Bad })
        }
    };
    Finding::good("database", value).with(verdict)
}

/// Asks each upstream once; whatever it answers, it is there.
async fn upstreams(loaded: &Loaded, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let mut asked = Vec::new();
    for route in loaded.site(Coin::Unknown)?.routes {
        let Resource::Upstream { url, mut options } = route.resource else {
            continue;
        };
        let address = url.origin().ascii_serialization();
        if asked.contains(&address) {
            continue;
        }
        options.timeout = UPSTREAM_PATIENCE;
        let upstream = Upstream::with_options(url, options)?;
        findings.push(match upstream.probe().await {
            Ok(status) => Finding::good("upstream", format!("{address} answers {status}")),
            Err(error) => {
                Finding::good("upstream", format!("{address}: {}", said(&error))).with(Verdict::Bad)
            }
        });
        asked.push(address);
    }
    Ok(())
}
