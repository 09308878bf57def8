//! A few connections for those who hold accounts, opened when they are needed.

use super::Shared;
use super::error::Fault;
use super::session::Session;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are lent one after the other, to those first who asked first.
pub(super) struct Pool {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

/// A connection that is lent. Dropped without being [given back](Self::give_back), it is closed.
pub(super) struct Lent {
    session: Session,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>, size: usize) -> Arc<Self> {
        Arc::new(Self {
            shared,
            permits: Arc::new(Semaphore::new(size)),
            idle: Mutex::default(),
        })
    }

    /// Waits for a connection, on which nothing that was lost can interfere any more.
    pub(super) async fn lend(self: &Arc<Self>) -> Result<Lent, Fault> {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Fault::gone())?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let database = &self.shared.database;
        let session = loop {
            match idle() {
                Some(session) if session.is_open() => break session,
                Some(_) => {}
                None => break database.session(None).await.map_err(Fault::of_connecting)?,
            }
        };
        database.end_lost(&session).await?;
        Ok(Lent {
            session,
            pool: self.clone(),
            _permit: permit,
        })
    }
}

impl Lent {
    /// Gives it back as it was lent: no transaction is open on it.
    pub(super) fn give_back(self) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.session);
    }

    /// Gives it away for good, with what may still be at work on it.
    pub(super) fn lose(self) {
        self.pool.shared.database.lose(self.session);
    }
}
