//! Who may come, and how often: looked at before anything else, and never charged.
//!
//! In reading order: [`Rule`], whom a list names; [`Rate`], how often a client may come; [`Limiter`],
//! which counts; [`AdmissionLayer`], which asks them.

mod layer;
mod limiter;
mod rate;
mod rule;

pub use layer::{AdmissionLayer, AdmissionService};
pub use limiter::{Limiter, Limiters};
pub use rate::{NotARate, Rate, Unit};
pub use rule::{NotARule, Rule};

/// Who may come, and how often; by default everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// When there are networks in it, clients must be in one of them; when there are senders, who
    /// pays must be one of them.
    pub allow: Vec<Rule>,
    /// Those who are refused, also when they are allowed.
    pub deny: Vec<Rule>,
    /// How often each client may come.
    pub rate: Option<Rate>,
}
