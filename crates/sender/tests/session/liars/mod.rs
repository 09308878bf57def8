//! Servers that lie: no lie costs more than the limits.
//!
//! Every lie that a server can tell, and where it is told here. [`crate::random`] tells them in any
//! order and at the same time.
//!
//! | the server | test |
//! |---|---|
//! | names a price above the limit | `prices::a_price_above_the_limit_is_not_signed` |
//! | raises the price with every answer | `prices::a_creeping_price_ends_at_the_limit` |
//! | raises the price once it was paid | `prices::a_price_that_is_raised_later_is_met_by_the_limit` |
//! | names the price 0, a negative or huge one, garbage, or none | `prices::what_is_no_price_is_not_paid` |
//! | swings the price, and has answers lost in between | `prices::a_swinging_price_and_lost_answers_cost_twice_the_limit_at_most` |
//! | names another contract or receiver | `parties::another_contract_or_receiver_is_not_paid` |
//! | names another receiver or contract later | `parties::the_receiver_cannot_be_changed_later`, `parties::the_contract_cannot_be_changed_later` |
//! | names another token | `parties::the_token_is_that_of_the_contract` |
//! | names the receiver of another server | `parties::two_hosts_with_one_receiver_get_channels_of_their_own` |
//! | redirects a payment to another place | `parties::a_proof_does_not_follow_a_redirect` |
//! | has its gateway on another host | `parties::a_close_is_asked_for_where_it_was_paid` |
//! | forges a signature for a balance | `balances::a_forged_balance_is_not_adopted` |
//! | shows our signature of another channel or contract | `balances::a_signature_of_elsewhere_proves_nothing` |
//! | shows an old balance of ours | `balances::an_old_balance_is_signed_again_for_nothing` |
//! | keeps a payment and refuses it | `balances::a_payment_that_is_kept_and_refused_is_not_made_twice` |
//! | claims credit or refunds that are not there | `balances::credit_that_is_not_there_is_not_missed` |
//! | charges more or less than was paid, or somebody else, in its receipt | `answers::a_receipt_changes_what_is_owed_downwards_only` |
//! | answers nothing but 402s | `answers::endless_402s_are_left_after_one_payment` |
//! | loses every answer | `answers::a_server_that_always_loses_the_answer_costs_twice_the_limit_at_most` |
//! | answers nothing but 429s and 5xx | `answers::endless_failures_show_one_proof_a_few_times` |
//! | asks to be left alone for years | `answers::a_pause_of_years_is_cut_short` |
//! | never ends its 1xx, its head, or its body | `answers::heads_that_never_end_are_left`, `answers::bodies_that_never_end_hold_up_nothing` |
//! | never accepts a channel | `channels::a_channel_that_is_never_accepted_is_waited_for_once` |
//! | accepts a channel, then does not know it, again and again | `channels::a_server_that_forgets_channels_gets_few` |
//! | signs no close | `channels::a_close_without_a_right_signature_goes_to_the_contract` |
//! | signs a close at another balance | `channels::a_closing_signature_at_another_balance_is_not_used` |
//! | answers a close without end | `channels::an_answer_to_a_close_that_drips_is_left` |

mod answers;
mod balances;
mod channels;
mod parties;
mod prices;
mod raw;

use crate::server::{Answer, Seen, Server};
use crate::stage::PRICE;
use http::{HeaderMap, HeaderValue, StatusCode};
use microraiden_http::{Form, PaymentHeaders, Receipt, Seller, headers, refusal_headers};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Amount, Balance};
use microraiden_sender::{Session, SessionError};

fn text(value: impl ToString) -> HeaderValue {
    value.to_string().parse().expect("a header value")
}

fn payment_required(headers: HeaderMap) -> Answer {
    Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
}

/// A refusal that claims to have this balance with this signature.
fn claim(seller: &Seller, refusal: Refusal, balance: Balance, signature: impl ToString) -> Answer {
    let mut headers = seller.challenge(PRICE.into());
    headers.extend(refusal_headers(refusal, Form::Documented));
    headers.insert(headers::SENDER_BALANCE, text(balance));
    headers.insert(headers::BALANCE_SIGNATURE, text(signature));
    payment_required(headers)
}

/// The receipt of an honest receiver that charged the price.
fn receipt(payment: &PaymentHeaders) -> Receipt {
    Receipt {
        sender: payment.sender,
        balance: payment.balance,
        cost: PRICE.into(),
        credit: Amount::ZERO,
        refund: Amount::ZERO,
    }
}

fn served(payment: &PaymentHeaders) -> Answer {
    Answer::Reply(StatusCode::OK, receipt(payment).headers())
}

fn signed(server: &Server) -> Vec<Balance> {
    let payments = server.payments();
    payments.iter().map(|payment| payment.balance).collect()
}

fn balances(numbers: &[u64]) -> Vec<Balance> {
    numbers.iter().map(|number| Balance::from(*number)).collect()
}

async fn fails(session: &Session, server: &Server) -> SessionError {
    session.get(&server.url).await.expect_err("a lie")
}

/// A server that asks for the price, and meets payments as it is told.
async fn asks(
    seller: Seller,
    meets: impl Fn(&Seen, &PaymentHeaders) -> Answer + Send + Sync + 'static,
) -> Server {
    Server::start(move |seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(payment) => meets(seen, payment),
    })
    .await
}
