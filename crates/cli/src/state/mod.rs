//! `microraiden backup`, `restore` and `state`: what an operator does with state files.

pub(crate) mod args;
mod default;
mod summary;

pub(crate) use default::{default_file, default_quota_file};

use crate::Failure;
use crate::deploy::wants_json;
use args::{BackupArgs, RestoreArgs, StateFileArgs};
use microraiden_store::{Contents, backup, inspect, restore};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;
use std::time::Instant;
use summary::Summary;

/// Makes a backup.
pub(crate) fn run_backup(args: &BackupArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let contents = backup(&args.state_file, &args.to, args.force)?;
    show(&contents, wants_json(args.json), Some((&args.to, begin)));
    Ok(())
}

/// Makes a state file of a backup, and says what that means.
pub(crate) fn run_restore(args: &RestoreArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let contents = restore(&args.from, &args.state_file)?;
    show(&contents, wants_json(args.json), Some((&args.state_file, begin)));
    eprintln!("{}", consequences(Summary::of(&contents).channels.unsettled()));
    Ok(())
}

/// Shows what is in a state file or a backup.
pub(crate) fn run_state(args: &StateFileArgs) -> Result<(), Failure> {
    let contents = inspect(&args.state_file)?;
    show(&contents, wants_json(args.json), None);
    Ok(())
}

/// Prints what a state holds, and, if it was just written, where it is and how long that took.
fn show(contents: &Contents, json: bool, written: Option<(&Path, Instant)>) {
    let summary = Summary::of(contents);
    let written = written.map(|(path, begin)| {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        (path, bytes, begin.elapsed())
    });
    if json {
        let mut object = Map::<String, Value>::new();
        if let Some((path, bytes, time)) = written {
            object.insert("file".to_owned(), path.to_string_lossy().into());
            object.insert("bytes".to_owned(), bytes.into());
            object.insert("seconds".to_owned(), time.as_secs_f64().into());
        }
        object.extend(summary.json());
        println!("{:#}", Value::Object(object));
        return;
    }
    println!("{}", summary.table());
    if let Some((path, bytes, time)) = written {
        let size = indicatif::HumanBytes(bytes);
        println!(
            "Written to {}: {size} in {:.1} s.",
            path.display(),
            time.as_secs_f64()
        );
    }
}

/// What a restored state can do, cannot do, and may cost.
fn consequences(channels: usize) -> String {
    format!(
        "
Payments that were accepted after the backup are not known in this state. All channels that were opened before it
is started ({channels} of them in the backup and not settled) sell nothing until you decide otherwise.

What next:
- Start `microraiden proxy` with this state file. It goes on following the chain and disputes stale closes with
  the proofs that it has. It sells on channels that are opened from then on.
- Close the old channels by `microraiden close-all`; their senders can open new ones.
- Or accept the risk: `microraiden resume-selling`, or start the proxy with --resume-selling.

The risk: senders may have paid more than this state knows. Who has can pay with the same proofs again, and get
content twice. And the receiver claims what it knows: less than it was owed, where a sender does not pay on."
    )
}
