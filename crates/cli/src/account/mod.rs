//! `microraiden account`: the key that pays, and what it owns.

pub(crate) mod args;
mod fund;
mod new;
mod show;

use crate::Failure;
use args::{AccountArgs, AccountCommand};

/// Does what is asked for.
pub(crate) async fn run(args: AccountArgs) -> Result<(), Failure> {
    match args.command {
        AccountCommand::New(args) => new::run(&args),
        AccountCommand::Import(args) => new::import(&args),
        AccountCommand::Show(args) => show::run(&args).await,
        AccountCommand::Fund(args) => fund::run(&args).await,
    }
}
