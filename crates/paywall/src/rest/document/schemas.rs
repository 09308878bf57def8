//! The values of the interface: their patterns and ranges.

use microraiden_http::rest::MAX_LIMIT;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Object, Ref, RefOr};

/// An address in any case.
pub(super) fn address() -> Schema {
    text("^0x[0-9a-fA-F]{40}$")
}

/// A balance as it is sent: at most 2^192 - 1.
pub(super) fn balance() -> Schema {
    text("^[0-9]{1,58}$")
}

/// An amount or a count, as it is written.
pub(super) fn number() -> Schema {
    text("^(0|[1-9][0-9]{0,57})$")
}

/// A signature of either side.
pub(super) fn signature() -> Schema {
    text("^(0x)?[0-9a-fA-F]{130}$")
}

/// A block number in a path.
pub(super) fn block() -> Schema {
    let block = of_type(Type::Integer).minimum(Some(0u32));
    block.maximum(Some(u32::MAX)).build().into()
}

/// Seconds in a header.
pub(super) fn seconds() -> Schema {
    of_type(Type::Integer).minimum(Some(1u32)).build().into()
}

pub(super) fn limit() -> Schema {
    let limit = of_type(Type::Integer).minimum(Some(1u16));
    limit.maximum(Some(MAX_LIMIT)).build().into()
}

pub(super) fn status() -> Schema {
    one_of_words(&["open", "opened", "closed", "all"])
}

pub(super) fn abi_form() -> Schema {
    one_of_words(&["json"])
}

/// A place in a list.
pub(super) fn place() -> Schema {
    text("^0x[0-9a-fA-F]{40}-[0-9]{1,10}$")
}

/// A sentence for people.
pub(super) fn sentence() -> Schema {
    of_type(Type::String).build().into()
}

pub(super) fn text(pattern: &str) -> Schema {
    of_type(Type::String).pattern(Some(pattern)).build().into()
}

pub(super) fn one_of_words(words: &[&str]) -> Schema {
    let words = words.iter().copied();
    of_type(Type::String).enum_values(Some(words)).build().into()
}

pub(super) fn free_object() -> Schema {
    of_type(Type::Object).build().into()
}

/// A channel as anybody may see it.
pub(super) fn channel() -> Object {
    exactly([
        ("sender_address", address()),
        ("open_block", number()),
        ("balance", number()),
        ("deposit", number()),
        ("state", one_of_words(&["open", "closed"])),
    ])
}

pub(super) fn channels() -> Schema {
    let channel = Ref::from_schema_name("Channel");
    ArrayBuilder::new()
        .items(channel)
        .max_items(Some(MAX_LIMIT.into()))
        .build()
        .into()
}

pub(super) fn stats() -> Object {
    let array = ArrayBuilder::new().items(of_type(Type::Object).build()).build();
    let abi = || {
        let as_text = of_type(Type::String).content_media_type("application/json");
        let abi = AnyOfBuilder::new().item(as_text.build()).item(array.clone());
        abi.build().into()
    };
    exactly([
        ("deposit_sum", number()),
        ("open_channels", number()),
        ("pending_channels", number()),
        ("balance_sum", number()),
        ("unique_senders", number()),
        ("liquid_balance", number()),
        ("token_address", address()),
        ("contract_address", address()),
        ("receiver_address", address()),
        ("manager_abi", abi()),
        ("token_abi", abi()),
        ("sync_block", number()),
    ])
}

/// What a close is asked for with, as JSON.
pub(super) fn close_json() -> Schema {
    let integer = of_type(Type::Integer).minimum(Some(0u32)).build();
    let number = AnyOfBuilder::new().item(balance()).item(integer).build();
    close(number.into())
}

/// The same as a form.
pub(super) fn close_form() -> Schema {
    close(balance())
}

fn close(balance: Schema) -> Schema {
    let body = of_type(Type::Object)
        .property("balance", balance.clone())
        .property("balance_signature", signature())
        .property("auth_balance", balance)
        .property("auth_signature", signature());
    body.build().into()
}

pub(super) fn close_answer() -> Schema {
    exactly([("close_signature", text("^0x[0-9a-f]{130}$"))]).into()
}

pub(super) fn login() -> Schema {
    exactly([("token", text("^[0-9a-f]{64}$"))]).into()
}

/// What `close-all` is asked for with; every value may be left out.
pub(super) fn close_all_request() -> Schema {
    no_others().property("minimum_amount", balance()).build().into()
}

/// What `withdraw` is asked for with; every value may be left out.
pub(super) fn withdraw_request() -> Schema {
    let credit = of_type(Type::Boolean).build();
    let body = no_others().property("minimum_amount", balance());
    body.property("takes_credit", credit).build().into()
}

/// An empty object.
pub(super) fn nothing() -> Schema {
    no_others().build().into()
}

/// What was begun for all channels.
pub(super) fn begun() -> Object {
    exactly([
        ("channels", number()),
        ("amount", number()),
        ("without_claim", number()),
        ("too_little", number()),
        ("too_little_amount", number()),
        ("with_credit", number()),
    ])
}

pub(super) fn halts() -> Schema {
    let halt = one_of_words(&["reorganised", "restored"]);
    ArrayBuilder::new().items(RefOr::T(halt)).build().into()
}

/// A sentence by the name of the value that is wrong.
pub(super) fn bad_value() -> Object {
    let sentences = of_type(Type::Object).additional_properties(Some(sentence()));
    exactly([("message", sentences.build().into())])
}

fn of_type(of: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(of))
}

/// An object with those properties alone that follow.
fn no_others() -> ObjectBuilder {
    of_type(Type::Object).additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// An object with these properties and no others.
fn exactly<const N: usize>(properties: [(&str, Schema); N]) -> Object {
    let object = properties
        .into_iter()
        .fold(no_others(), |object, (name, schema)| {
            object.property(name, schema).required(name)
        });
    object.build()
}
