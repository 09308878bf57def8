//! Why a payment or a close is refused: closed lists, in order of precedence.

/// Why a payment is refused. The sender's doing, expected, and nothing has changed.
///
/// The order of the list is the order of the checks: the first that applies is given. Those from
/// [`BalanceQuery`](Self::BalanceQuery) on are found only after the signature proved the sender,
/// who may then be told of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No such channel.
    #[error("no such channel is known; open one, or wait until its opening is seen")]
    UnknownChannel,
    /// The receiver's state was restored from a backup: what was paid on this channel later is lost.
    #[error("this channel takes no payments any more; close it and open a new one")]
    ClosingOnly,
    /// We have promised a close.
    #[error("the closing of this channel was agreed; open a new one")]
    ClosePromised,
    /// The channel is not confirmed.
    #[error("the opening of this channel is not confirmed yet; wait and repeat the request")]
    Unconfirmed,
    /// A close was requested on chain.
    #[error("a close of this channel was requested on chain; open a new one")]
    Challenged,
    /// The contract has paid out.
    #[error("this channel is settled; open a new one")]
    Settled,
    /// A reorganisation or an old backup: the chain holds less than was paid already.
    #[error("the chain shows less on this channel than was paid already; wait and repeat the request")]
    Impaired,
    /// Above the confirmed deposit, but covered by a top-up that is not confirmed yet.
    #[error("the top-up that covers this payment is not confirmed yet; wait and repeat the request")]
    TopUpUnconfirmed,
    /// Above the deposit.
    #[error("the balance is above the deposit; top the channel up")]
    AboveDeposit,
    /// Not signed by the channel's sender.
    #[error("the balance proof is not signed by the channel's sender")]
    InvalidSignature,
    /// Nothing is paid: the sender asks for its balance.
    #[error("this proof pays nothing; sign one that pays the price")]
    BalanceQuery,
    /// Below the balance, without saying what is paid.
    #[error("the balance must not decrease; sign one above the sender balance given here")]
    DecreasingBalance,
    /// The unit that the proof ends at was sold before, or the proof is public on the chain.
    #[error("this balance proof was used before; sign a higher one")]
    AlreadySpent,
    /// What is paid is not the price.
    #[error("the payment must be exactly the price")]
    InvalidAmount,
    /// The proof and the credit below it do not make up what is said to be paid.
    #[error("the balance proof and the credit do not cover the payment; sign a higher one")]
    NotCovered,
    /// Too much would be skipped.
    #[error("too many amounts below this balance are still unpaid for; send the requests in flight first")]
    WindowExceeded,
}

impl Refusal {
    /// Every refusal, in order of precedence.
    pub const ALL: [Self; 16] = [
        Self::UnknownChannel,
        Self::ClosingOnly,
        Self::ClosePromised,
        Self::Unconfirmed,
        Self::Challenged,
        Self::Settled,
        Self::Impaired,
        Self::TopUpUnconfirmed,
        Self::AboveDeposit,
        Self::InvalidSignature,
        Self::BalanceQuery,
        Self::DecreasingBalance,
        Self::AlreadySpent,
        Self::InvalidAmount,
        Self::NotCovered,
        Self::WindowExceeded,
    ];

    /// The name by which programs know it; never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownChannel => "unknown-channel",
            Self::ClosingOnly => "closing-only",
            Self::ClosePromised => "close-promised",
            Self::Unconfirmed => "unconfirmed",
            Self::Challenged => "challenged",
            Self::Settled => "settled",
            Self::Impaired => "impaired",
            Self::TopUpUnconfirmed => "top-up-unconfirmed",
            Self::AboveDeposit => "above-deposit",
            Self::InvalidSignature => "invalid-signature",
            Self::BalanceQuery => "balance-query",
            Self::DecreasingBalance => "decreasing-balance",
            Self::AlreadySpent => "already-spent",
            Self::InvalidAmount => "invalid-amount",
            Self::NotCovered => "not-covered",
            Self::WindowExceeded => "window-exceeded",
        }
    }

    /// Whether the signature was found valid before this was found.
    pub fn is_after_signature(self) -> bool {
        let order = |refusal| Self::ALL.iter().position(|other| *other == refusal);
        order(self) > order(Self::InvalidSignature)
    }
}

/// Why a close is not signed. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseRefusal {
    /// No such channel.
    #[error("no such channel is known")]
    UnknownChannel,
    /// The channel is not confirmed.
    #[error("the opening of this channel is not confirmed yet; wait and repeat the request")]
    Unconfirmed,
    /// The contract has paid out.
    #[error("this channel is settled already")]
    Settled,
    /// Another close was promised before.
    #[error("the closing of this channel was agreed at another balance")]
    OtherPromise,
    /// Below what was served or withdrawn, or above what was ever paid.
    #[error("the requested closing balance is not the latest one, less the credit")]
    WrongBalance,
    /// No stored proof is covered by the deposit and pays beyond what was withdrawn.
    #[error("there is nothing to claim on this channel")]
    NothingToClaim,
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_and_the_signature_divides_the_list() {
        let codes: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        assert!(!Refusal::InvalidSignature.is_after_signature());
        assert!(!Refusal::AboveDeposit.is_after_signature());
        assert!(Refusal::BalanceQuery.is_after_signature());
        assert!(Refusal::WindowExceeded.is_after_signature());
    }
}
