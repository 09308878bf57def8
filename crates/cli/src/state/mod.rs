//! `microraiden backup`, `restore`, `state` and `migrate`: what an operator does with state files, and with databases
//! in their place.

pub(crate) mod args;
mod default;
pub(crate) mod migrate;
mod summary;

pub(crate) use default::{default_file, default_quota_file};

use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::Misuse;
use args::{BackupArgs, RestoreArgs, ShowStateArgs};
use microraiden_store::{
    Contents, DatabaseUrl, backup, inspect, inspect_database, restore, restored_database,
};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;
use std::time::Instant;
use summary::Summary;

/// Makes a backup.
pub(crate) fn run_backup(args: &BackupArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let contents = backup(&args.state_file, &args.to, args.force)?;
    show(&contents, wants_json(args.json), Some(written(&args.to, begin)));
    Ok(())
}

/// Makes a state file of a backup, or takes note that a database was restored, and says what that means.
pub(crate) async fn run_restore(args: &RestoreArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let (contents, done, place) = match (&args.store, &args.from, &args.state_file) {
        (Some(store), _, _) => {
            let contents = restored_database(&store.0).await?;
            (contents, noted(&store.0), "database")
        }
        (None, Some(from), Some(state_file)) => {
            let contents = restore(from, state_file)?;
            (contents, written(state_file, begin), "state file")
        }
        _ => return Err(Misuse("name --from and --state-file, or --store".to_owned()).into()),
    };
    show(&contents, wants_json(args.json), Some(done));
    let channels = Summary::of(&contents).channels.unsettled();
    eprintln!("{}", consequences(channels, place));
    Ok(())
}

/// Shows what is in a state file, a backup or a database.
pub(crate) async fn run_state(args: &ShowStateArgs) -> Result<(), Failure> {
    let contents = match (&args.store, &args.state_file) {
        (Some(store), _) => inspect_database(&store.0).await?,
        (None, Some(file)) => inspect(file)?,
        (None, None) => return Err(Misuse("name --state-file or --store".to_owned()).into()),
    };
    show(&contents, wants_json(args.json), None);
    Ok(())
}

/// What was done, for programs and for people.
struct Done {
    fields: Map<String, Value>,
    line: String,
}

/// A file was written, in the time since.
fn written(path: &Path, begin: Instant) -> Done {
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let seconds = begin.elapsed().as_secs_f64();
    let fields = [
        ("file", path.to_string_lossy().into()),
        ("bytes", bytes.into()),
        ("seconds", seconds.into()),
    ];
    Done {
        fields: named(fields),
        line: format!(
            "Written to {}: {} in {seconds:.1} s.",
            path.display(),
            indicatif::HumanBytes(bytes)
        ),
    }
}

/// A database knows that it was restored.
fn noted(store: &DatabaseUrl) -> Done {
    Done {
        fields: named([("store", store.to_string().into())]),
        line: format!("Noted in {store}: it was restored."),
    }
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// Prints what a state holds, and what was done to get there.
fn show(contents: &Contents, json: bool, done: Option<Done>) {
    let summary = Summary::of(contents);
    if json {
        let mut object = done.map_or_else(Map::new, |done| done.fields);
        object.extend(summary.json());
        println!("{:#}", Value::Object(object));
        return;
    }
    println!("{}", summary.table());
    if let Some(done) = done {
        println!("{}", done.line);
    }
}

/// What a restored state can do, cannot do, and may cost.
fn consequences(channels: usize, place: &str) -> String {
    format!(
        "
Payments that were accepted after the backup are not known in this state. All channels that were opened before it
is started ({channels} of them in the backup and not settled) sell nothing until you decide otherwise.

What next:
- Start `microraiden proxy` with this {place}. It goes on following the chain and disputes stale closes with
  the proofs that it has. It sells on channels that are opened from then on.
- Close the old channels by `microraiden close-all`; their senders can open new ones.
- Or accept the risk: `microraiden resume-selling`, or start the proxy with --resume-selling.

The risk: senders may have paid more than this state knows. Who has can pay with the same proofs again, and get
content twice. And the receiver claims what it knows: less than it was owed, where a sender does not pay on."
    )
}
