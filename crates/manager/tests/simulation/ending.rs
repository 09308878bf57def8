//! The end of a run: without trouble everything comes to rest, and selling goes on.

use crate::expectations::CLAIMS_HONEST_CLOSES;
use crate::life::{FINAL_AFTER, PATIENCE};
use crate::stage::small;
use crate::verdict;
use crate::witness::Sale;
use crate::world::World;
use microraiden_manager::Offer;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Payment;

/// When the operator closes what nobody else will, in slots.
const OPERATOR_CLOSES: usize = 8;
/// How many slots a close of the manager's takes.
const CLOSES: usize = 20;

impl World {
    /// What is not closed by itself, the operator closes; and what we cannot settle, the senders do.
    pub(crate) async fn quiet(&mut self) -> Result<(), String> {
        if !CLAIMS_HONEST_CLOSES {
            self.afterwards.clear();
        }
        let period = usize::try_from(self.stage.terms.challenge_period).unwrap();
        let patience = period + usize::try_from(PATIENCE).unwrap() + CLOSES;
        for waited in 0..2 * patience {
            if waited == OPERATOR_CLOSES {
                for channel in self.left_open() {
                    self.force_close(Some(channel));
                }
            }
            if waited == patience {
                verdict::nothing_unclaimed(self)?;
                self.afterwards.clear();
            }
            if waited > OPERATOR_CLOSES && self.is_over() {
                break;
            }
            self.quiet_slot().await?;
        }
        // What was to be done is removed when its settlement is final.
        for _ in 0..self.stage.terms.n_confirmations.max(FINAL_AFTER) + 3 {
            self.quiet_slot().await?;
        }
        Ok(())
    }

    /// Channels that nobody but the operator will close.
    fn left_open(&self) -> Vec<ChannelId> {
        let chain = self.stage.chain();
        let witness = self.stage.witness();
        let channels = chain.contract().channels.iter();
        let left = channels.filter(|(channel, found)| {
            let book = witness.books.get(*channel);
            found.closing.is_none() && !book.is_some_and(|book| book.to_close)
        });
        left.map(|(channel, _)| *channel).collect()
    }

    /// Whether nothing is owed on any channel that is left.
    fn is_over(&self) -> bool {
        let chain = self.stage.chain();
        let disk = self.stage.disk();
        chain.contract().channels.iter().all(|(channel, found)| {
            let owed = disk.row(channel).is_some_and(|row| !row.balance.is_zero());
            found.closing.is_none() && !owed
        })
    }

    /// After all of it, a new channel can be opened and paid with.
    pub(crate) async fn still_sells(&mut self) -> Result<(), String> {
        let sender = self.stage.senders[0].address();
        self.open_erc223(sender, 10);
        self.resume().await;
        for _ in 0..self.stage.terms.n_confirmations + 3 {
            self.quiet_slot().await?;
        }
        let newest = self
            .stage
            .chain()
            .contract()
            .channels
            .keys()
            .rfind(|channel| channel.sender == sender)
            .copied();
        let channel = newest.ok_or("no channel was opened")?;
        for place in 0..self.starts.len() {
            let program = self.stage.programs()[place].clone();
            let Some(program) = program else {
                return Err(format!("program {place} does not run"));
            };
            let balance = place as u64 + 1;
            let offer = Offer {
                channel,
                balance: balance.into(),
                signature: Ok(self.stage.proof(channel, balance)),
                payment: Payment::Stated(1.into()),
            };
            match program.manager.pay(offer, 1.into()).await {
                Ok(permit) if small(permit.receipt().cost) == 1 => {
                    self.stage.permitted(Sale {
                        channel,
                        top: balance,
                        price: 1,
                    });
                }
                other => return Err(format!("nothing can be bought any more: {other:?}")),
            }
        }
        Ok(())
    }
}
