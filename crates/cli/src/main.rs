//! The program `microraiden`: arguments, files and composition; the parts live in the libraries.

mod account;
mod args;
mod bench;
mod channels;
mod data_folder;
mod demo;
mod deploy;
mod deployment_file;
mod devchain;
mod exit;
mod hash_password;
mod keys;
mod operate;
mod pay_proxy;
mod progress;
mod proxy;
#[cfg(test)]
mod reference;
mod request;
mod sandbox;
mod sender;
mod state;
mod stats;
mod units;

use args::{Cli, Command, LogFormat};
use clap::Parser;
use http::Method;
use microraiden_protocol::denomination as amounts;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// A paid request allocates some dozens of times, on several threads; this takes less time for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An error with its causes, for a person; [`exit`] says with which status the program ends.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(cli.command.default_log()));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Devchain(args) => devchain::run(args).await,
            Command::Deploy(args) => deploy::run(args).await,
            Command::Proxy(args) => proxy::run(*args).await,
            Command::Init(args) => proxy::init::run(&args),
            Command::Backup(args) => state::run_backup(&args),
            Command::Restore(args) => state::run_restore(&args).await,
            Command::State(args) => state::run_state(&args).await,
            Command::Migrate(args) => state::migrate::run(&args).await,
            Command::Account(args) => account::run(args).await,
            Command::Get(args) => request::run(Method::GET, args).await,
            Command::Post(args) => request::run(Method::POST, args).await,
            Command::Put(args) => request::run(Method::PUT, args).await,
            Command::Patch(args) => request::run(Method::PATCH, args).await,
            Command::Delete(args) => request::run(Method::DELETE, args).await,
            Command::Head(args) => request::run(Method::HEAD, args).await,
            Command::Options(args) => request::run(Method::OPTIONS, args).await,
            Command::Channels(args) => channels::run(args).await,
            Command::Stats(args) => stats::run(args).await,
            Command::PayProxy(args) => pay_proxy::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::CloseAll(args) => operate::close_all(args).await,
            Command::Withdraw(args) => operate::withdraw(args).await,
            Command::ResumeSelling(args) => operate::resume(args).await,
            Command::HashPassword(_) => hash_password::run(),
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&*error),
    }
}

/// Prints an error and what caused it; gives the status that it ends the program with.
fn report(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {error}");
    let mut source = error.source();
    let mut printed = error.to_string();
    while let Some(cause) = source {
        let text = cause.to_string();
        // A transparent error repeats the one below it.
        if text != printed {
            eprintln!("  because: {text}");
        }
        printed = text;
        source = cause.source();
    }
    exit::Status::of(error).into()
}

/// Takes the port that was asked for.
async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("cannot listen on {address}: {error}; choose another port").into())
}

/// Resolves at Ctrl-C or SIGTERM, also when they come before it is waited for.
fn interrupted() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    async {
        match signals {
            Ok((mut terminate, mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            Err(error) => tracing::error!(%error, "signals cannot be handled"),
        }
    }
}
