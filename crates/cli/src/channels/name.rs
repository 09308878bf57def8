//! How a channel is named on the command line: by its receiver, and the block that opened it where there are several.

use crate::Failure;
use microraiden_protocol::Address;
use microraiden_sender::{ChannelRecord, ChannelState};
use std::fmt;
use std::str::FromStr;

/// `RECEIVER` or `RECEIVER:BLOCK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelName {
    receiver: Address,
    block: Option<u32>,
}

impl FromStr for ChannelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (receiver, block) = match text.split_once(':') {
            Some((receiver, block)) => (receiver, Some(block)),
            None => (text, None),
        };
        let receiver = receiver
            .parse()
            .map_err(|_| "begin with the receiver's address, of 40 hexadecimal digits after 0x".to_owned())?;
        let block = block.map(|block| block.parse().map_err(|_| format!("{block:?} is no block number")));
        Ok(Self {
            receiver,
            block: block.transpose()?,
        })
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(f, "{}:{block}", self.receiver),
            None => write!(f, "{}", self.receiver),
        }
    }
}

impl ChannelName {
    /// The one channel of this name; without a block, those that are settled do not count where there are others.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub(super) fn find<T>(
        &self,
        channels: Vec<T>,
        record: impl Fn(&T) -> ChannelRecord,
    ) -> Result<T, Failure> {
        let mut named: Vec<_> = channels
            .into_iter()
            .map(|channel| (record(&channel), channel))
            .filter(|(record, _)| {
                let id = record.channel;
                id.receiver == self.receiver && self.block.is_none_or(|block| block == id.open_block)
            })
            .collect();
        if named
            .iter()
            .any(|(record, _)| record.state != ChannelState::Closed)
        {
            named.retain(|(record, _)| record.state != ChannelState::Closed);
        }
        if named.len() > 1 {
            let names: Vec<_> = named
                .iter()
                .map(|(record, _)| format!("{}:{}", self.receiver, record.channel.open_block))
                .collect();
            return Err(format!("there are several channels, say which: {}", names.join(", ")).into());
        }
        match named.pop() {
            Some((_, channel)) => Ok(channel),
            None => Err(format!(
                "there is no channel {self} in the book; `channels sync` looks on the chain"
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::{BlockNumber, ChannelId};

    fn record(open_block: u32, state: ChannelState) -> ChannelRecord {
        let channel = ChannelId {
            sender: Address::ZERO,
            receiver: Address::repeat_byte(1),
            open_block,
        };
        ChannelRecord {
            state,
            ..ChannelRecord::found(channel, 9.into(), BlockNumber(0))
        }
    }

    #[test]
    fn a_name_finds_one_channel_or_says_why_not() {
        let book = vec![
            record(3, ChannelState::Closed),
            record(5, ChannelState::Open),
            record(7, ChannelState::Settling),
        ];
        let receiver = Address::repeat_byte(1);
        let find = |name: &str, book: &[ChannelRecord]| {
            let name: ChannelName = name.parse().unwrap();
            let found = name.find(book.to_vec(), ChannelRecord::clone);
            found
                .map(|record| record.channel.open_block)
                .map_err(|error| error.to_string())
        };
        assert_eq!(find(&format!("{receiver}:7"), &book), Ok(7));
        assert_eq!(find(&format!("{receiver}:3"), &book), Ok(3));
        assert_eq!(find(&receiver.to_string(), &book[..2]), Ok(5));
        let several = find(&receiver.to_string(), &book).unwrap_err();
        assert!(
            several.ends_with(&format!("{receiver}:5, {receiver}:7")),
            "{several}"
        );
        for name in [format!("{receiver}:8"), Address::ZERO.to_string()] {
            assert!(find(&name, &book).unwrap_err().contains(&name), "{name}");
        }
        for text in [
            "",
            "0x12",
            "receiver:5",
            &format!("{receiver}:"),
            &format!("{receiver}:x"),
        ] {
            assert!(text.parse::<ChannelName>().is_err(), "{text}");
        }
    }
}
