//! What the manager is expected to do beyond what it must never do: each can be turned on and off here.

/// Stale closes whose gain is below `min_claim` are left alone.
pub(crate) const LEAVES_DUST: bool = true;
/// After a reorganisation deeper than the confirmations nothing is sold until the operator says so.
pub(crate) const STOPS_AFTER_DEEP_REORGANISATIONS: bool = true;
/// A close that was agreed is brought on chain by us when the sender does not do it.
pub(crate) const BRINGS_AGREED_CLOSES: bool = true;
/// An honest close is settled by us when the sender does not do it.
pub(crate) const CLAIMS_HONEST_CLOSES: bool = true;
