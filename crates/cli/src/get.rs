//! `microraiden get`: request a URL, and pay for it within limits.

use crate::args::GetArgs;
use crate::proxy::check_play_money;
use crate::{Failure, amounts, deployment_file, keys};
use microraiden_chain::{Contract, Node};
use microraiden_protocol::{Amount, Deposit, Price};
use microraiden_sender::{Client, Closing, DepositPolicy, Session, SessionConfig};
use std::io::Write;

/// Makes one request; fails when the answer is not a success.
pub(crate) async fn run(args: GetArgs) -> Result<(), Failure> {
    let key = keys::load(
        &args.chain.private_key,
        args.chain.private_key_password_file.as_deref(),
    )?;
    let node = Node::connect_to(&args.chain.rpc_provider, args.chain.node_options()).await?;
    check_play_money(node.chain_id(), args.unaudited_real_money)?;
    node.check_block_numbers().await?;
    let (address, _) = deployment_file::locate(&args.chain.contract, node.chain_id())?;
    let contract = Contract::at(node, address).await?;
    let token = contract.token().clone();
    let read = |text: &str| amounts::parse(text, &token.symbol, token.decimals);
    let max_price = read(&args.max_price)?;
    // A sum of ten, since amounts do not multiply.
    let ten_times = (0..10).try_fold(Amount::ZERO, |sum, _| sum.checked_add(max_price));
    let max_deposit = match &args.max_deposit {
        Some(text) => read(text)?,
        None => ten_times.ok_or("ten times --max-price is more than any token has; give --max-deposit")?,
    };
    let deposits = DepositPolicy {
        max_deposit: Deposit::new(max_deposit.base_units()),
        ..DepositPolicy::default()
    };
    let config = SessionConfig {
        deposits,
        ..SessionConfig::new(Price::new(max_price.base_units()), max_price)
    };
    let session = Session::new(Client::new(contract, key), config)?;
    let show = |amount: Amount| amounts::format(amount, &token.symbol, token.decimals);

    let paid = session.get(args.url).await?;
    eprintln!("paid {}", show(paid.cost));
    if !paid.lost.is_zero() {
        eprintln!("paid {} besides, for an answer that was lost", show(paid.lost));
    }
    for channel in session.channels() {
        let (block, left) = (channel.block(), show(channel.remaining()));
        eprintln!(
            "channel to {} opened in block {block}: {left} left",
            channel.receiver()
        );
    }
    let status = paid.response.status();
    let body = paid.response.bytes().await?;
    std::io::stdout().write_all(&body)?;
    if args.close {
        for closed in session.close().await? {
            match closed.closing {
                Closing::Cooperative => eprintln!("closed at {}", show(closed.balance.into())),
                Closing::Uncooperative { denial } => eprintln!(
                    "the receiver did not agree to close ({denial}); asked the contract, settle after the challenge period"
                ),
            }
        }
    }
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the answer is {status}").into())
    }
}
