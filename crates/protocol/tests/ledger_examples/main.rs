//! The ledger by example: one test per rule, its steps as a table where there are many.

#[path = "../fixture/mod.rs"]
mod fixture;

mod closing;
mod payments;
mod rows;
mod shop;
