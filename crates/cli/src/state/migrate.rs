//! `microraiden migrate`: a state goes from a file into a database, or back.

use super::args::{MigrateArgs, Place};
use super::{Done, named, show};
use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::Misuse;
use crate::progress::Progress;
use crate::proxy::Database;
use microraiden_store::{Contents, DatabaseUrl, Progress as Step, move_to_database, move_to_file};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Moves a state, and says how to go on.
pub(crate) async fn run(args: &MigrateArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let progress = Progress::new();
    let report = |step| tell(&progress, step);
    let (moved, from, to, next) = match (&args.from, &args.to) {
        (Place::File(file), Place::Database(Database(url))) => {
            let moved = move_to_database(file, url, report).await;
            (
                moved,
                file.display().to_string(),
                url.to_string(),
                in_database(file, url),
            )
        }
        (Place::Database(Database(url)), Place::File(file)) => {
            let moved = move_to_file(url, file, report).await;
            (
                moved,
                url.to_string(),
                file.display().to_string(),
                in_file(url, file),
            )
        }
        _ => {
            let wrong =
                "one of --from and --to is a state file, and the other a database: postgres://user@host/name";
            return Err(Misuse(wrong.to_owned()).into());
        }
    };
    progress.done();
    let contents = moved?;
    show(
        &contents,
        wants_json(args.json),
        Some(done(&contents, &from, &to, begin)),
    );
    eprintln!("{next}");
    Ok(())
}

fn tell(progress: &Progress, step: Step) {
    match step {
        Step::Read { accounts } => progress.say(&format!("read and checked: {accounts} accounts")),
        Step::Writing { done, of } => progress.count(&format!("writing: {done} of {of} accounts")),
        Step::Written => progress.say("written; reading it back"),
        Step::Verified => progress.say("read back and compared: it is the same"),
        Step::Marked => progress.say("the source says where its state is"),
        Step::Finished => progress.say("moved"),
    }
}

fn done(contents: &Contents, from: &str, to: &str, begin: Instant) -> Done {
    let snapshot = &contents.snapshot;
    let seconds = begin.elapsed().as_secs_f64();
    let [accounts, events, blocks, tasks, halts] = [
        snapshot.accounts.len(),
        snapshot.events.len(),
        snapshot.blocks.len(),
        snapshot.tasks.len(),
        snapshot.halts.len(),
    ];
    let compared = json!({
        "accounts": accounts,
        "events": events,
        "blocks": blocks,
        "tasks": tasks,
        "halts": halts,
    });
    Done {
        fields: named([
            ("from", from.into()),
            ("to", to.into()),
            ("seconds", seconds.into()),
            ("compared", compared),
        ]),
        line: format!(
            "Moved to {to} in {seconds:.1} s. Read back and compared: {accounts} accounts, {events} events, {blocks} \
             blocks, {tasks} tasks, {halts} halts."
        ),
    }
}

/// What to do when the state is in a database.
fn in_database(file: &Path, url: &DatabaseUrl) -> String {
    let file = file.display();
    format!(
        "
What next:
- Start `microraiden proxy` with --store {url}
  in place of --state-file, as often as you like.
- Make backups by `pg_dump`. After `pg_restore`, run `microraiden restore --store {url}`
  before a proxy is started.
- {file} cannot be used any more. Keep it until there is a dump; never restore its
  backups as long as there is the database."
    )
}

/// What to do when the state is in a file.
fn in_file(url: &DatabaseUrl, file: &Path) -> String {
    let file = file.display();
    format!(
        "
What next:
- Stop the proxies that still run with {url}: they sell nothing any more.
- Start one `microraiden proxy` with --state-file {file} in place of --store.
- Make backups by `microraiden backup`.
- The database cannot be used any more. Keep it until there is a backup; then drop it. Never restore its dumps
  as long as there is the file."
    )
}
