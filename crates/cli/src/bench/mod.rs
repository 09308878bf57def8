//! `microraiden bench`: how many paid requests are served, and how long they take.
//!
//! In reading order: [`own`] (with a [`receiver`] in this process, which may be the reverse proxy) and
//! [`remote`] (against a running one) prepare; [`measure`] has the order of the measurements; [`load`]
//! makes the requests that [`stock`] has signed, over the connections of [`client`]; [`figures`] and
//! [`report`] tell.
//!
//! Invariants: every answer is checked; what the receiver has stored is compared with what it
//! served, to the unit; nothing is signed above what was allowed.

mod apart;
mod client;
mod figures;
mod load;
mod machine;
mod measure;
mod own;
mod receiver;
mod remote;
mod report;
mod seller;
mod stock;

use crate::args::BenchArgs;
use crate::progress::Progress;
use crate::{Failure, interrupted};
use std::io::IsTerminal;

/// Measures and reports.
pub(crate) async fn run(args: BenchArgs) -> Result<(), Failure> {
    let progress = Progress::new();
    let report = match &args.url {
        // Nothing is lost with it.
        None => tokio::select! {
            report = own::run(&args, &progress) => report,
            () = interrupted() => Err("interrupted".into()),
        },
        // It closes its channels, also when it is interrupted.
        Some(url) => remote::run(&args, url, &progress).await,
    };
    progress.done();
    let report = report?;
    if args.json || !std::io::stdout().is_terminal() {
        println!("{:#}", report.json());
    } else {
        println!("{}", report.text());
    }
    Ok(report.verdict()?)
}
