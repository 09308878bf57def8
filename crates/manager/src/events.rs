//! The kept events of all channels: what a reorganisation does not take back is folded from them again.

use microraiden_protocol::{BlockNumber, ChainUpdate, ChannelChange, ChannelEvent, ChannelId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Every kept event, in the order of the chain for each channel; each once and in little room, since there
/// are as many as channels at least.
#[derive(Debug, Default)]
pub(crate) struct KeptEvents {
    changes: BTreeMap<(ChannelId, BlockNumber, u64), ChannelChange>,
    /// The channels with an event in a block, from `recent_from` on: the blocks that are asked for.
    recent: BTreeMap<BlockNumber, BTreeSet<ChannelId>>,
    recent_from: BlockNumber,
}

impl KeptEvents {
    /// Of the events that were stored. Blocks before `recent_from` will seldom be asked for.
    pub(crate) fn new(events: Vec<ChannelEvent>, recent_from: BlockNumber) -> Self {
        let mut kept = Self {
            recent_from,
            ..Self::default()
        };
        events.iter().for_each(|event| kept.index(event));
        kept.changes = events.into_iter().map(entry).collect();
        kept
    }

    /// All channels.
    pub(crate) fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.changes.keys().map(|(channel, ..)| *channel)
    }

    /// The channels with an event in one of these blocks.
    pub(crate) fn channels_in(&self, blocks: RangeInclusive<BlockNumber>) -> BTreeSet<ChannelId> {
        if *blocks.start() < self.recent_from {
            // A deep reorganisation: this looks at all.
            let places = self.changes.keys().filter(|(_, block, _)| blocks.contains(block));
            return places.map(|(channel, ..)| *channel).collect();
        }
        let recent = self.recent.range(blocks);
        recent.flat_map(|(_, channels)| channels).copied().collect()
    }

    /// The events of a channel, in the order of the chain.
    pub(crate) fn of(&self, channel: ChannelId) -> Vec<ChannelEvent> {
        let first = (channel, BlockNumber(0), 0);
        let last = (channel, BlockNumber(u64::MAX), u64::MAX);
        let changes = self.changes.range(first..=last);
        changes
            .map(|(&(channel, block, log_index), change)| ChannelEvent {
                channel,
                block,
                log_index,
                change: change.clone(),
            })
            .collect()
    }

    /// Takes over an update. Blocks before `recent_from` will seldom be asked for.
    pub(crate) fn take(&mut self, update: &ChainUpdate, recent_from: BlockNumber) {
        if let Some(last) = update.rewind_to {
            self.changes.retain(|(_, block, _), _| *block <= last);
            self.recent.split_off(&last.saturating_add(1));
        }
        // What was let go of does not come back.
        self.recent_from = self.recent_from.max(recent_from);
        self.recent = self.recent.split_off(&self.recent_from);
        update.events.iter().for_each(|event| self.index(event));
        self.changes.extend(update.events.iter().cloned().map(entry));
    }

    fn index(&mut self, event: &ChannelEvent) {
        if event.block >= self.recent_from {
            let channels = self.recent.entry(event.block).or_default();
            channels.insert(event.channel);
        }
    }
}

fn entry(event: ChannelEvent) -> ((ChannelId, BlockNumber, u64), ChannelChange) {
    ((event.channel, event.block, event.log_index), event.change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::Address;

    fn channel(number: u8) -> ChannelId {
        ChannelId {
            sender: Address::repeat_byte(number),
            receiver: Address::ZERO,
            open_block: number.into(),
        }
    }

    fn event(number: u8, block: u64, log_index: u64) -> ChannelEvent {
        ChannelEvent {
            channel: channel(number),
            block: BlockNumber(block),
            log_index,
            change: ChannelChange::ToppedUp {
                added: (block + log_index).into(),
            },
        }
    }

    fn in_blocks(kept: &KeptEvents, first: u64, last: u64) -> Vec<u32> {
        let channels = kept.channels_in(BlockNumber(first)..=BlockNumber(last));
        channels.iter().map(|channel| channel.open_block).collect()
    }

    #[test]
    fn blocks_that_are_no_longer_recent_are_found_all_the_same() {
        let stored = vec![event(1, 10, 0), event(2, 10, 1), event(1, 20, 0), event(3, 30, 4)];
        let mut kept = KeptEvents::new(stored, BlockNumber(20));
        let look = |kept: &KeptEvents| {
            assert!(in_blocks(kept, 0, 9).is_empty());
            assert_eq!(in_blocks(kept, 0, 10), [1, 2]);
            assert_eq!(in_blocks(kept, 11, 30), [1, 3]);
            assert_eq!(in_blocks(kept, 20, 29), [1]);
            assert_eq!(in_blocks(kept, 21, u64::MAX), [3]);
        };
        look(&kept);
        for recent_from in [25, 31, 22] {
            kept.take(&ChainUpdate::default(), BlockNumber(recent_from));
            look(&kept);
        }
        assert!(kept.recent.is_empty(), "the index holds only what is recent");
        assert_eq!(kept.of(channel(1)), [event(1, 10, 0), event(1, 20, 0)]);
        assert_eq!(kept.of(channel(4)), []);
    }

    #[test]
    fn a_rewind_forgets_and_what_comes_then_is_in_order() {
        for recent_from in [0, 11, 100] {
            let stored = vec![event(1, 10, 3), event(1, 11, 0), event(2, 12, 0)];
            let mut kept = KeptEvents::new(stored, BlockNumber(recent_from));
            let update = ChainUpdate {
                rewind_to: Some(BlockNumber(10)),
                blocks: Vec::new(),
                events: vec![event(1, 11, 7), event(1, 12, 1)],
            };
            kept.take(&update, BlockNumber(recent_from));
            assert_eq!(
                kept.of(channel(1)),
                [event(1, 10, 3), event(1, 11, 7), event(1, 12, 1)]
            );
            assert_eq!(kept.of(channel(2)), []);
            assert_eq!(in_blocks(&kept, 11, 12), [1]);
            let channels: BTreeSet<_> = kept.channels().collect();
            assert_eq!(channels, BTreeSet::from([channel(1)]));
        }
    }
}
