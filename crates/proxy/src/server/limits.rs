//! What a server lets its clients do.

use std::time::Duration;

/// What a [`Server`](super::Server) lets its clients do, so that none of them can hold it up.
///
/// A time that is too short cuts honest clients off, one that is too long lets others hold on.
/// [`Limits::default`] is meant for the open internet; what happens beyond each limit, and what was
/// measured, is in `docs/abuse.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there may be at once. Never more than half of what the process may
    /// have open in files, since each request in flight takes a second one to its upstream; with HTTP/2
    /// a third, since so many requests may be in flight besides.
    ///
    /// When all are there, the one that has been without a request for the longest makes room; when
    /// all have a request in flight, new ones wait.
    pub connections: usize,
    /// How long the head of a request may take: from the beginning of the connection, or from the
    /// first byte of a later head.
    pub head: Duration,
    /// How long a connection may stay open without a request after an answer.
    pub idle: Duration,
    /// How long the next piece of a request's body may take.
    pub body_stall: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub answer_stall: Duration,
    /// In bytes per second: how fast a client must send bodies and take answers on the whole. It is
    /// waited for no longer than the stall and the time that so many bytes take at this rate.
    pub slowest: u64,
    /// The size of a request's head, in bytes; at least 8,192.
    pub head_bytes: usize,
    /// How many headers a request may have.
    pub headers: usize,
    /// The size of a request's body, in bytes.
    pub body_bytes: u64,
    /// How many requests a client may have in flight on one connection of HTTP/2. The first always has
    /// its place; all others together are at most as many as connections, and wait for one another.
    pub streams: u32,
    /// How many requests a client may take back on one connection of HTTP/2, beyond those that it has let
    /// come to their end.
    pub abandoned: usize,
    /// How long requests in flight may take at the shutdown. Connections without one end at once.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_stall: Duration::from_secs(30),
            answer_stall: Duration::from_secs(60),
            slowest: 1024,
            head_bytes: 64 << 10,
            headers: 100,
            body_bytes: 16 << 20,
            streams: 100,
            abandoned: 100,
            grace: Duration::from_secs(60),
        }
    }
}

/// What is left over for the state file, the node, and everything else.
const OTHER_FILES: u64 = 32;

impl Limits {
    /// The connections that there may be, with what the process may have open in files, of which each
    /// needs so many.
    pub(super) fn room(&self, files_each: u64) -> usize {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let most = files.map_or(usize::MAX, |files| {
            usize::try_from(files.saturating_sub(OTHER_FILES) / files_each).unwrap_or(usize::MAX)
        });
        if most < self.connections {
            tracing::info!(
                connections = most,
                "fewer connections, for want of file descriptors"
            );
        }
        self.connections.min(most).max(1)
    }

    /// The size of a head as HTTP/2 counts it.
    pub(super) fn head_list(&self) -> u32 {
        let bytes = self.head_bytes.saturating_add(self.headers.saturating_mul(32));
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// The smallest buffer that the HTTP implementation takes.
    pub(super) fn head_buffer(&self) -> usize {
        self.head_bytes.max(8 << 10)
    }
}

/// Lets the process have as many files open as the system allows it.
pub(crate) fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the number of file descriptors stays as it is");
    }
}
