//! What is free, for whom, and what is left of it after a restart.

use super::*;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

const HOUR: Duration = Duration::from_secs(3600);

/// A folder with a file of quotas, and a time in the middle of an hour and of a day.
struct Scene {
    folder: tempfile::TempDir,
    now: SystemTime,
}

impl Scene {
    fn set() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            now: UNIX_EPOCH + Duration::from_secs(1_767_312_000) + HOUR / 2 + 12 * HOUR,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("quotas.db")
    }

    fn open(&self) -> Quotas {
        self.open_at(self.now)
    }

    fn open_at(&self, now: SystemTime) -> Quotas {
        Quotas::open_at(&self.path(), MOST_CLIENTS, now).unwrap()
    }

    fn refusal(&self) -> String {
        Quotas::open(&self.path()).unwrap_err().to_string()
    }

    /// How many rows of clients are in the file, which must not be open.
    fn rows(&self) -> i64 {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .query_row("SELECT count(*) FROM used", [], |row| row.get(0))
            .unwrap()
    }

    fn change(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

fn quota(text: &str) -> FreeQuota {
    text.parse().unwrap()
}

fn client(number: u32) -> ClientKey {
    ClientKey::V4(number.to_be_bytes())
}

/// How many more of a few requests are free.
fn left(quotas: &Quotas, name: &str, number: u32, text: &str, now: SystemTime) -> usize {
    (0..20)
        .filter(|_| quotas.take(name, client(number), quota(text), now))
        .count()
}

#[test]
fn each_client_and_each_name_has_its_own() {
    let scene = Scene::set();
    let (quotas, now) = (scene.open(), scene.now);
    assert_eq!(left(&quotas, "a", 1, "3 per day", now), 3);
    assert_eq!(left(&quotas, "a", 2, "3 per day", now), 3);
    assert_eq!(left(&quotas, "b", 1, "3 per day", now), 3);
    assert_eq!(left(&quotas, "a", 1, "3 per day", now), 0);
    // Another number goes on from what was used, another time begins anew.
    assert_eq!(left(&quotas, "a", 1, "5 per day", now), 2);
    assert_eq!(left(&quotas, "a", 1, "2 per day", now), 0);
    assert_eq!(left(&quotas, "a", 1, "3 per hour", now), 3);
    assert_eq!(left(&quotas, "a", 1, "3 ever", now), 3);
}

#[test]
fn a_period_ends_for_all_and_a_clock_that_is_set_back_begins_none() {
    let scene = Scene::set();
    let (quotas, now) = (scene.open(), scene.now);
    for text in ["2 per hour", "2 per day", "2 ever"] {
        assert_eq!(left(&quotas, "a", 1, text, now), 2);
        assert_eq!(left(&quotas, "a", 1, text, now - 24 * HOUR), 0, "{text}");
    }
    let later = now + HOUR;
    assert_eq!(left(&quotas, "a", 1, "2 per hour", later), 2);
    assert_eq!(left(&quotas, "a", 1, "2 per day", later), 0);
    let later = now + 24 * HOUR;
    assert_eq!(left(&quotas, "a", 1, "2 per day", later), 2);
    assert_eq!(left(&quotas, "a", 1, "2 ever", later), 0);
}

#[test]
fn what_is_given_back_can_be_taken_again_within_its_period() {
    let scene = Scene::set();
    let (quotas, now) = (scene.open(), scene.now);
    let hourly = quota("2 per hour");
    assert_eq!(left(&quotas, "a", 1, "2 per hour", now), 2);
    quotas.give_back("a", client(1), hourly, now);
    assert_eq!(left(&quotas, "a", 1, "2 per hour", now), 1);
    // Of another period, of nothing, or of nobody.
    assert_eq!(left(&quotas, "a", 1, "2 per hour", now + HOUR), 2);
    quotas.give_back("a", client(1), hourly, now);
    quotas.give_back("a", client(2), hourly, now);
    quotas.give_back("b", client(1), hourly, now);
    assert_eq!(left(&quotas, "a", 1, "2 per hour", now + HOUR), 0);
    quotas.give_back("a", client(1), hourly, now + HOUR);
    quotas.give_back("a", client(1), hourly, now + HOUR);
    quotas.give_back("a", client(1), hourly, now + HOUR);
    assert_eq!(left(&quotas, "a", 1, "2 per hour", now + HOUR), 2);
}

#[test]
fn a_restart_forgets_nothing() {
    let scene = Scene::set();
    let quotas = scene.open();
    assert_eq!(left(&quotas, "a", 1, "3 per day", scene.now), 3);
    let six = ClientKey::V6([1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(quotas.take("a", six, quota("1 ever"), scene.now));
    assert!(quotas.take("a", client(2), quota("3 per day"), scene.now));
    assert!(quotas.take("a", client(3), quota("3 per day"), scene.now));
    quotas.give_back("a", client(3), quota("3 per day"), scene.now);
    drop(quotas);
    assert_eq!(scene.rows(), 3);
    let quotas = scene.open();
    assert_eq!(left(&quotas, "a", 1, "3 per day", scene.now), 0);
    assert_eq!(left(&quotas, "a", 2, "3 per day", scene.now), 2);
    assert!(!quotas.take("a", six, quota("1 ever"), scene.now));
    // What is given back after it was written is taken out of the file.
    quotas.give_back("a", six, quota("1 ever"), scene.now);
    drop(quotas);
    let quotas = scene.open();
    assert!(quotas.take("a", six, quota("1 ever"), scene.now));
    drop(quotas);
    // A clock that is behind after the restart.
    let behind = scene.now - 48 * HOUR;
    let quotas = scene.open_at(behind);
    assert_eq!(left(&quotas, "a", 1, "3 per day", behind), 0);
}

#[test]
fn earlier_periods_are_deleted() {
    let scene = Scene::set();
    let quotas = scene.open();
    for number in 0..10 {
        assert_eq!(left(&quotas, "a", number, "1 per hour", scene.now), 1);
        assert_eq!(left(&quotas, "b", number, "1 per hour", scene.now), 1);
        assert_eq!(left(&quotas, "c", number, "1 ever", scene.now), 1);
    }
    drop(quotas);
    assert_eq!(scene.rows(), 30);
    // By the first request of the next one.
    let quotas = scene.open();
    let later = scene.now + HOUR;
    assert_eq!(left(&quotas, "a", 1, "1 per hour", later), 1);
    drop(quotas);
    assert_eq!(scene.rows(), 21);
    // And by a start, whether it is used or not.
    drop(scene.open_at(later + HOUR));
    assert_eq!(scene.rows(), 10);
}

#[test]
fn strangers_cannot_take_memory_nor_more_than_there_is() {
    let scene = Scene::set();
    let quotas = Quotas::open_at(&scene.path(), 1_000, scene.now).unwrap();
    let free =
        (0..1_000_000).filter(|number| quotas.take("a", client(*number), quota("2 per day"), scene.now));
    assert_eq!(free.count(), 1_000);
    // Those who were there have the rest of theirs; there is room elsewhere, and the next day.
    assert_eq!(left(&quotas, "a", 999, "2 per day", scene.now), 1);
    assert_eq!(left(&quotas, "a", 1_000, "2 per day", scene.now), 0);
    assert_eq!(left(&quotas, "b", 1_000, "2 per day", scene.now), 2);
    assert_eq!(left(&quotas, "a", 1_000, "2 per day", scene.now + 24 * HOUR), 2);
    drop(quotas);
    assert_eq!(scene.rows(), 2);
}

#[test]
fn parallel_requests_get_exactly_what_there_is() {
    let scene = Scene::set();
    let quotas = scene.open();
    let free: usize = thread::scope(|scope| {
        let take = || {
            (0..500)
                .filter(|_| quotas.take("a", client(1), quota("1000 per day"), scene.now))
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(free, 1_000);
}

#[test]
fn a_file_is_private_and_for_one_process() {
    let scene = Scene::set();
    let quotas = scene.open();
    assert_eq!(left(&quotas, "a", 1, "1 per day", scene.now), 1);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scene.path()), 0o600);
    let log = scene.folder.path().join("quotas.db-wal");
    assert_eq!(mode(log.clone()), 0o600);
    assert!(
        scene.refusal().contains("is in use; stop the other process"),
        "{}",
        scene.refusal()
    );
    // The lock has outlived that, too.
    assert!(scene.refusal().contains("is in use"), "{}", scene.refusal());
    drop(quotas);
    assert!(!log.exists());
    std::fs::set_permissions(scene.path(), PermissionsExt::from_mode(0o640)).unwrap();
    assert!(
        scene.refusal().contains("(mode 640) must be private"),
        "{}",
        scene.refusal()
    );
}

#[test]
fn what_is_not_what_was_written_is_refused_and_left_as_it_is() {
    let scene = Scene::set();
    let whole = || {
        let _ = std::fs::remove_file(scene.path());
        let quotas = scene.open();
        for number in 0..1_000 {
            assert_eq!(left(&quotas, "a", number, "1 ever", scene.now), 1);
        }
        drop(quotas);
        std::fs::read(scene.path()).unwrap()
    };
    let good = whole();
    let refused = |bytes: &[u8], told: &str| {
        std::fs::write(scene.path(), bytes).unwrap();
        let refusal = scene.refusal();
        assert!(refusal.contains(told), "{refusal}");
        assert_eq!(std::fs::read(scene.path()).unwrap(), bytes, "{told}");
    };
    refused(b"some text that is no database", "is not a file of free quotas");
    let page = 4096;
    let mut spoilt = good.clone();
    spoilt[2 * page..4 * page].fill(0x55);
    refused(&spoilt, "is damaged");
    refused(&good[..good.len() - page], "is damaged");
    for (sql, told) in [
        ("PRAGMA user_version = 2", "is of the newer format 2"),
        ("PRAGMA application_id = 1", "is not a file of free quotas"),
        (
            "UPDATE used SET client = x'00' WHERE client = x'00000001'",
            "is damaged (a client has no address)",
        ),
        (
            "UPDATE used SET requests = 0 WHERE client = x'00000001'",
            "is damaged (a count is none)",
        ),
        (
            "UPDATE quotas SET period = 'week'",
            "is damaged (a period has another name)",
        ),
        (
            "UPDATE quotas SET window = -1",
            "is damaged (a period is before 1970)",
        ),
        ("DROP TABLE used", "is damaged (no such table: used)"),
    ] {
        whole();
        scene.change(sql);
        let refusal = scene.refusal();
        assert!(refusal.contains(told), "{sql}: {refusal}");
    }
    // Another's database in use, whose log is not even looked at.
    std::fs::remove_file(scene.path()).unwrap();
    let other = Connection::open(scene.path()).unwrap();
    std::fs::set_permissions(scene.path(), PermissionsExt::from_mode(0o600)).unwrap();
    let sql = "PRAGMA journal_mode = WAL; PRAGMA application_id = 1; CREATE TABLE money (balance)";
    other.execute_batch(sql).unwrap();
    assert!(
        scene.refusal().contains("is not a file of free quotas"),
        "{}",
        scene.refusal()
    );
    assert!(
        std::fs::metadata(scene.folder.path().join("quotas.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    drop(other);
    // A folder, and none.
    let folder = Quotas::open(scene.folder.path()).unwrap_err();
    assert!(matches!(folder, QuotaError::File { .. }), "{folder}");
    let nowhere = Quotas::open(&scene.path().join("deeper")).unwrap_err();
    assert!(matches!(nowhere, QuotaError::File { .. }), "{nowhere}");
}

#[test]
fn what_cannot_be_written_is_used_all_the_same_and_written_later() {
    let scene = Scene::set();
    drop(scene.open());
    scene.change(
        "CREATE TRIGGER fails BEFORE INSERT ON used WHEN NEW.client = x'00000001' AND NEW.requests < 3
         BEGIN SELECT RAISE(FAIL, 'not now'); END",
    );
    let quotas = scene.open();
    let take = |number| quotas.take("a", client(number), quota("3 per day"), scene.now);
    assert!(take(1) && take(2));
    // The first attempts fail, for both.
    thread::sleep(3 * PAUSE);
    assert!(take(1) && take(1) && !take(1));
    drop(quotas);
    let quotas = scene.open();
    assert_eq!(left(&quotas, "a", 1, "3 per day", scene.now), 0);
    assert_eq!(left(&quotas, "a", 2, "3 per day", scene.now), 2);
}

#[tokio::test]
async fn an_orderly_end_writes_all_while_others_have_it_still() {
    let scene = Scene::set();
    let quotas = scene.open();
    assert_eq!(left(&quotas, "a", 1, "2 per day", scene.now), 2);
    let begin = std::time::Instant::now();
    quotas.stop().await;
    assert!(begin.elapsed() < PAUSE);
    // The file is free for the next one.
    assert_eq!(left(&scene.open(), "a", 1, "2 per day", scene.now), 0);
    drop(quotas);
}
