//! The built program as its users run it.

mod demo;
mod kill;
mod process;
