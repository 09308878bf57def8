//! `microraiden devchain`: the development chain alone.

use crate::args::DevchainArgs;
use crate::{Failure, interrupted};
use microraiden_devchain::{Config, DevChain, Mining};
use std::net::SocketAddr;
use std::time::Duration;

/// How long requests in flight may take at the end.
const GRACE: Duration = Duration::from_secs(2);

/// Runs until interrupted.
pub(crate) async fn run(args: DevchainArgs) -> Result<(), Failure> {
    let interval = args
        .block_time
        .map(Duration::try_from_secs_f64)
        .transpose()
        .ok()
        .filter(|interval| interval.is_none_or(|interval| !interval.is_zero()))
        .ok_or("--block-time is a number of seconds above 0")?;
    let chain = DevChain::start(Config {
        listen: SocketAddr::new(args.host, args.port),
        chain_id: args.chain_id,
        mining: Mining {
            instant: !args.no_instant,
            interval,
        },
        ..Config::default()
    })
    .await?;
    println!(
        "Development chain, id {}. Its keys are public: never use them elsewhere.\n",
        chain.chain_id()
    );
    println!("{:<44}Private key", "Account (10,000 ETH each)");
    for account in chain.accounts() {
        println!("{}  {}", account.address, account.secret_key);
    }
    println!("\nListening on {}; Ctrl-C ends it.", chain.url());
    interrupted().await;
    // A client with half a request would hold it up; there is nothing to lose.
    let _ = tokio::time::timeout(GRACE, chain.stop()).await;
    Ok(())
}
