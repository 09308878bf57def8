//! Fortunes, a picture and a teapot, each for its price; as the demo of 2018 had them.

mod fortunes;
mod picture;

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use clap::Parser;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use microraiden_example_setup::{Failure, Selling};
use microraiden_http::prefers_html;
use microraiden_paywall::Paywall;
use microraiden_protocol::{Price, denomination};
use std::process::ExitCode;

/// Sells fortunes, a picture and a teapot for micropayments.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  demo-proxy
  demo-proxy --listen 127.0.0.1:9000")]
struct Args {
    #[command(flatten)]
    selling: Selling,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    microraiden_example_setup::main(args.selling.serve(routes)).await
}

/// What is sold, and for how much.
fn routes(paywall: &Paywall) -> Result<Router, Failure> {
    let token = paywall.manager().contract().token().clone();
    let whole = |tokens: u32| -> Result<Price, Failure> {
        let amount = format!("{tokens} {}", token.symbol);
        let amount = denomination::parse(&amount, &token.symbol, token.decimals)?;
        Ok(Price::new(amount.base_units()))
    };
    Ok(Router::new()
        .route("/", get(index))
        .route("/fortune", get(fortune).layer(paywall.price(whole(1)?)))
        .route("/picture", get(picture).layer(paywall.price(whole(2)?)))
        .route("/teapot", get(teapot).layer(paywall.price(whole(3)?))))
}

/// Free, since nobody would know what there is otherwise.
async fn index() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Demo</title><h1>For sale</h1><ul>\
         <li><a href=/fortune>A fortune</a>, 1 token\
         <li><a href=/picture>A picture</a>, 2 tokens\
         <li><a href=/teapot>A teapot</a>, 3 tokens</ul>",
    )
}

/// A page for browsers, a line of text for everybody else.
async fn fortune(headers: HeaderMap) -> axum::response::Response {
    let (text, author) = fortunes::any();
    if prefers_html(&headers) {
        let page = format!(
            "<!doctype html><title>Fortune</title><blockquote>{text}<footer>― {author}</footer></blockquote>\
             <a href=/>Back</a>"
        );
        Html(page).into_response()
    } else {
        format!("{text} ― {author}\n").into_response()
    }
}

async fn picture() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml")], picture::sunflower())
}

/// No success, and paid all the same: what a resource answers below 500 is what was bought.
async fn teapot() -> (StatusCode, &'static str) {
    (StatusCode::IM_A_TEAPOT, "I am a teapot; you paid to know.\n")
}
