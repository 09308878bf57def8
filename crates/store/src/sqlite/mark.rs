//! The high-water mark: how much is durable, told outside of the database.
//!
//! SQLite takes a log that was cut off or is missing for one that ends there, so a state that has
//! lost its last payments looks whole. The mark tells of them. It stands in the lock file and is
//! written after each commit, but nobody waits until it is on the disk: it may tell of less than is
//! durable, never of more.

use super::checksum::FileId;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// More than a mark has.
const MAX_BYTES: usize = 64;

/// How far a state file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The file.
    pub(super) file: FileId,
    /// How many transitions its accounts have taken: the sum of their versions, which never goes
    /// down.
    pub(super) changes: u64,
}

impl Mark {
    /// Reads the mark in a lock file; none if there is none that is whole.
    pub(super) fn read(lock: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; MAX_BYTES];
        let length = lock.read_at(&mut bytes, 0)?;
        Ok(bytes.get(..length).and_then(Self::parse))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let mut words = text.split_ascii_whitespace();
        let mark = Self {
            file: FileId(u64::from_str_radix(words.next()?, 16).ok()?.cast_signed()),
            changes: words.next()?.parse().ok()?,
        };
        // Its checksum is right.
        (mark.print() == text).then_some(mark)
    }

    fn print(self) -> String {
        let words = format!("{:016x} {:020}", self.file.0, self.changes);
        let checksum = crc32fast::hash(words.as_bytes());
        format!("{words} {checksum:08x}\n")
    }

    /// Writes it over the one before, which is as long.
    fn write(self, lock: &File) -> io::Result<()> {
        lock.write_all_at(self.print().as_bytes(), 0)
    }
}

/// The mark of a state file in use.
#[derive(Debug)]
pub(super) struct HighWaterMark {
    lock: File,
    mark: Mark,
}

impl HighWaterMark {
    /// Writes the first mark of this use.
    pub(super) fn set(lock: &File, mark: Mark) -> io::Result<Self> {
        mark.write(lock)?;
        let lock = lock.try_clone()?;
        Ok(Self { lock, mark })
    }

    /// So many more transitions are durable.
    pub(super) fn rise(&mut self, changes: u64) -> io::Result<()> {
        self.mark.changes += changes;
        self.mark.write(&self.lock)
    }

    /// Waits until it is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.lock.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_mark_is_read() {
        for (file, changes) in [(0, 0), (-1, 1), (i64::MIN, u64::MAX)] {
            let file = FileId(file);
            let mark = Mark { file, changes };
            let text = mark.print();
            assert_eq!(Mark::parse(text.as_bytes()), Some(mark));
            assert!(text.len() < MAX_BYTES);
            for at in 0..text.len() {
                assert_eq!(Mark::parse(&text.as_bytes()[..at]), None, "{at}");
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                assert_eq!(Mark::parse(&bytes), None, "{at}");
            }
        }
        assert_eq!(Mark::parse(&[0; 47]), None);
    }
}
