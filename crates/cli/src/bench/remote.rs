//! The bench with a URL: channels to a running receiver, which are closed at the end.

use super::machine::Cores;
use super::measure::{Measuring, Plan};
use super::own::difference;
use super::report::{Report, Setting};
use super::seller::{Seller, resolve};
use super::stock::{self, Goods, Payer};
use crate::args::{BenchArgs, ContractArgs};
use crate::progress::Progress;
use crate::proxy::check_play_money;
use crate::{Failure, amounts, deployment_file, interrupted, keys};
use http::HeaderMap;
use microraiden_chain::{Contract, Node};
use microraiden_protocol::{Amount, Balance, ChannelId, Deposit, Price, SecretKey};
use microraiden_sender::{Channel, Client};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// How many channels pay unless it is said: each costs gas.
const CHANNELS: u32 = 4;

/// Opens channels, measures, and closes them, also after Ctrl-C.
pub(super) async fn run(args: &BenchArgs, url: &Url, progress: &Progress) -> Result<Report, Failure> {
    let cancel = Arc::<AtomicBool>::default();
    let watched = cancel.clone();
    let watch = tokio::spawn(async move {
        interrupted().await;
        watched.store(true, Ordering::Relaxed);
    });
    let report = run_until(args, url, progress, cancel).await;
    watch.abort();
    report
}

async fn run_until(
    args: &BenchArgs,
    url: &Url,
    progress: &Progress,
    cancel: Arc<AtomicBool>,
) -> Result<Report, Failure> {
    let seller = Seller::ask(url).await?;
    let (contract, key) = chain(args).await?;
    let goods = seller.goods(&contract)?;
    let deposits = Deposits::within(args, goods.price, &contract)?;
    deposits.check_held(&contract, &key).await?;
    progress.tell(&deposits.in_words(&contract));
    let mut run = Run {
        args,
        progress,
        cancel,
        seller,
        contract,
        key,
        goods,
        channels: Vec::new(),
        payers: Vec::new(),
    };
    let measured = run.measure(&deposits).await;
    run.close().await;
    measured
}

/// The node, the contract and the key that were named.
async fn chain(args: &BenchArgs) -> Result<(Contract, SecretKey), Failure> {
    let file = args.private_key.as_deref().ok_or("--private-key is missing")?;
    let key = keys::load(file, args.private_key_password_file.as_deref())?;
    let node = Node::connect(&args.rpc_provider).await?;
    check_play_money(node.chain_id(), args.unaudited_real_money)?;
    node.check_block_numbers().await?;
    let named = ContractArgs {
        channel_manager_address: args.channel_manager_address,
        deployment_file: args.deployment_file.clone(),
    };
    let (address, _) = deployment_file::locate(&named, node.chain_id())?;
    Ok((Contract::at(node, address).await?, key))
}

/// What is deposited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deposits {
    channels: u32,
    /// In each channel: a whole number of requests.
    each: Deposit,
    price: Price,
}

impl Deposits {
    /// As much as the limit allows.
    ///
    /// # Errors
    /// When it does not allow a request on each channel.
    fn within(args: &BenchArgs, price: Price, contract: &Contract) -> Result<Self, Failure> {
        let token = contract.token();
        let limit = args.max_total.as_deref().ok_or("--max-total is missing")?;
        let limit = amounts::parse(limit, &token.symbol, token.decimals)?;
        let channels = args.senders.unwrap_or(CHANNELS);
        Self::divide(limit, channels, price).ok_or_else(|| {
            let price = amounts::format(price, &token.symbol, token.decimals);
            format!("--max-total is below one request for {price} on each of {channels} channels").into()
        })
    }

    fn divide(limit: Amount, channels: u32, price: Price) -> Option<Self> {
        let share = limit
            .base_units()
            .checked_div(Amount::from(u64::from(channels)).base_units())?;
        let requests = share.checked_div(price.base_units())?;
        let each = Deposit::new(requests.checked_mul(price.base_units())?);
        (!each.is_zero()).then_some(Self {
            channels,
            each,
            price,
        })
    }

    fn total(&self) -> Option<Amount> {
        let channels = Amount::from(u64::from(self.channels)).base_units();
        self.each.base_units().checked_mul(channels).map(Amount::new)
    }

    /// Makes sure that the tokens are there before the first channel is opened.
    async fn check_held(&self, contract: &Contract, key: &SecretKey) -> Result<(), Failure> {
        let held = contract.token_balance(key.address()).await?;
        if self.total().is_none_or(|total| held < total) {
            let token = contract.token();
            let held = amounts::format(held, &token.symbol, token.decimals);
            return Err(format!("{} holds only {held}; lower --max-total", key.address()).into());
        }
        Ok(())
    }

    fn in_words(&self, contract: &Contract) -> String {
        let token = contract.token();
        let show = |amount: Amount| amounts::format(amount, &token.symbol, token.decimals);
        let requests = self.each.base_units() / self.price.base_units();
        format!(
            "{} channels are opened with {} each, {} in all: enough for {requests} requests on each. What is not spent \
             comes back when they are closed at the end.",
            self.channels,
            show(self.each.into()),
            show(self.total().unwrap_or(Amount::MAX)),
        )
    }
}

/// A run, with what must be closed whatever happens.
struct Run<'a> {
    args: &'a BenchArgs,
    progress: &'a Progress,
    cancel: Arc<AtomicBool>,
    seller: Seller,
    contract: Contract,
    key: SecretKey,
    goods: Goods,
    channels: Vec<Channel>,
    payers: Vec<Payer>,
}

impl Run<'_> {
    async fn measure(&mut self, deposits: &Deposits) -> Result<Report, Failure> {
        let client = Client::new(self.contract.clone(), self.key.clone());
        for number in 1..=deposits.channels {
            if self.cancel.load(Ordering::Relaxed) {
                return Err("interrupted before anything was measured".into());
            }
            self.progress
                .say(&format!("opening channel {number} of {}", deposits.channels));
            // One after the other: a channel is named by the block that opened it.
            let receiver = self.seller.challenge.receiver;
            let channel = client.open_channel(receiver, deposits.each).await?;
            let limit = deposits.each.limit();
            self.payers
                .push(Payer::new(self.key.clone(), channel.id(), limit));
            self.channels.push(channel);
        }
        self.progress
            .say("waiting until the receiver takes the channels as confirmed");
        self.seller
            .pay_first(&mut self.payers, &self.goods, &self.cancel)
            .await?;
        let plan = self.plan().await?;
        let mut setting = Setting::here(plan.cores, None, plan.length);
        let token = self.contract.token();
        setting.url = Some(self.goods.url.to_string());
        setting.senders = self.payers.len();
        setting.in_flight = plan.in_flight;
        setting.repetitions = plan.repetitions;
        setting.price = amounts::format(self.goods.price, &token.symbol, token.decimals);
        let mut measuring = Measuring::new(plan, std::mem::take(&mut self.payers));
        let measured = measuring.run(self.progress).await;
        self.payers = std::mem::take(&mut measuring.payers);
        measured?;
        let differences = self.compare().await?;
        let served = self.payers.iter().map(|payer| payer.served).sum();
        Ok(Report::new(setting, measuring, served, differences))
    }

    async fn plan(&self) -> Result<Plan, Failure> {
        let unpaid = match &self.args.unpaid_url {
            Some(url) => Some((resolve(url).await?, stock::request(url, &HeaderMap::new()))),
            None => None,
        };
        Ok(Plan {
            goods: self.goods.clone(),
            servers: vec![self.seller.address],
            rotates: false,
            unpaid,
            checks_signatures: false,
            in_flight: usize::try_from(self.args.in_flight)?,
            warm_up: Duration::ZERO,
            length: self.args.seconds,
            repetitions: self.args.repetitions,
            cores: Cores::unpinned(),
            cancel: self.cancel.clone(),
        })
    }

    /// Where the receiver has another balance than what was served on the channel cost.
    async fn compare(&self) -> Result<Vec<String>, Failure> {
        let mut differences = Vec::new();
        for payer in &self.payers {
            let stored = self.seller.stored(payer.channel()).await?;
            if stored.is_none() || stored != payer.paid(self.goods.price) {
                differences.push(difference(payer, stored));
            }
        }
        Ok(differences)
    }

    /// Closes what was opened, at what was served; says what cannot be closed.
    async fn close(&self) {
        let owed: HashMap<ChannelId, Option<Balance>> = self
            .payers
            .iter()
            .map(|payer| (*payer.channel(), payer.paid(self.goods.price)))
            .collect();
        for (number, channel) in self.channels.iter().enumerate() {
            self.progress.say(&format!(
                "closing channel {} of {}",
                number + 1,
                self.channels.len()
            ));
            let closed = match owed.get(&channel.id()).copied().flatten() {
                Some(balance) => {
                    self.seller
                        .close(channel, balance, &self.contract, &self.key)
                        .await
                }
                None => Err("what is owed on it is unknown".into()),
            };
            if let Err(error) = closed {
                self.progress.tell(&format!(
                    "channel {} stays open: {error}\n  `microraiden get {} --close` with the same key uses such a \
                     channel once more, asks the receiver what is owed, and closes it: the rest of the deposit comes back",
                    channel.id(),
                    self.goods.url,
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_exceeded() {
        for (limit, channels, price, each) in [
            (100, 4, 5, Some(25)),
            (100, 3, 5, Some(30)),
            (99, 4, 5, Some(20)),
            (19, 4, 5, None),
            (0, 1, 1, None),
            (7, 1, 1, Some(7)),
            (7, 1, 0, None),
        ] {
            let deposits = Deposits::divide(limit.into(), channels, price.into());
            let found = deposits.map(|deposits| deposits.each);
            assert_eq!(found, each.map(Deposit::from), "{limit} {channels} {price}");
            let total = deposits.and_then(|deposits| deposits.total());
            assert!(total.is_none_or(|total| total <= limit.into()));
        }
    }
}
