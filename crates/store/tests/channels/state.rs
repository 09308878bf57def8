//! A state file with something of everything in it.

use super::{Channel, binding, block, commit, event};
use microraiden_protocol::{BlockNumber, ChainUpdate, ChannelChange};
use microraiden_store::{
    Batch, Halt, HaltChange, HaltKind, OpenError, SqliteStore, Task, TaskChange, TaskKind,
};
use rusqlite::Connection;
use std::path::PathBuf;
use tempfile::TempDir;

/// A state file with one account, one event, one block, one task and one halt.
pub(crate) struct StateFile {
    _folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) channel: Channel,
}

impl StateFile {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut channel = Channel::new(1);
        let store = SqliteStore::open(&path, binding()).unwrap();
        let deposit = 100.into();
        let filled = Batch {
            transitions: vec![channel.open(deposit), channel.pay(20, 5), channel.pay(50, 10)],
            chain: Some(ChainUpdate {
                blocks: vec![block(5)],
                events: vec![event(channel.id(), 5, 0, ChannelChange::Created { deposit })],
                rewind_to: None,
            }),
            tasks: vec![TaskChange::Put(Task {
                channel: channel.id(),
                kind: TaskKind::Dispute,
                transaction: None,
                not_before: BlockNumber(7),
            })],
            halts: vec![HaltChange::Set(Halt {
                kind: HaltKind::Restored,
                block: None,
            })],
        };
        commit(&store, filled).unwrap();
        Self {
            _folder: folder,
            path,
            channel,
        }
    }

    pub(crate) fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.path, binding())
    }

    pub(crate) fn sql(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }
}
