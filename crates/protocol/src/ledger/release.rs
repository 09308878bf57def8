//! Giving units back: content that failed, and what a metered answer did not use.

use super::account::{Account, Transition, Writer};
use super::units::UnitSet;
use crate::amount::Amount;
use crate::channel::ChannelId;

/// What one accepted payment has sold; whoever holds it can give units back, once.
///
/// It is not `Clone`: the permit that carries it is consumed by what becomes of the request.
#[derive(Debug, PartialEq, Eq)]
pub struct Spend {
    pub(super) channel: ChannelId,
    pub(super) number: u64,
    pub(super) writer: Writer,
    pub(super) units: UnitSet,
}

impl Spend {
    /// The channel that paid.
    pub const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Names the spend within its channel.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What was paid.
    pub fn amount(&self) -> Amount {
        self.units.total()
    }

    /// The writer belongs to the name: an acceptance that was never committed, decided again on
    /// another state, has the same number.
    pub(super) const fn name(&self) -> (u64, Writer) {
        (self.number, self.writer)
    }
}

/// Why nothing is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It was released, charged or forgotten before; a release acts once. Or the store has lost it.
    #[error("this spend was settled before")]
    NotOpen,
    /// More than was authorised.
    #[error("the cost is above what was authorised")]
    CostAbovePayment,
}

impl Account {
    /// Gives all units of a spend back: nothing was sold. The same proof buys again.
    ///
    /// # Errors
    /// When the spend was settled before; so a repetition changes nothing.
    ///
    /// # Panics
    /// When the spend is another channel's.
    pub fn release(&self, spend: &Spend, by: Writer) -> Result<Transition, ReleaseError> {
        self.give_back(spend, spend.units.clone(), by)
    }

    /// Charges `cost` of a spend and gives the rest back: its lowest units. Its highest unit, the
    /// one of the proof, stays spent unless the cost is nothing, which releases all.
    ///
    /// # Errors
    /// When the cost is above the spend, or the spend was settled before.
    ///
    /// # Panics
    /// When the spend is another channel's.
    pub fn spend_partly(&self, spend: &Spend, cost: Amount, by: Writer) -> Result<Transition, ReleaseError> {
        let rest = spend
            .amount()
            .checked_sub(cost)
            .ok_or(ReleaseError::CostAbovePayment)?;
        let released = spend.units.clone().take_lowest(rest);
        self.give_back(spend, released, by)
    }

    /// Takes note that a spend stays spent: its request has ended. Changes nothing that is stored.
    pub fn finish(&mut self, spend: &Spend) {
        self.open_spends.retain(|open| *open != spend.name());
    }

    fn give_back(&self, spend: &Spend, released: UnitSet, by: Writer) -> Result<Transition, ReleaseError> {
        assert_eq!(spend.channel, self.row.channel, "a spend belongs to its channel");
        if !self.open_spends.contains(&spend.name()) || !self.has_sold(&released) {
            return Err(ReleaseError::NotOpen);
        }
        Ok(self.change(by, |after| {
            after.open_spends.retain(|open| *open != spend.name());
            after.row.unspent.insert_all(&released);
            after.fold();
        }))
    }

    /// Whether these units can have been sold. Not where the store has lost that, and others have written since.
    fn has_sold(&self, units: &UnitSet) -> bool {
        let row = &self.row;
        units.highest().is_none_or(|highest| highest <= row.balance)
            && units
                .intervals()
                .iter()
                .all(|units| row.unspent.has_none_of(*units))
            && row
                .spent()
                .and_then(|spent| spent.checked_sub(units.total()))
                .is_some()
    }
}
