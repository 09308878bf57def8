//! The lead: one row that belongs to one instance until it expires, by the database's clock.
//!
//! That clock may go back, also because another server has taken over. So everybody watches by a clock of its own,
//! too, for how long the row has stayed as it is.

use super::columns::Counter;
use super::error::Fault;
use super::session::{Database, ROUND_TRIP, Session, server};
use super::transaction::Lead;
use crate::error::StoreError;
use crate::shared::{Bid, LEASE, Leadership, Word};
use microraiden_protocol::BlockNumber;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error as PgError, Row};

/// The columns of a leadership.
macro_rules! leadership {
    () => {
        concat!(
            "fence, holder, holder IS NOT NULL AND expires > clock_timestamp() AS is_held, \
         head, head_time, gas_short, expires::text AS term, node_seen::text AS seen, \
         (extract(epoch FROM clock_timestamp() - node_seen) * 1000000)::bigint AS node_age, ",
            server!(),
            " AS server"
        )
    };
}

const LOOK: &str = concat!("SELECT ", leadership!(), " FROM lease");

/// Others hear of a new leader, and of a new head.
const LEAD: &str = concat!(
    "WITH old AS (SELECT * FROM lease), new AS ( \
         UPDATE lease SET \
             fence = CASE WHEN holder = $1 AND expires > clock_timestamp() THEN fence ELSE fence + 1 END, \
             holder = $1, \
             expires = clock_timestamp() + $2 * interval '1 microsecond', \
             head = $3, head_time = $4, gas_short = $5, \
             node_seen = clock_timestamp() - $6 * interval '1 microsecond' \
         WHERE holder IS NULL OR holder = $1 OR expires <= clock_timestamp() \
             OR expires = $7::text::timestamptz RETURNING *), \
     told AS (SELECT pg_notify('microraiden', '')::text FROM old, new \
         WHERE old.fence <> new.fence OR old.head IS DISTINCT FROM new.head) \
     SELECT ",
    leadership!(),
    ", (SELECT count(*) FROM told) FROM new"
);

const RESIGN: &str = "
    WITH resigned AS (UPDATE lease SET holder = NULL WHERE holder = $1 RETURNING fence)
    SELECT pg_notify('microraiden', '') FROM resigned";

/// Older than anything that anybody asks for.
const LONG_AGO: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Bids for the lead, on a connection of its own: nothing else may be in its way.
pub(super) struct Bidder {
    session: Option<Session>,
    /// What it is known by; random.
    holder: i64,
    /// Where it leads: a server that takes over may have less of what its term rests on, and knows nothing of that.
    server: Option<i64>,
    /// When the lead ends.
    term: Watched,
    /// When the leader's node was seen.
    seen: Watched,
}

/// A moment by the database's clock, as it writes it; and since when it is the same.
#[derive(Default)]
struct Watched(Option<(String, Instant)>);

impl Watched {
    /// For how long it has been the same.
    fn watch(&mut self, moment: Option<String>) -> Duration {
        match (&self.0, moment) {
            (Some((before, since)), Some(moment)) if *before == moment => since.elapsed(),
            (_, moment) => {
                self.0 = moment.map(|moment| (moment, Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// The moment, if it has been the same for longer than any leader leaves it so.
    fn overdue(&self) -> Option<&str> {
        let (moment, since) = self.0.as_ref()?;
        (since.elapsed() > LEASE).then_some(moment)
    }
}

impl Bidder {
    pub(super) fn new() -> Self {
        Self {
            session: None,
            holder: fastrand::i64(..),
            server: None,
            term: Watched::default(),
            seen: Watched::default(),
        }
    }

    /// Bids; gives also what to write as the leader with, if it is us.
    pub(super) async fn bid(
        &mut self,
        database: &Database,
        bid: Bid,
    ) -> Result<(Leadership, Option<Lead>), StoreError> {
        let session = match self.session.take().filter(Session::is_open) {
            Some(session) => session,
            None => {
                let session = database.session(None).await;
                session.map_err(|error| Fault::of_connecting(error).away())?
            }
        };
        let row = session.within(ROUND_TRIP, self.ask(&session, bid)).await;
        match row.and_then(|row| Ok((self.read(&row)?, row.try_get("server")?))) {
            Ok((mut leadership, server)) => {
                self.session = Some(session);
                let led = self.server.take();
                leadership.is_ours &= led.is_none_or(|led| led == server);
                let lead = leadership.is_ours.then_some(Lead {
                    holder: self.holder,
                    fence: leadership.fence,
                    server,
                });
                self.server = lead.map(|lead| lead.server);
                Ok((leadership, lead))
            }
            Err(fault) => {
                database.lose(session);
                Err(fault.away())
            }
        }
    }

    async fn ask(&self, session: &Session, bid: Bid) -> Result<Row, PgError> {
        let client = &session.client;
        match bid {
            Bid::Look => {}
            Bid::Lead(word) => {
                let node_age = word.node_age.map(|age| Counter(micros(age)));
                let overdue = self.term.overdue();
                let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
                    (&self.holder, Type::INT8),
                    (&Counter(micros(LEASE)), Type::INT8),
                    (&Counter(word.head.0), Type::INT8),
                    (&Counter(word.head_time), Type::INT8),
                    (&word.gas_short, Type::BOOL),
                    (&node_age, Type::INT8),
                    (&overdue, Type::TEXT),
                ];
                if let Some(row) = client.query_typed_opt(LEAD, &parameters).await? {
                    return Ok(row);
                }
            }
            Bid::Resign => {
                client.query_typed(RESIGN, &[(&self.holder, Type::INT8)]).await?;
            }
        }
        client.query_typed_one(LOOK, &[]).await
    }

    fn read(&mut self, row: &Row) -> Result<Leadership, PgError> {
        let is_held = row.try_get("is_held")?;
        self.term.watch(row.try_get("term")?);
        let unchanged = self.seen.watch(row.try_get("seen")?);
        let holder: Option<i64> = row.try_get("holder")?;
        Ok(Leadership {
            is_ours: is_held && holder == Some(self.holder),
            is_held,
            fence: row.try_get::<_, Counter>("fence")?.0,
            word: read_word(row, unchanged)?,
        })
    }
}

/// The node was not seen for as long as that was not said.
fn read_word(row: &Row, unchanged: Duration) -> Result<Option<Word>, PgError> {
    let Some(Counter(head)) = row.try_get("head")? else {
        return Ok(None);
    };
    let node_age: Option<i64> = row.try_get("node_age")?;
    Ok(Some(Word {
        head: BlockNumber(head),
        head_time: row.try_get::<_, Counter>("head_time")?.0,
        // Never negative, whatever the clock does.
        node_age: node_age
            .map(|age| unchanged.max(Duration::from_micros(u64::try_from(age).unwrap_or_default()))),
        gas_short: row.try_get("gas_short")?,
    }))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.min(LONG_AGO).as_micros()).unwrap_or(u64::MAX)
}
