//! Who is connected to a database, or has a file, when the state is moved away.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{Channel, batch, binding, block, commit, load, runtime, wait};
use crate::states::State;
use crate::{Place, open, sorted};
use microraiden_protocol::ledger::Transition;
use microraiden_protocol::{BlockNumber, ChainUpdate};
use microraiden_store::{
    Batch, Bid, ChannelStore, DatabaseError, Halt, HaltChange, HaltKind, MoveError, Moving, OpenError,
    PostgresStore, Progress, Purpose, SharedStore, StoreError, TaskChange, TaskKind, Word, backup, inspect,
    move_to_file, restore,
};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A database with a state, and a store that leads.
fn led() -> (Place, State, Arc<PostgresStore>) {
    let place = Place::new();
    let file = place.path("receiver.db");
    let mut state = State::with_everything();
    state.write(&open(&file).unwrap());
    place.fill_database(&file).unwrap();
    let store = Arc::new(place.connect().unwrap());
    state.channel().resume(&load(&*store));
    assert!(wait(store.bid(Bid::Lead(Word::default()))).unwrap().is_ours);
    (place, state, store)
}

/// Everything that a store can be asked to write.
fn writes(channel: &mut Channel) -> Vec<Batch> {
    let touched = |transition: Transition| batch([transition]);
    let whole = ChainUpdate {
        rewind_to: None,
        blocks: vec![block(5000)],
        events: vec![],
    };
    let rewound = ChainUpdate {
        rewind_to: Some(BlockNumber(5)),
        ..ChainUpdate::default()
    };
    let chain = |update| Batch {
        chain: Some(update),
        ..Batch::default()
    };
    let lifted = Batch {
        halts: vec![HaltChange::Lift(HaltKind::Restored)],
        ..Batch::default()
    };
    let done = Batch {
        tasks: vec![TaskChange::Remove {
            channel: channel.id(),
            kind: TaskKind::Dispute,
        }],
        ..Batch::default()
    };
    vec![
        touched(channel.pay(95, 5)),
        touched(channel.touch()),
        touched(Channel::new(77).open(5)),
        chain(whole),
        chain(rewound),
        lifted,
        done,
    ]
}

fn told(error: &dyn Error) -> String {
    let cause = error.source().map_or_else(String::new, ToString::to_string);
    format!("{error}: {cause}")
}

#[test]
fn who_is_connected_writes_nothing_after_the_database_was_moved_away() {
    for which in 0..7 {
        let (place, mut state, store) = led();
        let before = place.contents().unwrap().snapshot;
        let back = place.path("back.db");
        place.fill_file(&back).unwrap();
        let refused = commit(&*store, writes(state.channel()).swap_remove(which)).unwrap_err();
        assert!(
            matches!(refused, StoreError::Stopped { .. }),
            "{which}: {refused:?}"
        );
        assert!(
            told(&refused).contains(&format!("was moved to {}", back.display())),
            "{}",
            told(&refused)
        );
        // For good, and every other way too.
        let again = store.commit(batch([state.channel().touch()]));
        assert!(matches!(again, Err(StoreError::Stopped { .. })), "{again:?}");
        assert!(wait(store.bid(Bid::Lead(Word::default()))).is_err());
        assert_eq!(sorted(&place.contents().unwrap().snapshot), sorted(&before));
        assert_eq!(sorted(&load(&open(&back).unwrap())), sorted(&before));
    }
}

#[test]
fn who_holds_accounts_when_the_database_is_moved_away_writes_before_or_not_at_all() {
    let (place, mut state, store) = led();
    let channel = state.channel();
    let held = wait(store.hold(vec![channel.id()], Purpose::Sale)).unwrap();
    let back = place.path("back.db");
    let (url, to) = (place.url(), back.clone());
    let moving = std::thread::spawn(move || runtime().block_on(move_to_file(&url, &to, |_| ())));
    // It waits for who holds.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!moving.is_finished());
    let paid = channel.pay(95, 5);
    wait(held.hold.commit(batch([paid]))).unwrap();
    let moved = moving.join().unwrap().unwrap();
    let account = moved
        .snapshot
        .accounts
        .iter()
        .find(|account| *account.channel() == channel.id());
    assert_eq!(account.unwrap().row(), &channel.row());

    // To hold is no write, but nothing comes of it.
    let held = wait(store.hold(vec![channel.id()], Purpose::Sale)).unwrap();
    let refused = wait(held.hold.commit(batch([channel.touch()]))).unwrap_err();
    assert!(matches!(refused, StoreError::Stopped { .. }), "{refused:?}");
}

#[test]
fn a_busy_store_stops_at_the_move_and_nothing_acknowledged_is_missing() {
    let (place, mut state, store) = led();
    let writer = store.clone();
    let mut channel = std::mem::replace(state.channel(), Channel::new(9));
    let busy = std::thread::spawn(move || {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "it writes on and on");
            let version = channel.account().version().number;
            let touched = channel.touch();
            if let Err(error) = writer
                .commit(batch([touched]))
                .and_then(|ticket| runtime().block_on(ticket))
            {
                return (channel.id(), version, error);
            }
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    let moved = place.fill_file(&place.path("back.db")).unwrap();
    let (id, acknowledged, error) = busy.join().unwrap();
    assert!(matches!(error, StoreError::Stopped { .. }), "{error:?}");
    let account = moved
        .snapshot
        .accounts
        .iter()
        .find(|account| *account.channel() == id);
    assert_eq!(account.unwrap().version().number, acknowledged);
    assert!(acknowledged > 10, "{acknowledged}");
}

#[test]
fn nobody_connects_to_a_database_that_was_moved_away() {
    let (place, _, store) = led();
    let back = place.path("back.db");
    place.fill_file(&back).unwrap();
    drop(store);
    let refused = place.connect().unwrap_err();
    let DatabaseError::Moved { to } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*to, back.display().to_string());
    assert_eq!(place.contents().unwrap().moving, Some(Moving::To(to.clone())));
}

/// Also of those who were connected before there was anything.
#[test]
fn nobody_uses_what_is_not_all_there_yet() {
    let place = Place::new();
    let file = place.path("receiver.db");
    State::with_everything().write(&open(&file).unwrap());
    let early = place.connect().unwrap();
    let unfinished = |step| {
        if step == Progress::Written {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let refused = place.connect().unwrap_err();
                    assert!(matches!(refused, DatabaseError::Unfinished { .. }), "{refused:?}");
                    assert!(
                        refused.to_string().contains(&file.display().to_string()),
                        "{refused}"
                    );
                    let refused = commit(&early, batch([Channel::new(77).open(5)])).unwrap_err();
                    assert!(
                        told(&refused).contains("is not all here yet from"),
                        "{}",
                        told(&refused)
                    );
                });
            });
        }
    };
    runtime()
        .block_on(microraiden_store::move_to_database(
            &file,
            &place.url(),
            unfinished,
        ))
        .unwrap();

    let back = place.path("back.db");
    let unfinished = |step| {
        if step == Progress::Written {
            let refused = open(&back).unwrap_err();
            assert!(matches!(refused, OpenError::Locked { .. }), "{refused:?}");
        }
    };
    runtime()
        .block_on(move_to_file(&place.url(), &back, unfinished))
        .unwrap();
    open(&back).unwrap();
}

#[test]
fn a_file_that_was_moved_is_opened_and_backed_up_by_nobody() {
    let place = Place::new();
    let (file, kept) = (place.path("receiver.db"), place.path("receiver.backup"));
    State::with_everything().write(&open(&file).unwrap());
    let stored = backup(&file, &kept, false).unwrap().snapshot;
    place.fill_database(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();

    let refused = open(&file).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Moved { to, .. } if *to == place.url().to_string()),
        "{refused:?}"
    );
    let refused = backup(&file, &place.path("another"), false).unwrap_err();
    assert!(refused.to_string().contains("was moved to"), "{refused}");
    let refused = backup(&file, &kept, true).unwrap_err();
    assert!(refused.to_string().contains("was moved to"), "{refused}");
    let shown = inspect(&file).unwrap();
    assert_eq!(shown.moving, Some(Moving::To(place.url().to_string())));
    assert_eq!(sorted(&shown.snapshot), sorted(&stored));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert!(
        !place.path("receiver.db-wal").exists()
            || place.path("receiver.db-wal").metadata().unwrap().len() == 0
    );

    // When the database is lost, there is still this, and the backup; neither sells on what it may have forgotten.
    for (from, name) in [(&file, "one"), (&kept, "two")] {
        let restored = restore(from, &place.path(name)).unwrap();
        let halt = Halt {
            kind: HaltKind::Restored,
            block: None,
        };
        assert!(restored.snapshot.halts.contains(&halt));
        assert_eq!(restored.moving, None);
        open(&place.path(name)).unwrap();
    }
    assert!(matches!(open(&file).unwrap_err(), OpenError::Moved { .. }));
}

/// Whoever has changed what was written is found out before the source is given up.
#[test]
fn what_is_read_back_otherwise_is_not_moved() {
    let place = Place::new();
    let (file, back) = (place.path("receiver.db"), place.path("back.db"));
    State::with_everything().write(&open(&file).unwrap());
    for (sql, what) in [
        (
            "UPDATE accounts SET deposit = deposit + 1 WHERE deposit = 100",
            "the account of channel",
        ),
        (
            "DELETE FROM accounts WHERE deposit = 100",
            "the account of channel",
        ),
        ("UPDATE events SET amount = 5 WHERE amount = 0", "an event"),
        (
            "UPDATE blocks SET hash = sha256('x') WHERE number = 77",
            "a block",
        ),
        (
            "UPDATE tasks SET not_before = not_before - 1 WHERE not_before > 0",
            "a task",
        ),
        ("DELETE FROM halts WHERE kind = 'restored'", "a halt"),
        (
            "UPDATE binding SET chain_id = chain_id + 1",
            "what the state belongs to",
        ),
    ] {
        let planted = |step| {
            if step == Progress::Written {
                place.sql(&format!("SET session_replication_role = replica; {sql}"));
            }
        };
        let refused = runtime().block_on(microraiden_store::move_to_database(&file, &place.url(), planted));
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, MoveError::Differs { what: found } if found.contains(what)),
            "{sql}: {refused}"
        );
        place.sql(&format!(
            "UPDATE binding SET chain_id = {}",
            binding().escrow.chain_id
        ));
        drop(open(&file).unwrap());
        assert!(matches!(
            place.connect().unwrap_err(),
            DatabaseError::Unfinished { .. }
        ));
    }
    place.fill_database(&file).unwrap();

    for (sql, what) in [
        ("DELETE FROM accounts WHERE refund > ''", "the account of channel"),
        ("DELETE FROM events WHERE log_index = 1", "an event"),
        ("DELETE FROM blocks WHERE number = 77", "a block"),
        ("DELETE FROM tasks WHERE kind = 'close'", "a task"),
        ("DELETE FROM halts", "a halt"),
        (
            "UPDATE binding SET chain_id = chain_id + 1",
            "what the state belongs to",
        ),
    ] {
        let planted = |step| {
            if step == Progress::Written {
                rusqlite::Connection::open(&back)
                    .unwrap()
                    .execute(sql, [])
                    .unwrap();
            }
        };
        let refused = runtime()
            .block_on(move_to_file(&place.url(), &back, planted))
            .unwrap_err();
        assert!(
            matches!(&refused, MoveError::Differs { what: found } if found.contains(what)),
            "{sql}: {refused}"
        );
        drop(place.connect().unwrap());
        assert!(matches!(open(&back).unwrap_err(), OpenError::Unfinished { .. }));
    }
    place.fill_file(&back).unwrap();
    open(&back).unwrap();
}
