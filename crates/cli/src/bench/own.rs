//! The bench without a URL: a chain, senders, a receiver and perhaps a server behind it, all in this process.

use super::apart::Apart;
use super::machine::Cores;
use super::measure::{Measuring, Plan};
use super::receiver::{self, PRICE, Till};
use super::report::{Report, Setting};
use super::stock::{self, Goods, Payer};
use crate::Failure;
use crate::args::BenchArgs;
use crate::progress::Progress;
use crate::proxy::Database;
use crate::sandbox::{self, RECEIVER};
use http::HeaderMap;
use microraiden_chain::{Contract, Wallet, token};
use microraiden_devchain::{Config, DevChain};
use microraiden_manager::{ChannelManager, Receiver, StoreLocation};
use microraiden_protocol::{Address, Balance, Deposit, SecretKey};
use microraiden_sender::Client;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use url::Url;

/// How many channels pay unless it is said.
const SENDERS: u32 = 16;
/// The longest window that is not counted.
const WARM_UP: Duration = Duration::from_millis(500);
/// How many senders are prepared at a time.
const AT_A_TIME: usize = 16;
/// How long several receivers may take until they know the same.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// What each channel is opened with, in base units; it is never used up.
const DEPOSIT: u64 = 1_000_000_000_000;

/// Measures a receiver of its own.
pub(super) async fn run(args: &BenchArgs, progress: &Progress) -> Result<Report, Failure> {
    let cores = Cores::apart();
    if !cores.are_pinned() {
        progress.tell("receiver and load cannot have a core each here, so the figures will be too low");
    }
    let state = match &args.state_dir {
        Some(folder) => tempfile::Builder::new().prefix("bench").tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let state = state.map_err(|error| {
        format!("there is no place for the state file: {error}; name a folder by --state-dir")
    })?;
    progress.say("starting the chain and deploying the contracts");
    let chain = DevChain::start(Config::default()).await?;
    let url: Url = chain.url().parse()?;
    let (contract, _) = sandbox::deploy(&url).await?;
    let receiver = sandbox::key_of(RECEIVER)?;
    let count = args.senders.unwrap_or(SENDERS);
    progress.say(&format!("opening {count} channels"));
    let payers = open(&chain, &contract, receiver.address(), count).await?;
    // What is there at the start is read before the receiver listens; none is mined afterwards.
    chain.mine(2);
    progress.say("starting the receiver");
    let receiver = Receiver {
        rpc: vec![url],
        contract: contract.address(),
        key: receiver,
        store: match &args.store {
            Some(Database(url)) => StoreLocation::Database(url.clone()),
            None => StoreLocation::File(state.path().join("receiver.db")),
        },
    };
    let mut running = Vec::new();
    for _ in 0..args.instances {
        running.push(match args.reverse_proxy {
            true => receiver::start_proxy(receiver.clone(), cores).await?,
            false => receiver::start(receiver.clone(), cores).await?,
        });
    }
    until_all_know(&running, &payers).await?;
    let servers: Vec<_> = running.iter().map(|running| running.shown.address).collect();
    let server = *servers.first().ok_or("there is no receiver")?;
    let at = |path: &str| format!("http://{server}{path}").parse::<Url>();
    let goods = Goods {
        url: at(receiver::PAID)?,
        price: PRICE.into(),
        contract: contract.address(),
        scheme: contract.scheme(),
    };
    let unpaid = stock::request(&at(receiver::UNPAID)?, &HeaderMap::new());
    let mut setting = Setting::here(cores, Some(state.path()), args.seconds);
    if args.store.is_some() {
        setting.file_system = None;
        setting.store = Some("PostgreSQL");
        setting.instances = args.instances;
        setting.affinity = Some(!args.without_affinity);
    }
    setting.reverse_proxy = args.reverse_proxy;
    setting.senders = payers.len();
    setting.in_flight = usize::try_from(args.in_flight)?;
    setting.repetitions = args.repetitions;
    setting.price = format!("{PRICE} base unit");
    let plan = Plan {
        goods,
        servers,
        rotates: args.without_affinity,
        unpaid: Some((server, unpaid)),
        checks_signatures: true,
        in_flight: setting.in_flight,
        warm_up: args.seconds.min(WARM_UP),
        length: args.seconds,
        repetitions: args.repetitions,
        cores,
        cancel: Arc::default(),
    };
    let mut measuring = Measuring::new(plan, payers);
    measuring.run(progress).await?;
    let differences = until_the_same(&running, &measuring.payers).await;
    if running.len() > 1 {
        let conflicts: u64 = running
            .iter()
            .map(|running| running.shown.manager.conflicts())
            .sum();
        let served: u64 = measuring.payers.iter().map(|payer| payer.served).sum();
        measuring.notes.push(format!(
            "{conflicts} decisions of {served} were made again since another instance had been faster"
        ));
    }
    for running in running {
        running.stop().await?;
    }
    chain.stop().await;
    if setting.file_system.as_deref() == Some("tmpfs") {
        measuring.notes.push(
            "the state file was in memory, where nothing is durable; name a folder on a disk by --state-dir"
                .to_owned(),
        );
    }
    let served = measuring.payers.iter().map(|payer| payer.served).sum();
    Ok(Report::new(setting, measuring, served, differences))
}

/// Opens a channel for each of `count` senders, with ether out of nothing and tokens that it mints.
async fn open(
    chain: &DevChain,
    contract: &Contract,
    receiver: Address,
    count: u32,
) -> Result<Vec<Payer>, Failure> {
    let mut payers = Vec::new();
    let mut opening = JoinSet::new();
    for number in 0..count {
        if opening.len() == AT_A_TIME {
            payers.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let key = sender(number)?;
        // Enough for the minting and all gas.
        chain.set_balance(key.address(), token::mint_price_wei() << 5);
        let contract = contract.clone();
        opening.spawn(async move {
            let wallet = Wallet::new(contract.node().clone(), key.clone());
            token::mint(&wallet, contract.token().address).await?;
            let client = Client::with_wallet(contract, key.clone(), wallet);
            let deposit = Deposit::from(DEPOSIT);
            let channel = client.open_channel(receiver, deposit).await?;
            Ok::<_, Failure>(Payer::new(key, channel.id(), deposit.limit()))
        });
    }
    while let Some(opened) = opening.join_next().await {
        payers.push(opened??);
    }
    Ok(payers)
}

/// The key of a sender: known to everybody, for a chain without value that ends with the process.
fn sender(number: u32) -> Result<SecretKey, Failure> {
    let mut bytes = [0x42; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    Ok(SecretKey::from_bytes(&bytes)?)
}

/// Waits until every receiver takes payments on all channels.
async fn until_all_know(running: &[Apart<Till>], payers: &[Payer]) -> Result<(), Failure> {
    let begin = Instant::now();
    let knows = |running: &Apart<Till>| {
        let manager = &running.shown.manager;
        let knows_all = payers
            .iter()
            .all(|payer| manager.channel(payer.channel()).is_some());
        knows_all && manager.readiness().is_ok()
    };
    while !running.iter().all(knows) {
        if begin.elapsed() > LONGEST_WAIT {
            return Err("a receiver does not begin to sell; is the database empty?".into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Compares what the first receiver knows, once it has read what others have written.
async fn until_the_same(running: &[Apart<Till>], payers: &[Payer]) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let first = running.first().map(|running| &running.shown.manager);
        let differences = first.map_or_else(Vec::new, |manager| compare(manager, payers));
        if differences.is_empty() || running.len() == 1 || begin.elapsed() > LONGEST_WAIT {
            return differences;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where the receiver has another balance than what was served on the channel cost.
fn compare(manager: &ChannelManager, payers: &[Payer]) -> Vec<String> {
    let differences = payers.iter().filter_map(|payer| {
        let stored = manager.channel(payer.channel()).map(|overview| overview.balance);
        let served = payer.paid(PRICE.into());
        (stored.is_none() || stored != served).then(|| difference(payer, stored))
    });
    differences.collect()
}

/// In words.
pub(super) fn difference(payer: &Payer, stored: Option<Balance>) -> String {
    let stored = stored.map_or_else(|| "nothing".to_owned(), |stored| stored.to_string());
    format!(
        "channel {}: {stored} is stored, {} requests were served",
        payer.channel(),
        payer.served
    )
}
