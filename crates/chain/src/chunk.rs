//! How many old blocks are asked for at once.

use crate::error::ChainError;
use crate::follower::{is_refusal, is_timeout};

/// The most.
const MOST_BLOCKS: u64 = 100_000;
/// After so many answers in a row, twice as many blocks are asked for.
const GROW_AFTER: u32 = 16;

/// A number of blocks that a node answers for. It starts large; a refusal halves it and a timeout takes an eighth.
///
/// It doubles after some answers, and goes back when that is refused: a node that is strict refuses one
/// request in so many.
#[derive(Debug)]
pub struct Chunk {
    blocks: u64,
    answers: u32,
    /// What was answered before it grew.
    before: Option<u64>,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            blocks: MOST_BLOCKS,
            answers: 0,
            before: None,
        }
    }
}

impl Chunk {
    /// How many blocks to ask for, at least 1.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Notes an answer.
    pub(crate) fn answered(&mut self) {
        self.answers += 1;
        if self.answers >= GROW_AFTER {
            self.before = Some(self.blocks);
            self.blocks = (2 * self.blocks).min(MOST_BLOCKS);
            self.answers = 0;
        }
    }

    /// Notes that the node did not want to answer for so many blocks.
    pub(crate) fn refused(&mut self, asked: u64) {
        self.shrink(asked, 2);
    }

    /// Notes that the node did not answer for so many blocks in time.
    pub(crate) fn timed_out(&mut self, asked: u64) {
        self.shrink(asked, 8);
    }

    /// Whether an error means that fewer blocks should be asked for; notes it.
    pub(crate) fn shrinks(&mut self, asked: u64, error: &ChainError) -> bool {
        if asked > 1 && is_refusal(error) {
            tracing::debug!(%error, asked, "the node refuses so long a range");
            self.refused(asked);
            return true;
        }
        if asked > 1 && is_timeout(error) {
            tracing::debug!(%error, asked, "the node takes too long for so long a range");
            self.timed_out(asked);
            return true;
        }
        false
    }

    fn shrink(&mut self, asked: u64, divisor: u64) {
        let just_grown = self
            .before
            .take()
            .filter(|before| self.answers == 0 && *before < asked);
        self.blocks = just_grown.unwrap_or(asked.div_ceil(divisor));
        self.answers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a node with this limit so often; how often it refuses, and the number of blocks in the end.
    fn ask(chunk: &mut Chunk, limit: u64, requests: u32) -> (u32, u64) {
        let mut refusals = 0;
        for _ in 0..requests {
            if chunk.blocks() > limit {
                chunk.refused(chunk.blocks());
                refusals += 1;
            } else {
                chunk.answered();
            }
        }
        (refusals, chunk.blocks())
    }

    #[test]
    fn a_strict_node_is_seldom_asked_for_too_much() {
        let mut chunk = Chunk::default();
        assert_eq!(ask(&mut chunk, 1000, 7), (7, 782));
        assert_eq!(ask(&mut chunk, 1000, 17), (1, 782));
        assert_eq!(ask(&mut chunk, 1000, 1700), (100, 782));
        // The other node allows more, and the next one hardly anything.
        assert_eq!(ask(&mut chunk, 10_000, 48), (0, 6256));
        assert_eq!(ask(&mut chunk, 1, 20), (13, 1));
    }

    #[test]
    fn a_slow_node_is_asked_for_much_less_and_never_for_nothing() {
        let mut chunk = Chunk::default();
        let mut asked = vec![];
        while chunk.blocks() > 1 {
            asked.push(chunk.blocks());
            chunk.timed_out(chunk.blocks());
        }
        assert_eq!(asked, [100_000, 12_500, 1563, 196, 25, 4]);
        for _ in 0..17 * GROW_AFTER {
            chunk.answered();
        }
        assert_eq!(chunk.blocks(), MOST_BLOCKS);
    }
}
