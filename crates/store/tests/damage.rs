//! Damaged state files are refused, or load as what was stored.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::state::StateFile;
use channels::{Channel, batch, binding, commit, load, wait};
use microraiden_store::{Batch, ChannelStore, Snapshot, SqliteStore};
use rusqlite::types::Value;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Opens and loads.
fn read(path: &Path) -> Result<Snapshot, Box<dyn Error>> {
    let store = SqliteStore::open(path, binding())?;
    Ok(wait(store.load())?)
}

/// Makes sure that a state is refused; why.
fn refusal(path: &Path, what: &str) -> String {
    match read(path) {
        Ok(_) => panic!("{what}: the state was loaded"),
        Err(refused) => refused.to_string(),
    }
}

/// The tables with something that is lost or wrong when one value becomes another.
const TABLES: [&str; 5] = ["accounts", "blocks", "events", "tasks", "halts"];

/// Another value of the same type, as like it as can be.
fn altered(value: Value) -> Value {
    match value {
        Value::Null => Value::Integer(1),
        Value::Integer(number) => Value::Integer(number ^ 1),
        Value::Text(text) => {
            // A digit, where there is one.
            let (head, last) = text.split_at(text.len().saturating_sub(1));
            Value::Text(head.to_owned() + if last == "1" { "2" } else { "1" })
        }
        Value::Blob(mut bytes) => {
            *bytes.last_mut().unwrap() ^= 1;
            Value::Blob(bytes)
        }
        Value::Real(_) => unreachable!("there are none"),
    }
}

#[test]
fn a_value_that_became_another_is_noticed() {
    let mut count = 0;
    for table in TABLES {
        let file = StateFile::new();
        let columns: Vec<String> = {
            let database = file.sql();
            let statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            statement.column_names().into_iter().map(str::to_owned).collect()
        };
        for column in columns {
            let file = StateFile::new();
            let database = file.sql();
            database
                .pragma_update(None, "ignore_check_constraints", true)
                .unwrap();
            let stored: Value = database
                .query_one(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0))
                .unwrap();
            let changed = database.execute(
                &format!("UPDATE {table} SET {column} = ?1"),
                [altered(stored.clone())],
            );
            if changed.is_err() {
                // A missing text or blob, which cannot become a number.
                assert_eq!(stored, Value::Null, "{table}.{column}");
                continue;
            }
            drop(database);
            let message = refusal(&file.path, &format!("{table}.{column}"));
            assert!(message.contains("restore"), "{message}");
            count += 1;
        }
    }
    assert!(count > 35, "{count} values");
}

/// Copies of the files of one state, to be damaged.
struct Image {
    folder: TempDir,
}

impl Image {
    /// With the file, and what else of it is named and there.
    fn of(path: &Path, suffixes: &[&str]) -> Self {
        let image = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::copy(path, image.path("")).unwrap();
        for suffix in suffixes {
            image.put(path, suffix);
        }
        image
    }

    fn copy(&self) -> Self {
        Self::of(&self.path(""), &["-wal", ".lock"])
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("state{suffix}"))
    }

    /// Puts the file of another state in its place.
    fn put(&self, path: &Path, suffix: &str) {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::copy(path.with_file_name(format!("{name}{suffix}")), self.path(suffix)).unwrap();
    }

    fn size(&self, suffix: &str) -> u64 {
        fs::metadata(self.path(suffix)).unwrap().len()
    }

    fn open(&self, suffix: &str) -> fs::File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).open(self.path(suffix)).unwrap()
    }

    fn flip(&self, suffix: &str, at: u64, bits: u8) {
        let (file, mut byte) = (self.open(suffix), [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ bits], at).unwrap();
    }

    fn refusal(&self, what: &str) -> String {
        refusal(&self.path(""), what)
    }

    fn read(&self) -> Result<Snapshot, Box<dyn Error>> {
        read(&self.path(""))
    }
}

/// How many of some damages were refused, and how many did no harm.
#[derive(Debug, Default)]
struct Verdicts {
    refused: usize,
    harmless: usize,
}

impl Verdicts {
    /// Fails when a damaged state is taken for something that it is not.
    fn add(&mut self, found: Result<Snapshot, Box<dyn Error>>, stored: &Snapshot, what: &str) {
        match found {
            Ok(found) => {
                assert_eq!(found.accounts.len(), stored.accounts.len(), "{what}");
                assert!(found == *stored, "{what}: another state was loaded");
                self.harmless += 1;
            }
            Err(_) => self.refused += 1,
        }
    }
}

const CHANNELS: u32 = 100;

/// A state of several pages, in use; some of it is in the log alone. Every commit changes an account.
fn in_use(file: &StateFile, first: u32, payments: u64) -> (SqliteStore, Snapshot) {
    let mut channels: Vec<_> = (first..first + CHANNELS).map(Channel::new).collect();
    let transitions = channels.iter_mut().map(|channel| channel.open(1000)).collect();
    let opened = Batch {
        transitions,
        ..Batch::default()
    };
    commit(&file.open().unwrap(), opened).unwrap();
    // The end of that use has brought it into the file.
    let store = file.open().unwrap();
    for payment in 0..payments {
        let channel = &mut channels[usize::try_from(payment * 7).unwrap() % 100];
        commit(&store, batch([channel.pay(payment + 1, 1)])).unwrap();
    }
    let stored = load(&store);
    (store, stored)
}

#[test]
fn damaged_pages_are_refused_or_do_no_harm() {
    let file = StateFile::new();
    let (store, stored) = in_use(&file, 2, 30);
    drop(store);
    let whole = Image::of(&file.path, &[".lock"]);
    let pages = whole.size("") / 4096;
    assert!(pages > 20, "{pages} pages");
    let (mut flipped, mut zeroed) = (Verdicts::default(), Verdicts::default());
    for page in 0..pages {
        // Somewhere else in each page.
        for (part, bits) in [(0, 0xff), (1, 1), (2, 0x80), (3, 0x10)] {
            let at = page * 4096 + part * 1024 + page * 37 % 1024;
            let image = Image::of(&file.path, &[".lock"]);
            image.flip("", at, bits);
            flipped.add(image.read(), &stored, &format!("byte {at}"));
        }
        let image = Image::of(&file.path, &[".lock"]);
        image.open("").write_all_at(&[0; 4096], page * 4096).unwrap();
        zeroed.add(image.read(), &stored, &format!("page {page}"));
    }
    // Some is room that nothing is in.
    assert!(flipped.refused > 40 && flipped.harmless > 10, "{flipped:?}");
    assert_eq!(zeroed.harmless, 0, "{zeroed:?}");
}

/// Every row in it is whole, and yet some are there twice, and some are not.
#[test]
fn a_page_in_the_place_of_another_is_refused() {
    let file = StateFile::new();
    let (store, _) = in_use(&file, 2, 30);
    drop(store);
    let image = Image::of(&file.path, &[]);
    let mut bytes = fs::read(image.path("")).unwrap();
    // The first byte tells an inner page of a table without row ids.
    let inner = bytes.chunks_mut(4096).find(|page| page[0] == 2).unwrap();
    let first_cell = usize::from(u16::from_be_bytes([inner[12], inner[13]]));
    // The page of the first rows instead of that of the last.
    inner.copy_within(first_cell..first_cell + 4, 8);
    fs::write(image.path(""), bytes).unwrap();
    assert!(image.refusal("a page twice").contains("is damaged"));
}

#[test]
fn every_byte_of_the_header_is_refused_or_does_no_harm() {
    let file = StateFile::new();
    let stored = load(&file.open().unwrap());
    let mut verdicts = Verdicts::default();
    for at in 0..100 {
        for bits in [1, 4, 0xff] {
            let image = Image::of(&file.path, &[".lock"]);
            image.flip("", at, bits);
            verdicts.add(image.read(), &stored, &format!("byte {at}"));
        }
    }
    assert!(verdicts.refused > 50, "{verdicts:?}");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let file = StateFile::new();
    let (store, stored) = in_use(&file, 2, 30);
    drop(store);
    let size = fs::metadata(&file.path).unwrap().len();
    for suffixes in [&[".lock"][..], &[]] {
        let cut = |length| {
            let image = Image::of(&file.path, suffixes);
            image.open("").set_len(length).unwrap();
            image
        };
        for length in [1, 99, 100, 512, 4095, 4096, 4097, 8192, size / 2, size - 4096] {
            cut(length).refusal(&format!("{length} bytes"));
        }
        // SQLite reads zeros beyond the end, and a zero may be what was there.
        let mut last_byte = Verdicts::default();
        last_byte.add(cut(size - 1).read(), &stored, "all but a byte");
        let was_zero = fs::read(&file.path).unwrap().last() == Some(&0);
        assert_eq!(last_byte.refused == 0, was_zero, "{last_byte:?}");
    }
    let image = Image::of(&file.path, &[".lock"]);
    image.open("").set_len(0).unwrap();
    assert!(image.refusal("an empty file").contains("has vanished"));
    // Only by its owner's will something new begins there.
    fs::remove_file(image.path(".lock")).unwrap();
    assert_eq!(image.read().unwrap(), Snapshot::default());
}

#[test]
fn a_log_that_is_not_the_one_is_noticed() {
    let file = StateFile::new();
    let (store, stored) = in_use(&file, 2, 40);
    let all = ["-wal", ".lock"];
    let crashed = || Image::of(&file.path, &all);
    assert_eq!(crashed().read().unwrap(), stored);
    let size = crashed().size("-wal");

    let mut verdicts = Verdicts::default();
    for step in 0..60 {
        let image = crashed();
        image.flip("-wal", size * step / 60 + step, 1);
        verdicts.add(image.read(), &stored, &format!("flipped at {step}"));
        let image = crashed();
        image.open("-wal").set_len(size * step / 60).unwrap();
        verdicts.add(image.read(), &stored, &format!("cut off at {step}"));
    }
    assert_eq!(verdicts.harmless, 0, "{verdicts:?}");

    let missing = |suffixes: &[&str]| {
        let image = Image::of(&file.path, suffixes);
        let refused = image.refusal("no log");
        assert_eq!(image.refusal("no log"), refused, "it stays so");
        refused
    };
    assert!(missing(&[".lock"]).contains("lacks the last 40 changes"));
    assert!(missing(&[]).contains("-wal is missing"));
    // The mark alone can be done without.
    let image = Image::of(&file.path, &["-wal"]);
    assert_eq!(image.read().unwrap(), stored);
    let image = crashed();
    image.flip(".lock", 20, 1);
    assert_eq!(image.read().unwrap(), stored);
    drop(store);
}

#[test]
fn files_of_different_states_or_times_are_not_mixed() {
    let file = StateFile::new();
    let (store, _) = in_use(&file, 2, 10);
    let earlier = Image::of(&file.path, &["-wal", ".lock"]);
    drop(store);
    let (store, stored) = in_use(&file, 202, 30);
    let now = Image::of(&file.path, &["-wal", ".lock"]);
    assert_eq!(now.copy().read().unwrap(), stored);

    let image = now.copy();
    image.put(&earlier.path(""), "-wal");
    image.refusal("the log of an earlier use");
    let image = now.copy();
    image.put(&earlier.path(""), "");
    image.refusal("the file of an earlier use");
    let image = now.copy();
    image.put(&earlier.path(""), "");
    image.put(&earlier.path(""), "-wal");
    assert!(image.refusal("an old copy").contains("lacks the last"));

    drop(store);
    for foreign in foreign_logs() {
        assert!(foreign.copy().read().is_ok(), "by itself it is whole");
        // Whether the state was in use or not.
        for image in [earlier.copy(), Image::of(&file.path, &[".lock"])] {
            image.put(&foreign.path(""), "-wal");
            image.refusal("the log of another state");
        }
    }
}

/// States in use that are smaller than others, as large, and entirely in their log.
fn foreign_logs() -> [Image; 3] {
    let file = StateFile::new();
    let store = file.open().unwrap();
    let small = Image::of(&file.path, &["-wal", ".lock"]);
    drop(store);
    let (store, _) = in_use(&file, 2, 70);
    let large = Image::of(&file.path, &["-wal", ".lock"]);
    drop(store);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let store = SqliteStore::open(&path, binding()).unwrap();
    for number in 2..400 {
        commit(&store, batch([Channel::new(number).open(7)])).unwrap();
    }
    [small, large, Image::of(&path, &["-wal", ".lock"])]
}
