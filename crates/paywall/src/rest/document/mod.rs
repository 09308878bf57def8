//! The interface as an OpenAPI document: what may be sent, and every answer that may come.
//!
//! The whole-system tests hold it against the running proxy.

mod schemas;

use super::answer;
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use schemas::{
    abi_form, address, bad_value, balance, begun, block, channels, close_all_request, close_answer,
    close_form, close_json, free_object, halts, limit, login, nothing, one_of_words, place, seconds,
    sentence, signature, stats, status, text, withdraw_request,
};
use std::sync::LazyLock;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem,
    PathsBuilder, Ref, RefOr, Required, Schema,
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// The name of the operators' way to log in.
const OPERATOR: &str = "operator";

/// `GET /api/1/openapi.json`.
pub(super) async fn document() -> Response<Body> {
    match &*DOCUMENT {
        Ok(document) => answer(StatusCode::OK, JSON, document.clone()),
        Err(error) => {
            tracing::error!(%error, "the OpenAPI document cannot be written");
            super::failed("the document cannot be written")
        }
    }
}

static DOCUMENT: LazyLock<serde_json::Result<Bytes>> =
    LazyLock::new(|| describe().to_pretty_json().map(|text| Bytes::from(text + "\n")));

/// Everything that the router answers.
fn describe() -> OpenApi {
    let operator = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "An operator's name and password, or a token in the name's place",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schema("Channel", schemas::channel())
        .schema("Stats", stats())
        .schema("BadValue", bad_value())
        .schema("Begun", begun())
        .security_scheme(OPERATOR, SecurityScheme::Http(operator));
    let info = InfoBuilder::new()
        .title("µRaiden receiver")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What a receiver of payment channels holds, cooperative closes, and what its operators may do. \
             Amounts are decimal strings in base units of the token.",
        ));
    let paths = PathsBuilder::new()
        .path("/cm", liveness())
        .path("/api/1/stats", statistics())
        .path(
            "/api/1/channels",
            PathItem::new(HttpMethod::Get, list("listChannels")),
        )
        .path(
            "/api/1/channels/",
            PathItem::new(HttpMethod::Get, list("listChannelsBelow")),
        )
        .path(
            "/api/1/channels/{sender}",
            PathItem::new(HttpMethod::Get, of_sender()),
        )
        .path("/api/1/channels/{sender}/{open_block}", channel())
        .path("/api/1/login", PathItem::new(HttpMethod::Get, log_in()))
        .path("/api/1/logout", PathItem::new(HttpMethod::Get, log_out()))
        .path("/api/1/admin", PathItem::new(HttpMethod::Get, admin()))
        .path(
            "/api/1/admin/channels/{sender}/{open_block}",
            PathItem::new(HttpMethod::Delete, force_close()),
        )
        .path(
            "/api/1/admin/close-all",
            PathItem::new(HttpMethod::Post, close_all()),
        )
        .path(
            "/api/1/admin/withdraw",
            PathItem::new(HttpMethod::Post, withdraw()),
        )
        .path(
            "/api/1/admin/resume-selling",
            PathItem::new(HttpMethod::Post, resume_selling()),
        )
        .path("/api/1/openapi.json", itself());
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

fn liveness() -> PathItem {
    let operation = operation("isAlive", "Whether the proxy answers")
        .response("200", json("It does", one_of_words(&["OK"])));
    PathItem::new(HttpMethod::Get, operation)
}

fn itself() -> PathItem {
    let operation = operation("getDocument", "This document")
        .response("200", json("An OpenAPI document", free_object()))
        .response("500", json("Our own failure", sentence()));
    PathItem::new(HttpMethod::Get, operation)
}

fn statistics() -> PathItem {
    let operation = operation(
        "getStats",
        "Sums over the channels, addresses and ABIs; at most a second old",
    )
    .parameter(query("abi", "`json` gives the ABIs as arrays", abi_form()))
    .response("200", json("The statistics", component("Stats")))
    .response("400", json("The query cannot be read", component("BadValue")))
    .response("502", json("The Ethereum node does not answer", sentence()));
    PathItem::new(HttpMethod::Get, operation)
}

fn list(id: &str) -> OperationBuilder {
    paged(operation(
        id,
        "The channels, by sender and open block, page by page",
    ))
    .response("400", json("The query cannot be read", component("BadValue")))
}

fn of_sender() -> OperationBuilder {
    let or_sentence = any_of(sentence(), component("BadValue"));
    paged(operation(
        "listChannelsOfSender",
        "The channels of one sender, page by page",
    ))
    .parameter(in_path("sender", "The sender's address", address()))
    .response(
        "400",
        json("The address or the query cannot be read", or_sentence),
    )
}

fn paged(operation: OperationBuilder) -> OperationBuilder {
    let page = json("A page of channels", channels());
    let next = header(
        "The next page, where there is one",
        text(r#"^</api/1/channels[^>]*>; rel="next"$"#),
    );
    operation
        .parameter(query("status", "Which channels; open ones by default", status()))
        .parameter(query("limit", "At most so many", limit()))
        .parameter(query(
            "after",
            "Where the page begins: a channel that was listed before",
            place(),
        ))
        .response(
            "200",
            page.header("Link", next.build())
                .link("channel", of_first("getChannel"))
                .link("forced", of_first("forceCloseChannel")),
        )
}

/// What can be asked about the first channel of a page.
fn of_first(operation: &str) -> Link {
    Link::builder()
        .operation_id(operation)
        .parameter("sender", "$response.body#/0/sender_address")
        .parameter("open_block", "$response.body#/0/open_block")
        .build()
}

fn channel() -> PathItem {
    let get = named(operation(
        "getChannel",
        "One channel that is confirmed and not settled",
    ))
    .response("200", json("The channel", component("Channel")))
    .response(
        "404",
        json("There is none", one_of_words(&["Sender address not found"])),
    );
    PathItemBuilder::new()
        .operation(HttpMethod::Get, get)
        .operation(HttpMethod::Delete, close())
        .build()
}

fn close() -> OperationBuilder {
    let body = RequestBodyBuilder::new()
        .description(Some("The same as in the query"))
        .required(Some(Required::False))
        .content(JSON, ContentBuilder::new().schema(Some(close_json())).build())
        .content(FORM, ContentBuilder::new().schema(Some(close_form())).build());
    let signed = "The sender's balance signature for the balance";
    let operation = named(operation(
        "closeChannel",
        "The receiver's closing signature; nothing is sold on the channel afterwards",
    ))
    .parameter(query("balance", "Where to close", balance()))
    .parameter(query("balance_signature", signed, signature()))
    .parameter(query("auth_balance", "Any smaller balance", balance()))
    .parameter(query(
        "auth_signature",
        "The sender's signature for that",
        signature(),
    ))
    .parameter(parameter(
        "RDN-Balance-Signature",
        ParameterIn::Header,
        signed,
        signature(),
    ))
    .parameter(parameter(
        "RDN-Balance-Signature",
        ParameterIn::Cookie,
        signed,
        signature(),
    ))
    .request_body(Some(body.build()))
    .response("200", json("The agreement", close_answer()))
    .response(
        "400",
        json(
            "Not agreed to, and why",
            any_of(sentence(), component("BadValue")),
        ),
    )
    .response("413", json("The body is longer than 64 KiB", sentence()))
    .response("415", json("The body is neither JSON nor a form", sentence()))
    .response("500", json("Our own failure; repeat the request", sentence()));
    denied(operation)
        .security(SecurityRequirement::default())
        .security(SecurityRequirement::new(OPERATOR, [""; 0]))
}

fn log_in() -> OperationBuilder {
    for_operators(operation(
        "logIn",
        "A token, which lives for ten minutes after its last use",
    ))
    .response("200", json("The token", login()))
    .response("500", json("Our own failure; repeat the request", sentence()))
}

fn log_out() -> OperationBuilder {
    for_operators(operation("logOut", "Ends the token's session"))
        .response("200", json("There is none any more", one_of_words(&["OK"])))
        .response("500", json("Our own failure; repeat the request", sentence()))
}

fn admin() -> OperationBuilder {
    let nothing = one_of_words(&["NOTHING TO SEE HERE, GO AWAY"]);
    for_operators(operation("getAdmin", "Whether one is logged in"))
        .response("200", json("One is", nothing))
        .response("500", json("Our own failure; repeat the request", sentence()))
}

fn force_close() -> OperationBuilder {
    let closed = text(r"^force closed \(0x[0-9a-fA-F]{40}, [0-9]{1,10}\)$");
    let missing = one_of_words(&["Sender address not found"]);
    for_operators(named(operation(
        "forceCloseChannel",
        "Ends the selling on a channel, and brings what it owes on chain",
    )))
    .response("200", json("It will be closed, or is", closed))
    .response("404", json("There is no such channel", missing))
    .response(
        "409",
        json("More was withdrawn than any proof is for", sentence()),
    )
    .response("500", json("Our own failure; repeat the request", sentence()))
}

fn close_all() -> OperationBuilder {
    let operation = operation(
        "closeAllChannels",
        "Ends the selling on all channels that bring in enough, and brings what they owe on chain",
    );
    commanded(operation, close_all_request()).response(
        "200",
        json("What was begun, and what was left", component("Begun")),
    )
}

fn withdraw() -> OperationBuilder {
    let operation = operation(
        "withdraw",
        "Brings what is owed on open channels on chain; they stay open",
    );
    commanded(operation, withdraw_request()).response(
        "200",
        json("What was begun, and what was left", component("Begun")),
    )
}

fn resume_selling() -> OperationBuilder {
    let operation = operation("resumeSelling", "Sells on after all that has halted it");
    commanded(operation, nothing()).response("200", json("What had halted it", halts()))
}

/// What is asked for by a JSON body.
fn commanded(operation: OperationBuilder, body: Schema) -> OperationBuilder {
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(JSON, ContentBuilder::new().schema(Some(body)).build());
    for_operators(operation.request_body(Some(body.build())))
        .response("400", json("The body cannot be read, and why", sentence()))
        .response("413", json("The body is longer than 64 KiB", sentence()))
        .response("415", json("The body is not JSON", sentence()))
        .response("500", json("Our own failure; repeat the request", sentence()))
}

fn for_operators(operation: OperationBuilder) -> OperationBuilder {
    denied(operation).security(SecurityRequirement::new(OPERATOR, [""; 0]))
}

/// What those get who are no operators.
fn denied(operation: OperationBuilder) -> OperationBuilder {
    let html = ContentBuilder::new().schema(Some(one_of_words(&["Unauthorized Access"])));
    let challenge = text("^Basic realm=\"Authentication Required\"$");
    let unauthorized = ResponseBuilder::new()
        .description("Neither an operator's password nor a token")
        .content("text/html", html.build())
        .header("WWW-Authenticate", header("How to log in", challenge).build());
    let too_many = json("Too many passwords were tried", sentence());
    let after = header("After how many seconds one more is taken", seconds());
    operation
        .response("401", unauthorized)
        .response("429", too_many.header("Retry-After", after.build()))
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
}

/// A channel's name in the path.
fn named(operation: OperationBuilder) -> OperationBuilder {
    operation
        .parameter(in_path("sender", "The sender's address", address()))
        .parameter(in_path(
            "open_block",
            "The block that opened the channel",
            block(),
        ))
}

fn query(name: &str, description: &str, schema: Schema) -> ParameterBuilder {
    parameter(name, ParameterIn::Query, description, schema)
}

fn in_path(name: &str, description: &str, schema: Schema) -> ParameterBuilder {
    parameter(name, ParameterIn::Path, description, schema).required(Required::True)
}

fn parameter(name: &str, place: ParameterIn, description: &str, schema: Schema) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
}

fn header(description: &str, schema: Schema) -> HeaderBuilder {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(schema))
}

fn json(description: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema));
    ResponseBuilder::new()
        .description(description)
        .content(JSON, content.build())
}

fn component(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

fn any_of(one: impl Into<RefOr<Schema>>, other: impl Into<RefOr<Schema>>) -> Schema {
    AnyOfBuilder::new().item(one).item(other).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page;
    use crate::rest::PATTERNS;

    #[test]
    fn every_pattern_of_the_interface_is_described_and_nothing_else() {
        let document: serde_json::Value = serde_json::from_slice(DOCUMENT.as_ref().unwrap()).unwrap();
        let mut described: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        let mut patterns: Vec<_> = PATTERNS.iter().filter(|path| **path != page::PATTERN).collect();
        described.sort();
        patterns.sort();
        assert_eq!(described, patterns);
    }
}
