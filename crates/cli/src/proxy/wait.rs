//! Waiting at the start for what may come by itself: a node that answers, the database, and the state file, which the
//! proxy before this one may still hold.
//!
//! Everything else that goes wrong ends the program at once: it stays wrong however long one waits.

use super::notify::Notify;
use microraiden_chain::ChainError;
use microraiden_manager::Unavailable;
use microraiden_store::{DatabaseError, OpenError, StoreError};
use std::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// How often a node is asked again.
const NODE_PAUSE: Duration = Duration::from_secs(5);
/// How often the state file is tried again: nothing is sold until it is given back.
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// How often it is said again what is waited for.
const REMINDER: Duration = Duration::from_secs(30);
const GOES_ON: &str = "what was waited for is there, and the start goes on";

/// How long the start waits; for all that it waits for together.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// `None` is for ever.
    until: Option<Instant>,
    notify: Notify,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// No node answers, or what answers is overloaded.
    Node,
    /// Another process has the state file.
    Lock,
    /// The database does not answer, or only reads.
    Database,
}

impl Obstacle {
    /// What an error says of it, or what has caused the error; `None` when waiting does not help.
    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).find_map(|cause| {
            if let Some(error) = cause.downcast_ref::<ChainError>() {
                error.is_transient().then_some(Self::Node)
            } else if let Some(error) = cause.downcast_ref::<OpenError>() {
                error.is_locked().then_some(Self::Lock)
            } else if let Some(error) = cause.downcast_ref::<DatabaseError>() {
                error.is_transient().then_some(Self::Database)
            } else if let Some(error) = cause.downcast_ref::<StoreError>() {
                // It was there a moment ago.
                error.is_passing().then_some(Self::Database)
            } else if let Some(reason) = cause.downcast_ref::<Unavailable>() {
                matches!(reason, Unavailable::StoreAway | Unavailable::Busy).then_some(Self::Database)
            } else {
                None
            }
        })
    }

    const fn pause(self) -> Duration {
        match self {
            Self::Node => NODE_PAUSE,
            Self::Lock | Self::Database => LOCK_PAUSE,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Node => {
                "waiting for the Ethereum node, which is asked again every 5 seconds; --rpc-provider names it"
            }
            Self::Lock => "waiting for the state file, which is tried again every second",
            Self::Database => "waiting for the database, which is tried again every second; --store names it",
        }
    }
}

impl Waiting {
    /// For so many seconds from now on, or for ever; 0 is not at all. Who waits is told.
    pub(crate) fn new(seconds: Option<u64>, notify: Notify) -> Self {
        // What is too far away for the clock never comes.
        let until = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Self { until, notify }
    }

    /// Repeats an attempt until it succeeds, as long as it fails for want of a node, the database or the state file. It can be
    /// dropped at any time. An attempt that is under way when the time is over is not cut off, since it may be reading
    /// a long chain.
    ///
    /// # Errors
    /// With the attempt's last error, when waiting does not help or the time is over.
    pub(crate) async fn until<T, E: Error + 'static>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut said: Option<(Obstacle, Instant)> = None;
        loop {
            let error = match attempt().await {
                Ok(done) => {
                    if said.is_some() {
                        tracing::info!("{GOES_ON}");
                        self.notify.status(GOES_ON);
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            let now = Instant::now();
            let Some(obstacle) = Obstacle::of(&error).filter(|_| self.until.is_none_or(|until| now < until))
            else {
                return Err(error);
            };
            if said.is_none_or(|(before, at)| before != obstacle || now >= at + REMINDER) {
                self.say(obstacle, &error);
                said = Some((obstacle, now));
            }
            let next = now + obstacle.pause();
            tokio::time::sleep_until(self.until.map_or(next, |until| next.min(until))).await;
        }
    }

    fn say(&self, obstacle: Obstacle, error: &(dyn Error + 'static)) {
        let (words, reason) = (obstacle.words(), reason(error));
        tracing::warn!(reason, "{words}");
        self.notify.status(&format!("{words}: {reason}"));
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error and what has caused it, in a line.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<_> = causes(error).map(ToString::to_string).collect();
    // A transparent error repeats the one below it.
    told.dedup();
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_chain::RpcError;
    use microraiden_manager::StartError;
    use microraiden_protocol::Address;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn no_answer() -> ChainError {
        ChainError::Request {
            method: "eth_chainId",
            source: RpcError::Timeout,
        }
    }

    /// How long it waits, and how often it tries, for what fails so many times.
    async fn wait<E: Error + 'static>(
        seconds: Option<u64>,
        fails: u32,
        error: impl Fn() -> E,
    ) -> (bool, u32, Duration) {
        let (begin, mut attempts) = (Instant::now(), 0);
        let waiting = Waiting::new(seconds, Notify::default());
        let outcome = waiting.until(async || {
            attempts += 1;
            if attempts > fails { Ok(()) } else { Err(error()) }
        });
        let succeeded = outcome.await.is_ok();
        (succeeded, attempts, begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_waited_for_every_five_seconds() {
        assert_eq!(wait(None, 3, no_answer).await, (true, 4, Duration::from_secs(15)));
        assert_eq!(
            wait(Some(60), 3, no_answer).await,
            (true, 4, Duration::from_secs(15))
        );
        assert_eq!(
            wait(Some(12), 9, no_answer).await,
            (false, 4, Duration::from_secs(12))
        );
        assert_eq!(wait(Some(0), 1, no_answer).await, (false, 1, Duration::ZERO));
        assert_eq!(
            wait(Some(u64::MAX), 1, no_answer).await,
            (true, 2, Duration::from_secs(5))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_lock_is_waited_for_and_other_troubles_with_the_file_are_not() {
        let path = || PathBuf::from("receiver.db");
        let opened = |error| microraiden_manager::OpenError::from(error);
        let locked = || opened(OpenError::Locked { path: path() });
        assert_eq!(wait(None, 2, locked).await, (true, 3, Duration::from_secs(2)));
        let vanished = || opened(OpenError::Vanished { path: path() });
        assert_eq!(wait(None, 2, vanished).await, (false, 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_goes_away_during_the_start_is_waited_for() {
        let started = |error| microraiden_manager::OpenError::Start(error);
        let cause = || Arc::new(std::io::Error::other("connection closed"));
        let away = || started(StartError::Store(StoreError::Away { cause: cause() }));
        assert_eq!(wait(None, 2, away).await, (true, 3, Duration::from_secs(2)));
        let turned = || started(StartError::Halt(Unavailable::StoreAway));
        assert_eq!(wait(None, 2, turned).await, (true, 3, Duration::from_secs(2)));
        let stopped = || started(StartError::Store(StoreError::Stopped { cause: cause() }));
        assert_eq!(wait(None, 2, stopped).await, (false, 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_said_at_once_and_every_half_minute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let waiting = Waiting::new(None, Notify::to(path.as_os_str(), None).unwrap());
        let begin = Instant::now();
        let mut said = Vec::new();
        let attempt = async || {
            while systemd.recv(&mut [0; 1024]).is_ok() {
                said.push(begin.elapsed().as_secs());
            }
            match begin.elapsed().as_secs() {
                0..67 => Err(microraiden_manager::OpenError::from(no_answer())),
                67..75 => {
                    let path = PathBuf::from("receiver.db");
                    Err(OpenError::Locked { path }.into())
                }
                _ => Ok(()),
            }
        };
        waiting.until(attempt).await.unwrap();
        // Seen at the next attempt: 5 seconds later for the node, a second for the file.
        assert_eq!(said, [5, 35, 65, 71]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_wrong_is_not_waited_for() {
        for error in [
            || ChainError::NoCode(Address::ZERO),
            || ChainError::NoAddress,
            || ChainError::Scheme("ftp".to_owned()),
            || ChainError::Request {
                method: "eth_chainId",
                source: RpcError::Empty,
            },
        ] {
            assert_eq!(
                wait(None, 1, error).await,
                (false, 1, Duration::ZERO),
                "{}",
                error()
            );
        }
    }

    #[test]
    fn the_reason_is_told_down_to_its_cause() {
        let error = microraiden_manager::OpenError::from(no_answer());
        assert_eq!(
            reason(&error),
            "the contract cannot be used: the node does not answer eth_chainId: no answer within the time limit"
        );
    }
}
