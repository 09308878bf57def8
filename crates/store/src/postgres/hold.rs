//! Accounts that nobody else changes: rows that a transaction has locked.

use super::Shared;
use super::accounts;
use super::batcher::Answer;
use super::error::Fault;
use super::pool::{Lent, Pool};
use super::session::ROUND_TRIP;
use super::transaction::{Lead, NotWritten, finish, repeat};
use crate::error::StoreError;
use crate::shared::{Held, Hold};
use crate::store::{Batch, Ticket};
use microraiden_protocol::ChannelId;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_postgres::Row;

/// Locks accounts and reads them.
pub(super) async fn hold(
    shared: &Arc<Shared>,
    pool: &Arc<Pool>,
    channels: &[ChannelId],
) -> Result<Held, StoreError> {
    let lent = pool.lend().await.map_err(|fault| fault.away())?;
    let locked = repeat(|| lock(&lent, channels)).await;
    // From here on, an error lets the accounts go.
    let hold = Box::new(Holding {
        lent: Some(lent),
        shared: shared.clone(),
    });
    match locked {
        Ok(rows) => {
            let accounts = rows.iter().map(accounts::read);
            let rows = accounts.map(|account| Ok(account?.row().clone()));
            let rows = rows.collect::<Result<_, StoreError>>()?;
            Ok(Held { rows, hold })
        }
        Err(NotWritten::Refused(error)) => Err(error),
        Err(NotWritten::Failed(fault)) => {
            hold.fail(&fault);
            Err(fault.away())
        }
    }
}

/// Where this fails and spares the session, it is clean.
async fn lock(lent: &Lent, channels: &[ChannelId]) -> Result<Vec<Row>, Fault> {
    lent.begin().await?;
    let locked = lent
        .within(ROUND_TRIP, accounts::lock(&lent.client, channels))
        .await;
    if let Err(fault) = &locked
        && fault.spares_session()
    {
        lent.roll_back().await?;
    }
    locked
}

/// An open transaction that has locked accounts.
struct Holding {
    /// Taken when it ends.
    lent: Option<Lent>,
    shared: Arc<Shared>,
}

impl Holding {
    /// The transaction is over, because a statement has failed.
    fn fail(mut self, fault: &Fault) {
        let lent = self.lent.take();
        if let Some(lent) = lent {
            match fault.spares_session() {
                true => lent.give_back(),
                false => lent.lose(),
            }
        }
    }
}

impl Hold for Holding {
    fn commit(mut self: Box<Self>, batch: Batch) -> Ticket {
        let (answer, ticket) = oneshot::channel();
        if let Some(lent) = self.lent.take() {
            let shared = self.shared.clone();
            let runtime = shared.database.runtime.clone();
            let lead = shared.lead();
            runtime.spawn(async move { end(&shared, lent, &batch, lead, answer).await });
        }
        ticket.into()
    }
}

async fn end(shared: &Shared, lent: Lent, batch: &Batch, lead: Option<Lead>, answer: Answer) {
    if let Some(stopped) = shared.stopped() {
        // The connection ends, and the transaction with it.
        let _ = answer.send(Err(stopped));
        return;
    }
    let (outcome, lost) = shared.judge(finish(&lent, batch, lead).await);
    match lost {
        Some(_) => lent.lose(),
        None => lent.give_back(),
    }
    let _ = answer.send(outcome);
}

impl Drop for Holding {
    fn drop(&mut self) {
        let Some(lent) = self.lent.take() else { return };
        let runtime = self.shared.database.runtime.clone();
        runtime.spawn(async move {
            match lent.roll_back().await {
                Ok(()) => lent.give_back(),
                Err(_) => lent.lose(),
            }
        });
    }
}
