//! Moving a state from a file into a database, and back.
//!
//! 1. The source is read, at one moment and while nobody else can write it.
//! 2. Everything is written to the target, which says that it is not all there yet: nobody uses it.
//! 3. It is read back, and compared.
//! 4. The source says that it was moved: nobody uses it any more.
//! 5. The target says nothing any more, and can be used.
//!
//! Each step is durable before the next one begins, so at no moment can both be used. After a crash up to the
//! fourth step the source is as it was, and the move begins anew over what is in the target; after the fourth,
//! both are closed, and the same move goes on with the third.

use crate::contents::{Contents, Moving};
use crate::database_url::DatabaseUrl;
use crate::error::{CopyError, OpenError, StoreError};
use crate::postgres::{DatabaseError, SourceDatabase, TargetDatabase};
use crate::sqlite::{SourceFile, TargetFile};
use crate::store::Snapshot;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Account;
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// How many accounts are written before it is told.
pub(crate) const PORTION: usize = 1000;

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The source was read, with so many accounts.
    Read {
        /// How many.
        accounts: usize,
    },
    /// Accounts are being written to the target.
    Writing {
        /// How many were.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// Everything is in the target, which cannot be used yet.
    Written,
    /// It was read back, and is the same.
    Verified,
    /// The source cannot be used any more.
    Marked,
    /// The target can be used.
    Finished,
}

/// Why a state was not moved, or not all of it.
///
/// The source can be used as before, or else the same move, begun again, finishes it.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] CopyError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What is in the database cannot be read.
    #[error(transparent)]
    State(#[from] StoreError),
    /// There is another state in the database.
    #[error("the database has a state in it already; name an empty one, which `createdb` makes")]
    NotEmpty,
    /// A proxy has begun with the database, and has nothing yet.
    #[error("a proxy uses the database; stop it first")]
    InUse,
    /// Another move to the same target was not finished.
    #[error(
        "{to} has what was not all moved from {from}; finish that first by `microraiden migrate --from {from} \
         --to {to}`; or, if {from} can still be used, name another target"
    )]
    OtherMove {
        /// Where it comes from.
        from: String,
        /// The target.
        to: String,
    },
    /// What was not all moved to the target is newer than the source.
    #[error(
        "{to} has what was not all moved, and the account of channel {channel} is newer there than in {from}, or \
         missing here; keep both, and name another target"
    )]
    Newer {
        /// A channel that was sold on later.
        channel: ChannelId,
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// What was read back is not what was written.
    #[error(
        "{what} was read back otherwise than it was written; the source is as it was; move it to another place"
    )]
    Differs {
        /// What differs.
        what: String,
    },
    /// The user of the database may not do what it takes.
    #[error("the database's user may not do what it takes; connect as the owner of the tables")]
    Denied {
        /// What the server says.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The database has failed meanwhile.
    #[error(
        "the database has failed; the same command again goes on, or begins anew, and is safe in any case"
    )]
    Failed {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
}

impl From<OpenError> for MoveError {
    fn from(error: OpenError) -> Self {
        Self::File(error.into())
    }
}

/// Moves the state of a file into a database, which has none, and whose tables are made if there are none. The file
/// stays, and says where its state is now.
///
/// Gives what is in the database. After an error, or a crash, nothing is lost and nothing can be sold twice: call
/// it again. The file is read on the calling thread; 100,000 accounts take seconds.
///
/// # Errors
/// When the file is in use, is none, or is a backup; when the database has a state; when something fails.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn move_to_database(
    from: &Path,
    to: &DatabaseUrl,
    mut report: impl FnMut(Progress),
) -> Result<Contents, MoveError> {
    let report: &mut dyn FnMut(Progress) = &mut report;
    let mut source = SourceFile::open(from)?;
    let accounts = source.contents().snapshot.accounts.len();
    report(Progress::Read { accounts });
    let target = TargetDatabase::connect(to).await?;
    match source.moved_to() {
        None => {
            target.write(source.contents(), &source.place(), report).await?;
            report(Progress::Written);
        }
        Some(place) if place == target.place() => {}
        Some(place) => return Err(source.moved(place).into()),
    }
    let found = target.read().await?;
    if !matches!(found.moving, Some(Moving::From(_))) {
        // It was finished before.
        return Err(source.moved(&target.place()).into());
    }
    compare(source.contents(), &found)?;
    report(Progress::Verified);
    source.mark(&target.place())?;
    report(Progress::Marked);
    target.finish().await?;
    report(Progress::Finished);
    Ok(Contents {
        moving: None,
        ..found
    })
}

/// Moves the state of a database into a file, which is made, readable by its owner only. The database stays, and
/// says where its state is now; stores that are connected to it can write nothing any more.
///
/// Gives what is in the file. After an error, or a crash, nothing is lost and nothing can be sold twice: call it
/// again. The file is written on the calling thread; 100,000 accounts take seconds.
///
/// # Errors
/// When the database has no state; when there is a file, or a part of one; when something fails.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn move_to_file(
    from: &DatabaseUrl,
    to: &Path,
    mut report: impl FnMut(Progress),
) -> Result<Contents, MoveError> {
    let report: &mut dyn FnMut(Progress) = &mut report;
    let source = SourceDatabase::open(from).await?;
    let accounts = source.contents().snapshot.accounts.len();
    report(Progress::Read { accounts });
    let target = TargetFile::claim(to)?;
    let begun = target.begun()?;
    match (source.moved_to(), &begun) {
        (None, begun) => {
            if let Some(begun) = begun {
                check_replaceable(begun, source.contents(), &source.place(), &target.place())?;
            }
            target.write(source.contents(), &source.place(), report)?;
            report(Progress::Written);
        }
        (Some(place), Some(_)) if place == target.place() => {}
        (Some(place), _) => {
            let to = place.to_owned();
            return Err(DatabaseError::Moved { to }.into());
        }
    }
    let found = target.read()?;
    compare(source.contents(), &found)?;
    report(Progress::Verified);
    source.mark(&target.place()).await?;
    report(Progress::Marked);
    target.finish()?;
    report(Progress::Finished);
    Ok(Contents {
        moving: None,
        ..found
    })
}

/// Whether what an unfinished move has left may be written anew: it must come from the same place, and lack
/// nothing there that would be lost with it.
pub(crate) fn check_replaceable(
    begun: &Contents,
    source: &Contents,
    from: &str,
    to: &str,
) -> Result<(), MoveError> {
    if let Some(Moving::From(other)) = &begun.moving
        && other != from
    {
        let (from, to) = (other.clone(), to.to_owned());
        return Err(MoveError::OtherMove { from, to });
    }
    let known = by_channel(&source.snapshot);
    let number = |account: &Account| account.version().number;
    let mut begun = begun.snapshot.accounts.iter();
    let newer =
        begun.find(|account| known.get(account.channel()).map(|known| number(known)) < Some(number(account)));
    match newer {
        None => Ok(()),
        Some(account) => Err(MoveError::Newer {
            channel: *account.channel(),
            from: from.to_owned(),
            to: to.to_owned(),
        }),
    }
}

/// Whether two states are the same, value by value, but for the order of what has none.
fn compare(written: &Contents, read: &Contents) -> Result<(), MoveError> {
    let differs = |what: &str| MoveError::Differs {
        what: what.to_owned(),
    };
    if written.binding != read.binding {
        return Err(differs("what the state belongs to"));
    }
    compare_accounts(&written.snapshot, &read.snapshot)?;
    let [written, read] = [&written.snapshot, &read.snapshot].map(|snapshot| {
        let (mut tasks, mut halts) = (snapshot.tasks.clone(), snapshot.halts.clone());
        tasks.sort_by_key(|task| (task.channel, task.kind));
        halts.sort_by_key(|halt| halt.kind);
        (&snapshot.blocks, &snapshot.events, tasks, halts)
    });
    let same = [
        ("a block", written.0 == read.0),
        ("an event", written.1 == read.1),
        ("a task", written.2 == read.2),
        ("a halt", written.3 == read.3),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((what, _)) => Err(differs(what)),
    }
}

fn compare_accounts(written: &Snapshot, read: &Snapshot) -> Result<(), MoveError> {
    let mut read = by_channel(read);
    let mut written = written.accounts.iter();
    let differing = written.find(|account| read.remove(account.channel()) != Some(account));
    let differing = differing
        .map(Account::channel)
        .or_else(|| read.into_keys().next());
    match differing {
        None => Ok(()),
        Some(channel) => Err(MoveError::Differs {
            what: format!("the account of channel {channel}"),
        }),
    }
}

fn by_channel(snapshot: &Snapshot) -> HashMap<&ChannelId, &Account> {
    let accounts = snapshot.accounts.iter();
    accounts.map(|account| (account.channel(), account)).collect()
}
