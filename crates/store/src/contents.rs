//! What a state file, a backup or a database holds.

use crate::store::{Binding, Snapshot};
use std::time::SystemTime;

/// What a state file, a backup or a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What the state belongs to.
    pub binding: Binding,
    /// The version of the format; files and databases have their own.
    pub version: i64,
    /// When it was made, if it is a backup.
    pub backup_of: Option<SystemTime>,
    /// Whether it was moved, or is on the way; it cannot be used then.
    pub moving: Option<Moving>,
    /// The state.
    pub snapshot: Snapshot,
}

/// Where a state is that is not to be used here. A place is a path, or a database's URL without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moving {
    /// It was moved there.
    To(String),
    /// It comes from there, and the move is not finished.
    From(String),
}

impl Moving {
    /// The other place.
    pub fn place(&self) -> &str {
        let (Self::To(place) | Self::From(place)) = self;
        place
    }
}
