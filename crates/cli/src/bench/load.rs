//! The load: tasks that send requests over connections kept open, and note when each is answered.
//!
//! Closed loop: each task sends its next request when its last is answered. Paced: requests are due
//! at even intervals, and the next idle task takes the next one; its time counts from when it was
//! due, so that waiting for an idle task counts as well.

use super::client::Connection;
use super::machine;
use super::stock::Payer;
use crate::Failure;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// How long answers may take that are due at the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// A timer is late by up to a millisecond; nearer than this the time is waited for actively.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// The longest time that is told apart from longer ones, in nanoseconds.
const LONGEST_NANOSECONDS: u64 = 60_000_000_000;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// Each after the answer to the one before.
    ClosedLoop,
    /// So many in a second, whatever becomes of them.
    PerSecond(f64),
}

/// What is requested.
#[derive(Debug)]
pub(super) enum Requests {
    /// The same for nothing, by so many tasks.
    Unpaid(Vec<u8>, usize),
    /// Each with the next payment of a channel, by so many tasks for each channel.
    Paid(Vec<Payer>, usize),
}

/// One measurement.
#[derive(Debug)]
pub(super) struct Window {
    /// Each channel has one of them.
    pub(super) servers: Vec<SocketAddr>,
    /// Whether each request of a channel goes to the next of them instead.
    pub(super) rotates: bool,
    pub(super) requests: Requests,
    pub(super) pace: Pace,
    pub(super) length: Duration,
    /// The core for the load.
    pub(super) core: Option<usize>,
    /// Whether there is a core that may be kept busy with waiting.
    pub(super) spin: bool,
    /// Ends the window early.
    pub(super) cancel: Arc<AtomicBool>,
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Answers in a second, of those that came within the window.
    pub(super) per_second: f64,
    /// The times of all answers, in nanoseconds.
    pub(super) times: Histogram<u64>,
    /// Answers with 200, those after the end of the window included.
    pub(super) served: u64,
    /// Requests without, and what came of the first of them.
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
    /// Whether a channel had no request ready any more, which has ended the window.
    pub(super) ran_dry: bool,
    /// The channels of paid requests.
    pub(super) payers: Vec<Payer>,
}

impl Window {
    /// Measures, on a thread of its own.
    ///
    /// # Errors
    /// When the load cannot be made, or answers do not come.
    pub(super) async fn measure(self) -> Result<Outcome, Failure> {
        let (done, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                // Nobody waits any more when everything is being ended.
                let _ = done.send(self.measure_here());
            })?;
        outcome.await?
    }

    fn measure_here(self) -> Result<Outcome, Failure> {
        machine::pin(self.core)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, self.run())
    }

    async fn run(self) -> Result<Outcome, Failure> {
        let (request, payers, lanes) = match self.requests {
            Requests::Unpaid(request, tasks) => (request, Vec::new(), tasks),
            Requests::Paid(payers, tasks) => (Vec::new(), payers, tasks),
        };
        let payers: Vec<_> = payers
            .into_iter()
            .map(|payer| Rc::new(RefCell::new(payer)))
            .collect();
        let (request, mut sources) = (Rc::<[u8]>::from(request), Vec::new());
        for _ in 0..lanes {
            sources.extend(payers.iter().cloned().map(Source::Channel));
            if payers.is_empty() {
                sources.push(Source::Same(request.clone()));
            }
        }
        let (mut connections, channels) = (Vec::new(), payers.len().max(1));
        for number in 0..sources.len() {
            let servers = match self.rotates {
                true => &self.servers[..],
                false => std::slice::from_ref(&self.servers[number % channels % self.servers.len()]),
            };
            let mut ring = VecDeque::new();
            for server in servers {
                ring.push_back(Connection::open(*server).await.map_err(|error| {
                    let (open, all) = (connections.len(), sources.len());
                    format!("only {open} of {all} connections could be opened: {error}; see `ulimit -n`")
                })?);
            }
            ring.rotate_left(number % servers.len());
            connections.push(ring);
        }
        let run = Rc::new(Run::new(self.pace, self.length, self.spin, self.cancel)?);
        let tasks: Vec<_> = sources
            .into_iter()
            .zip(connections)
            .map(|(source, ring)| tokio::task::spawn_local(task(run.clone(), source, ring)))
            .collect();
        // Else each answer would wake this core up, at the expense of the receiver's: dear on virtual
        // machines, and no matter of the receiver when clients are elsewhere.
        let apart = self.core.is_some() && self.pace == Pace::ClosedLoop;
        let keep_awake = apart.then(|| tokio::task::spawn_local(keep_awake(run.clone())));
        let all = async {
            for task in tasks.into_iter().chain(keep_awake) {
                task.await?;
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(self.length + PATIENCE, all)
            .await
            .map_err(|_| format!("requests were not answered within {} s", PATIENCE.as_secs()))??;
        let payers = payers
            .into_iter()
            .filter_map(Rc::into_inner)
            .map(RefCell::into_inner);
        Rc::into_inner(run)
            .map(|run| run.outcome(payers.collect()))
            .ok_or_else(|| "a task of the load has not ended".into())
    }
}

/// Where a task takes its requests from.
enum Source {
    Same(Rc<[u8]>),
    Channel(Rc<RefCell<Payer>>),
}

/// What the tasks of a window share.
struct Run {
    begin: Instant,
    end: Cell<Instant>,
    interval: Option<Duration>,
    spin: bool,
    cancel: Arc<AtomicBool>,
    /// The number of the next paced request.
    next: Cell<u32>,
    times: RefCell<Histogram<u64>>,
    in_time: Cell<u32>,
    served: Cell<u64>,
    failures: Cell<u64>,
    first_failure: RefCell<Option<String>>,
    ran_dry: Cell<bool>,
}

impl Run {
    fn new(pace: Pace, length: Duration, spin: bool, cancel: Arc<AtomicBool>) -> Result<Self, Failure> {
        let interval = match pace {
            Pace::ClosedLoop => None,
            Pace::PerSecond(rate) => Some(Duration::try_from_secs_f64(1.0 / rate)?),
        };
        let begin = Instant::now();
        Ok(Self {
            begin,
            end: Cell::new(begin + length),
            interval,
            spin,
            cancel,
            next: Cell::new(0),
            times: RefCell::new(Histogram::new_with_bounds(1_000, LONGEST_NANOSECONDS, 3)?),
            in_time: Cell::new(0),
            served: Cell::new(0),
            failures: Cell::new(0),
            first_failure: RefCell::default(),
            ran_dry: Cell::new(false),
        })
    }

    /// Waits until the next request is to be sent, and gives the moment from which its time counts;
    /// none after the end.
    async fn turn(&self) -> Option<Instant> {
        let Some(interval) = self.interval else {
            return Some(Instant::now()).filter(|now| self.goes_on(*now));
        };
        let number = self.next.get();
        self.next.set(number + 1);
        let due = self.begin + interval * number;
        if !self.goes_on(due) {
            return None;
        }
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(due).filter(|due| self.goes_on(*due));
            }
            if !self.spin {
                tokio::time::sleep(left).await;
            } else if left > TIMER_SLACK {
                tokio::time::sleep(left - TIMER_SLACK).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn goes_on(&self, moment: Instant) -> bool {
        moment < self.end.get() && !self.cancel.load(Ordering::Relaxed)
    }

    /// Ends the window now, unless it has ended.
    fn cut_short(&self) {
        self.end.set(self.end.get().min(Instant::now()));
    }

    fn answered(&self, sent: Instant) {
        let now = Instant::now();
        let time = u64::try_from((now - sent).as_nanos()).unwrap_or(LONGEST_NANOSECONDS);
        self.times.borrow_mut().saturating_record(time);
        self.served.set(self.served.get() + 1);
        if now <= self.end.get() {
            self.in_time.set(self.in_time.get() + 1);
        }
    }

    fn failed(&self, what: String) {
        self.failures.set(self.failures.get() + 1);
        self.first_failure.borrow_mut().get_or_insert(what);
    }

    fn outcome(self, payers: Vec<Payer>) -> Outcome {
        let length = self.end.get() - self.begin;
        Outcome {
            per_second: f64::from(self.in_time.get()) / length.as_secs_f64().max(f64::MIN_POSITIVE),
            times: self.times.into_inner(),
            served: self.served.get(),
            failures: self.failures.get(),
            first_failure: self.first_failure.into_inner(),
            ran_dry: self.ran_dry.get(),
            payers,
        }
    }
}

/// Keeps the thread from sleeping until the window has ended; only what else is on its core goes first.
async fn keep_awake(run: Rc<Run>) {
    while Instant::now() < run.end.get() {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// Sends one request after the other, over one connection after the other, to the end of the window or the first
/// failure.
async fn task(run: Rc<Run>, source: Source, mut ring: VecDeque<Connection>) {
    while let Some(begin) = run.turn().await {
        ring.rotate_left(1);
        let Some(connection) = ring.front_mut() else {
            return;
        };
        let answer = match &source {
            Source::Same(request) => connection.exchange(request).await,
            Source::Channel(payer) => {
                let request = payer.borrow_mut().next();
                let Some(request) = request else {
                    run.ran_dry.set(true);
                    run.cut_short();
                    return;
                };
                connection.exchange(&request).await
            }
        };
        match answer {
            Ok(answer) if answer.status == 200 => {
                run.answered(begin);
                if let Source::Channel(payer) = &source {
                    payer.borrow_mut().served += 1;
                }
            }
            Ok(answer) => return run.failed(answer.head.unwrap_or_default()),
            Err(error) => return run.failed(error.to_string()),
        }
    }
}
