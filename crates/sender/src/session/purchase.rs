//! Buying one request: sign, present, and correct what a receiver proves to be wrong.

use super::error::SessionError;
use super::exchange::{Answer, Call, Presented};
use super::payment::{Payment, Terms, Unsigned};
use super::server::Server;
use super::{Paid, Session, reason};
use crate::channel::{Action, Channel};
use crate::error::ChannelError;
use http::header::TRAILER;
use http::{HeaderMap, StatusCode};
use microraiden_http::headers::COST;
use microraiden_http::{Challenge, Flag, Receipt, payment_headers};
use microraiden_protocol::{Amount, Balance, Price};
use reqwest::Response;
use tokio::sync::SemaphorePermit;

/// How many channels that are open on chain a server may have forgotten.
const MOST_LEFT: usize = 2;

/// One request on its way.
pub(super) struct Purchase<'a> {
    session: &'a Session,
    server: &'a Server,
    call: &'a Call<'a>,
    /// A place among the requests in flight, held until there is an answer.
    slot: SemaphorePermit<'a>,
    price: Price,
    /// What this request has signed away, lost payments not counted.
    signed: Amount,
    /// What was paid for answers that are lost.
    lost: Amount,
    /// What was signed away before the last of them, which is more where the price has changed.
    written_off: Amount,
}

/// Whether a refusal has told what the next payment needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learned {
    /// The next payment is right, as far as the receiver tells the truth.
    Enough,
    /// The receiver's account is moving: payments of ours are in flight.
    OthersInFlight,
}

/// What came of asking for a balance.
#[derive(Debug)]
pub(super) enum Asked {
    /// The receiver told and proved it.
    Told,
    /// The receiver does not know the channel.
    UnknownChannel(String),
    /// The request was served for nothing.
    Served(Response),
}

impl<'a> Purchase<'a> {
    pub(super) async fn new(
        session: &'a Session,
        server: &'a Server,
        call: &'a Call<'a>,
        price: Price,
    ) -> Self {
        Self {
            session,
            server,
            call,
            slot: server.slot().await,
            price,
            signed: Amount::ZERO,
            lost: Amount::ZERO,
            written_off: Amount::ZERO,
        }
    }

    /// Pays until the request is served.
    ///
    /// # Errors
    /// With the first limit that is reached.
    pub(super) async fn run(mut self) -> Result<Paid, SessionError> {
        let mut last = String::new();
        for _ in 0..=self.session.config.max_retries {
            let channel = self.session.channel_for(self.server, self.price).await?;
            if !channel.record().synced {
                match self.session.ask_balance(self.server, self.call, &channel).await? {
                    Asked::Told => {}
                    Asked::Served(response) => return Ok(Paid::free(response)),
                    Asked::UnknownChannel(reason) => {
                        self.replace(&channel, reason).await?;
                        continue;
                    }
                }
            }
            let payment = match self.sign(&channel, &last).await {
                Err(error) if self.is_used_up(&error) => {
                    self.use_up(&channel);
                    continue;
                }
                signed => signed?,
            };
            let states = self.server.known().states_payments.then_some(payment.pays);
            let headers = payment_headers(self.session.contract(), &payment.proof, states);
            let Presented { answer, repeated } = self
                .session
                .present(self.call, &payment.proof, payment.pays, &headers)
                .await?;
            match answer {
                Answer::Response(response) => return Ok(self.finish(payment, response)),
                Answer::Challenge(challenge) => {
                    last = reason(&challenge);
                    let learned = self.correct(&channel, payment, &challenge, repeated).await?;
                    if learned == Learned::OthersInFlight {
                        self.be_alone(&channel).await;
                    }
                }
            }
        }
        Err(SessionError::Refusals {
            signed: self.signed,
            reason: last,
        })
    }

    /// Signs the next payment, topping the channel up when it must be.
    async fn sign(&mut self, channel: &Channel, last: &str) -> Result<Payment, SessionError> {
        loop {
            let session = self.session;
            let allowance = Amount::from(session.config.max_price)
                .checked_sub(self.signed)
                .unwrap_or_default();
            let terms = Terms {
                price: self.price,
                states_payments: self.server.known().states_payments,
                allowance,
                budget: &session.budget,
            };
            match Payment::sign(channel, &terms).await {
                Ok(payment) => {
                    self.signed = self.signed.checked_add(payment.exposure).unwrap_or(Amount::MAX);
                    return Ok(payment);
                }
                Err(Unsigned::Deposit(shortfall)) => {
                    session.top_up(self.server, channel, shortfall.needed).await?;
                }
                Err(Unsigned::Allowance) => {
                    return Err(SessionError::Refusals {
                        signed: self.signed,
                        reason: last.to_owned(),
                    });
                }
                Err(Unsigned::Closing) => return Err(ChannelError::NotOpen(channel.id()).into()),
                Err(Unsigned::Budget(error)) => return Err(error),
                Err(Unsigned::Failed(error)) => return Err(error.into()),
            }
        }
    }

    /// What the receiver proves is of use only when nothing else is in flight: waits for that, and
    /// has the balance asked for again.
    async fn be_alone(&mut self, channel: &Channel) {
        drop(self.slot.split(self.slot.num_permits()));
        self.slot = self.server.alone().await;
        channel.line().record.synced = false;
    }

    /// Any answer but a 402. Without a receipt, a receiver of 2018 may have charged all the same.
    fn finish(self, payment: Payment, response: Response) -> Paid {
        let ours = payment.proof.channel.sender;
        let receipt = Receipt::read(response.headers())
            .inspect_err(|error| tracing::warn!(%error, "the receipt cannot be read"))
            .ok()
            .flatten()
            .filter(|receipt| receipt.sender == ours);
        let mut known = self.server.known();
        let charged_silently = !known.states_payments
            && !matches!(
                response.status(),
                StatusCode::CONFLICT
                    | StatusCode::PAYMENT_REQUIRED
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
            );
        let channel = Some(payment.proof.channel);
        let balance = Some(payment.proof.balance);
        let cost = if receipt.is_some() || charged_silently {
            known.remember_price(self.call, Some(self.price));
            known.cost_follows |= cost_follows(response.headers());
            payment.served(receipt.as_ref())
        } else {
            // Free by now, or refused before anybody looked at the payment: it counts as unanswered.
            known.remember_price(self.call, None);
            Amount::ZERO
        };
        Paid {
            response,
            cost,
            lost: self.lost,
            channel,
            balance,
        }
    }

    /// A refused payment: learns from what the receiver proves, or gives up.
    async fn correct(
        &mut self,
        channel: &Channel,
        payment: Payment,
        challenge: &Challenge,
        repeated: bool,
    ) -> Result<Learned, SessionError> {
        let old_price = self.price;
        self.price = self.session.check(self.server, challenge)?;
        let standing = channel.proven(challenge);
        let top = payment.proof.balance;
        let code = challenge.error_code();
        if challenge.flag == Some(Flag::NonexistingChannel) {
            payment.refused(None);
            self.replace(channel, reason(challenge)).await?;
            return Ok(Learned::Enough);
        }
        let has_it = standing.is_some_and(|standing| standing.balance == top);
        let shown_before = repeated || payment.resent;
        // A receiver of 2018 gives no code.
        if shown_before && code.map_or(has_it, |code| code == "already-spent") {
            // An earlier sending was accepted, and its answer never came.
            let lost = payment.lost(standing);
            tracing::warn!(channel = %channel.id(), %lost, "the answer to a payment is lost");
            self.lost = self.lost.checked_add(lost).unwrap_or(Amount::MAX);
            // A proof of an earlier request was signed there, and counts here all the same.
            let gone = lost.max(self.signed);
            self.written_off = self.written_off.checked_add(gone).unwrap_or(Amount::MAX);
            self.signed = Amount::ZERO;
            if self.written_off > self.session.config.max_price.into() {
                return Err(SessionError::Refusals {
                    signed: self.written_off,
                    reason: reason(challenge),
                });
            }
            return Ok(Learned::Enough);
        }
        if has_it && !shown_before {
            return Err(SessionError::Kept(top));
        }
        if let Some(higher) = standing.filter(|standing| standing.balance > top) {
            if higher.balance > channel.balance() {
                // Another program has paid with this key: what was signed here lies below.
                self.signed = Amount::ZERO;
            }
            return Ok(payment.refused(standing));
        }
        let corrigible =
            matches!(challenge.flag, None | Some(Flag::InvalidAmount)) || code == Some("decreasing-balance");
        if !corrigible || (standing.is_none() && self.price == old_price) {
            return Err(SessionError::Refused {
                reason: reason(challenge),
            });
        }
        Ok(payment.refused(standing))
    }

    /// Whether the channel may not hold more, and a new one may hold what this request costs.
    fn is_used_up(&self, error: &SessionError) -> bool {
        let may_hold = self.session.config.deposits.initial(self.price.into());
        let is_full = matches!(error, SessionError::Channel(ChannelError::DepositLimit { .. }));
        is_full && may_hold.is_some()
    }

    /// Lets go of a channel that may not hold more; another takes its place, and it is closed with the rest.
    fn use_up(&self, channel: &Channel) {
        let mut known = self.server.known();
        if known.channel.take_if(|used| used.id() == channel.id()).is_some() {
            known.used_up.push(channel.clone());
            known.accepted = false;
        }
    }

    /// Lets go of a channel that the receiver does not know. One that was opened for it just now
    /// is not replaced: the next would fare no better. Nor is more than a few that are open on chain:
    /// each costs gas, and locks a deposit until its close.
    async fn replace(&self, channel: &Channel, reason: String) -> Result<(), SessionError> {
        let opened_here = channel
            .transactions()
            .iter()
            .any(|(action, _)| *action == Action::Open);
        if opened_here && channel.record().served.is_zero() {
            return Err(SessionError::Refused { reason });
        }
        let is_over = match channel.info().await {
            Ok(info) => info.settle_block.is_some(),
            Err(ChannelError::Gone(_)) => true,
            Err(error) => return Err(error.into()),
        };
        let mut known = self.server.known();
        if known
            .channel
            .as_ref()
            .is_none_or(|used| used.id() != channel.id())
        {
            // Another request has let go of it.
            return Ok(());
        }
        if !is_over {
            if known.left.len() >= MOST_LEFT {
                return Err(SessionError::Refused { reason });
            }
            known.left.push(channel.clone());
        }
        tracing::warn!(channel = %channel.id(), reason, "the receiver does not know the channel; taking another");
        known.channel = None;
        known.accepted = false;
        Ok(())
    }
}

impl Session {
    /// The channel that pays at a server: the one in use, or one found on chain, or a new one.
    async fn channel_for(&self, server: &Server, price: Price) -> Result<Channel, SessionError> {
        if let Some(channel) = &server.known().channel {
            return Ok(channel.clone());
        }
        // One at a time: the channel of one server is not used for another.
        let _turn = self.claimant.claims().turn.lock().await;
        let receiver = {
            let known = server.known();
            if let Some(channel) = &known.channel {
                return Ok(channel.clone());
            }
            known.receiver.expect("every price was read from a challenge")
        };
        let needed = Amount::from(price);
        self.check_budget(needed)?;
        let channel = self
            .client
            .suitable(receiver, needed, &self.config.deposits, |id| {
                self.claimant.is_free(id)
            })
            .await?;
        self.claimant.take(channel.id());
        let origin = server.origin.clone();
        channel
            .update(|line| line.record.server = Some(origin))
            .unawaited();
        let mut known = server.known();
        known.channel = Some(channel.clone());
        known.accepted = false;
        Ok(channel)
    }

    /// Asks the receiver for its balance by a proof for nothing.
    pub(super) async fn ask_balance(
        &self,
        server: &Server,
        call: &Call<'_>,
        channel: &Channel,
    ) -> Result<Asked, SessionError> {
        let core = channel.core();
        let scheme = core.contract.scheme();
        let signing = core
            .signer
            .sign_balance_proof(&scheme, channel.id(), Balance::ZERO);
        let nothing = signing.await.map_err(ChannelError::from)?;
        let states = server.known().states_payments.then_some(Amount::ZERO);
        let headers = payment_headers(self.contract(), &nothing, states);
        let presented = self.present(call, &nothing, Amount::ZERO, &headers).await?;
        let challenge = match presented.answer {
            Answer::Response(response) => return Ok(Asked::Served(response)),
            Answer::Challenge(challenge) => challenge,
        };
        self.check(server, &challenge)?;
        if challenge.flag == Some(Flag::NonexistingChannel) {
            return Ok(Asked::UnknownChannel(reason(&challenge)));
        }
        let standing = channel.proven(&challenge).ok_or_else(|| SessionError::Unproven {
            reason: reason(&challenge),
        })?;
        channel.update(|line| line.adopt(&standing)).unawaited();
        Ok(Asked::Told)
    }

    /// Makes room for a payment that raises the balance by `needed`.
    async fn top_up(&self, server: &Server, channel: &Channel, needed: Amount) -> Result<(), SessionError> {
        let _one_at_a_time = self.claimant.claims().turn.lock().await;
        let (deposit, remaining) = (channel.deposit(), channel.remaining());
        if remaining >= needed {
            return Ok(());
        }
        let policy = &self.config.deposits;
        let added = policy
            .top_up(needed, deposit, remaining)
            .ok_or(ChannelError::DepositLimit {
                needed,
                allowed: policy.max_deposit,
            })?;
        channel.topup(added).await?;
        server.known().accepted = false;
        Ok(())
    }
}

/// Whether the cost in the head is only the most: what it really is comes behind the body.
fn cost_follows(headers: &HeaderMap) -> bool {
    let announced = headers.get_all(TRAILER).iter();
    let mut names = announced
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','));
    names.any(|name| name.trim().eq_ignore_ascii_case(COST.as_str()))
}
