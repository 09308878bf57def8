//! Durable storage of channel accounts: memory, SQLite and PostgreSQL behind one trait.
//!
//! A store decides nothing. It takes [`Transition`](microraiden_protocol::ledger::Transition)s,
//! which only the ledger can make, and writes each one on the version that it was decided on.
//!
//! In reading order: [`ChannelStore`] and what it takes and gives, [`StoreError`],
//! [`MemoryStore`], [`SqliteStore`] with [`backup`], [`restore`] and [`inspect`]; then what several
//! instances of one receiver share: [`SharedStore`], [`MemoryInstance`], [`PostgresStore`] with [`restored_database`]
//! and [`inspect_database`]; at last [`move_to_database`] and [`move_to_file`].
//!
//! What a ticket says is durable is there after a restart:
//!
//! ```
//! use microraiden_protocol::{Address, Escrow};
//! use microraiden_store::{Batch, Binding, ChannelStore, Halt, HaltChange, HaltKind, SqliteStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("receiver.db");
//! let [contract, receiver] = [1, 2].map(Address::repeat_byte);
//! let binding = Binding { escrow: Escrow { chain_id: 31337, contract }, receiver };
//! let halt = Halt { kind: HaltKind::Restored, block: None };
//!
//! let store = SqliteStore::open(&file, binding)?;
//! let ticket = store.commit(Batch { halts: vec![HaltChange::Set(halt)], ..Batch::default() })?;
//! ticket.await?;
//! drop(store);
//!
//! let store = SqliteStore::open(&file, binding)?;
//! assert_eq!(store.load().await?.halts, [halt]);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: a [`Batch`] is written as a whole or not at all, in the order in which batches were
//! handed in; it is durable when its [`Ticket`] says so, and not before; rows come back only
//! through [`Account::from_row`](microraiden_protocol::ledger::Account::from_row), which checks
//! them again. After a write that failed nothing is written any more; but a shared store, which can look
//! what has become of it, comes back by itself.

mod contents;
mod database_url;
mod error;
mod memory;
mod moving;
mod parts;
mod postgres;
mod runs;
mod shared;
mod sqlite;
mod store;

pub use contents::{Contents, Moving};
pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use error::{CopyError, OpenError, StoreError};
pub use memory::{MemoryInstance, MemoryStore};
pub use moving::{MoveError, Progress, move_to_database, move_to_file};
pub use postgres::{DatabaseError, PostgresStore, database_binding, inspect_database, restored_database};
pub use shared::{Bid, Changes, Held, Hold, LEASE, Leadership, Purpose, Reading, SharedStore, Word};
pub use sqlite::{SqliteStore, backup, inspect, restore};
pub use store::{
    Batch, Binding, BoxFuture, ChannelStore, Halt, HaltChange, HaltKind, KEPT_BLOCKS, Snapshot, Task,
    TaskChange, TaskKind, Ticket,
};
