//! The order of the measurements: everything once in each repetition, so that a machine that gets
//! slower or faster meanwhile does so for all of them.

use super::figures::{Figures, ratio};
use super::load::{Outcome, Pace, Requests, Window};
use super::machine::{self, Cores};
use super::stock::{self, Goods, Payer};
use crate::Failure;
use crate::progress::Progress;
use microraiden_protocol::BalanceProof;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Requests in a second that are made ready while nothing was measured.
const FIRST_GUESS: f64 = 20_000.0;
/// How many more requests are made ready than the best window would have used.
const RESERVE: f64 = 1.5;
/// How many different proofs are checked in turn.
const PROOFS: u64 = 512;

/// What is measured, and with which load.
pub(super) struct Plan {
    pub(super) goods: Goods,
    /// Each channel has one of them.
    pub(super) servers: Vec<SocketAddr>,
    /// Whether each request of a channel goes to the next of them instead.
    pub(super) rotates: bool,
    /// Where the same is free, with the request.
    pub(super) unpaid: Option<(SocketAddr, Vec<u8>)>,
    /// Whether this machine's core is the receiver's.
    pub(super) checks_signatures: bool,
    pub(super) in_flight: usize,
    /// How long everything runs without being counted, at the beginning.
    pub(super) warm_up: Duration,
    pub(super) length: Duration,
    pub(super) repetitions: u32,
    pub(super) cores: Cores,
    pub(super) cancel: Arc<AtomicBool>,
}

/// A run of all measurements.
pub(super) struct Measuring {
    plan: Plan,
    pub(super) payers: Vec<Payer>,
    pub(super) figures: Figures,
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
    pub(super) notes: Vec<String>,
    best_rate: f64,
}

impl Measuring {
    pub(super) fn new(plan: Plan, payers: Vec<Payer>) -> Self {
        Self {
            plan,
            payers,
            figures: Figures::default(),
            failures: 0,
            first_failure: None,
            notes: Vec::new(),
            best_rate: FIRST_GUESS,
        }
    }

    /// Measures everything; stops early after a failure, or when nothing can be paid any more.
    ///
    /// # Errors
    /// When the load cannot be made. Requests that failed are counted, and are no error here.
    pub(super) async fn run(&mut self, progress: &Progress) -> Result<(), Failure> {
        if !self.plan.warm_up.is_zero() {
            progress.say("warming up");
            self.unpaid(Pace::ClosedLoop, self.plan.warm_up).await?;
            let Some(warm) = self.paid(Pace::ClosedLoop, self.plan.warm_up).await? else {
                return Ok(());
            };
            self.best_rate = warm.per_second;
        }
        for repetition in 1..=self.plan.repetitions {
            let of = format!("repetition {repetition} of {}", self.plan.repetitions);
            if self.repeat(progress, &of).await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// One repetition; none when it could not be finished.
    async fn repeat(&mut self, progress: &Progress, of: &str) -> Result<Option<()>, Failure> {
        let length = self.plan.length;
        progress.say(&format!("{of}: unpaid requests"));
        let unpaid = self.unpaid(Pace::ClosedLoop, length).await?;
        if let Some(unpaid) = &unpaid {
            self.figures.unpaid.push(unpaid.per_second);
            self.figures.unpaid_full.add(&unpaid.times);
        }
        let mut signatures = None;
        if self.plan.checks_signatures {
            progress.say(&format!("{of}: signature checks"));
            let rate = self.signatures().await?;
            self.figures.signatures.push(rate);
            signatures = Some(rate);
        }
        progress.say(&format!("{of}: paid requests"));
        let Some(paid) = self.paid(Pace::ClosedLoop, length).await? else {
            return Ok(None);
        };
        self.figures.paid.push(paid.per_second);
        self.figures.paid_full.add(&paid.times);
        if let (Some(unpaid), Some(signatures)) = (&unpaid, signatures) {
            let ratio = ratio(unpaid.per_second, signatures, paid.per_second);
            self.figures.ratio.push(ratio);
        }
        self.repeat_at_half_load(progress, of, paid.per_second / 2.0)
            .await
    }

    async fn repeat_at_half_load(
        &mut self,
        progress: &Progress,
        of: &str,
        rate: f64,
    ) -> Result<Option<()>, Failure> {
        let (pace, length) = (Pace::PerSecond(rate), self.plan.length);
        progress.say(&format!("{of}: unpaid requests at half load"));
        let unpaid = self.unpaid(pace, length).await?;
        progress.say(&format!("{of}: paid requests at half load"));
        let Some(paid) = self.paid(pace, length).await? else {
            return Ok(None);
        };
        self.figures.half_load.push(paid.per_second);
        let paid = self.figures.paid_half.add(&paid.times);
        if let Some(unpaid) = unpaid {
            let unpaid = self.figures.unpaid_half.add(&unpaid.times);
            self.figures.p99_added.push(paid - unpaid);
        }
        Ok(Some(()))
    }

    /// Requests for nothing; none where nothing is free, or after a failure.
    async fn unpaid(&mut self, pace: Pace, length: Duration) -> Result<Option<Outcome>, Failure> {
        let Some((server, request)) = self.plan.unpaid.clone() else {
            return Ok(None);
        };
        let tasks = self.payers.len() * self.plan.in_flight;
        self.window(vec![server], Requests::Unpaid(request, tasks), pace, length)
            .await
    }

    /// Paid requests; none when nothing can be paid any more, or after a failure.
    async fn paid(&mut self, pace: Pace, length: Duration) -> Result<Option<Outcome>, Failure> {
        let rate = match pace {
            Pace::ClosedLoop => self.best_rate,
            Pace::PerSecond(rate) => rate,
        };
        #[expect(clippy::cast_precision_loss, reason = "ten thousand at most")]
        let each = rate * length.as_secs_f64() * RESERVE / self.payers.len() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded on purpose"
        )]
        let ready = each.ceil() as usize + 2 * self.plan.in_flight;
        stock::fill(&mut self.payers, ready, &self.plan.goods);
        if self.payers.iter().any(Payer::is_spent) {
            self.note("the limit is used up: nothing more was paid");
            return Ok(None);
        }
        let requests = Requests::Paid(std::mem::take(&mut self.payers), self.plan.in_flight);
        let servers = self.plan.servers.clone();
        let outcome = self.window(servers, requests, pace, length).await?;
        if let Some(outcome) = &outcome {
            self.best_rate = self.best_rate.max(outcome.per_second);
            if outcome.ran_dry {
                self.note(
                    "payments that were signed beforehand ran out: some windows of paid requests ended early",
                );
            }
        }
        Ok(outcome)
    }

    async fn window(
        &mut self,
        servers: Vec<SocketAddr>,
        requests: Requests,
        pace: Pace,
        length: Duration,
    ) -> Result<Option<Outcome>, Failure> {
        let paid = matches!(requests, Requests::Paid(..));
        let window = Window {
            servers,
            rotates: self.plan.rotates,
            requests,
            pace,
            length,
            core: self.plan.cores.generator,
            spin: self.plan.cores.available > 1,
            cancel: self.plan.cancel.clone(),
        };
        let mut outcome = window.measure().await?;
        if paid {
            self.payers = std::mem::take(&mut outcome.payers);
        }
        self.failures += outcome.failures;
        self.first_failure = self.first_failure.take().or(outcome.first_failure.take());
        if self.plan.cancel.load(Ordering::Relaxed) {
            self.note("interrupted");
            return Ok(None);
        }
        Ok(Some(outcome).filter(|outcome| self.failures == 0 && outcome.served > 0))
    }

    /// How often in a second the receiver's core does the very check of a payment.
    async fn signatures(&self) -> Result<f64, Failure> {
        let proofs = match self.payers.first() {
            Some(payer) => payer.proofs(PROOFS, &self.plan.goods),
            None => return Err("there is no channel".into()),
        };
        let (scheme, core, length) = (self.plan.goods.scheme, self.plan.cores.server, self.plan.length);
        let (done, rate) = oneshot::channel();
        std::thread::Builder::new()
            .name("checks".to_owned())
            .spawn(move || {
                let check = |proof: &BalanceProof| proof.verify(&scheme).is_ok();
                let rate = machine::pin(core).map(|()| rate_of(length, &proofs, check));
                // Nobody waits any more when everything is being ended.
                let _ = done.send(rate);
            })?;
        rate.await??.ok_or_else(|| "a valid signature was refused".into())
    }

    fn note(&mut self, text: &str) {
        if self.notes.iter().all(|note| note != text) {
            self.notes.push(text.to_owned());
        }
    }
}

/// How often in a second something is done with one after the other; none if it fails.
fn rate_of<T>(length: Duration, items: &[T], check: impl Fn(&T) -> bool) -> Option<f64> {
    let (begin, mut done) = (Instant::now(), 0u32);
    loop {
        for item in items {
            if !check(item) {
                return None;
            }
            done += 1;
            // The clock costs a thousandth of a check.
            let passed = begin.elapsed();
            if passed >= length {
                return Some(f64::from(done) / passed.as_secs_f64());
            }
        }
    }
}
