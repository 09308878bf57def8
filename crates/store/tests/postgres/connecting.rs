//! The way in, and what is refused there.

#![allow(clippy::unwrap_used, reason = "a test")]

use super::{commit, filled, open, raw, rows, server};
use crate::channels::{Channel, batch, binding};
use microraiden_protocol::{Address, Escrow};
use microraiden_store::{Binding, ChannelStore, DatabaseError, PostgresStore};
use microraiden_test_postgres::{Options, PASSWORD, Server};
use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};

async fn refused(url: &str) -> DatabaseError {
    PostgresStore::connect(url, binding()).await.unwrap_err()
}

/// All that a person or a log may see of it.
fn shown(error: &DatabaseError) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        text += &format!(" {error}");
        cause = error.source();
    }
    text
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_state_survives_reopening() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    let before = store.load().await.unwrap();
    assert_eq!(before.accounts[0].row(), &channel.row());
    assert_eq!((before.blocks.len(), before.events.len()), (1, 1));
    assert_eq!((before.tasks.len(), before.halts.len()), (1, 1));
    drop(store);
    let store = PostgresStore::connect(&database.socket_url, binding())
        .await
        .unwrap();
    assert_eq!(store.load().await.unwrap(), before);
    commit(&store, batch([channel.touch()])).await.unwrap();
}

#[tokio::test]
async fn who_may_not_enter_is_told_so() {
    let server = Server::start(Options {
        password: true,
        fsync: false,
        ..Options::default()
    });
    let database = server.database();
    PostgresStore::connect(&database.url, binding()).await.unwrap();
    for password in [":wrong-horse", ""] {
        let error = refused(&database.url.replace(&format!(":{PASSWORD}"), password)).await;
        assert!(matches!(error, DatabaseError::Denied { .. }), "{error:?}");
        assert!(!error.is_transient() && error.to_string().contains("user and password"));
        assert!(!shown(&error).contains("horse"), "{}", shown(&error));
    }
    let error = refused(&database.url.replace(&database.name, "nothing_here")).await;
    assert!(matches!(error, DatabaseError::NoDatabase { .. }), "{error:?}");
    assert!(!error.is_transient() && error.to_string().contains("createdb"));
    let store = PostgresStore::connect(&database.url, binding()).await.unwrap();
    assert!(!format!("{store:?}").contains("horse"), "{store:?}");
}

#[tokio::test]
async fn where_nobody_answers_it_may_be_tried_again() {
    let port = free_port();
    for url in [
        format!("postgres://postgres:secret@127.0.0.1:{port}/test"),
        "postgres://postgres:secret@nowhere.invalid/test".to_owned(),
        "postgres://postgres:secret@%2Fno%2Fsuch%2Ffolder/test".to_owned(),
    ] {
        let error = refused(&url).await;
        assert!(
            matches!(error, DatabaseError::Unreachable { .. }),
            "{url}: {error:?}"
        );
        assert!(error.is_transient() && !shown(&error).contains("secret"));
    }
}

/// A server that accepts connections and then says nothing keeps nobody from the next one.
#[tokio::test]
async fn the_first_server_that_can_be_written_to_is_used() {
    let (database, _) = filled().await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (silent, nobody) = (silent.local_addr().unwrap().port(), free_port());
    let ours = format!("@127.0.0.1:{}", server().port());
    for hosts in [
        format!("@127.0.0.1:{nobody},127.0.0.1:{}", server().port()),
        format!("@127.0.0.1:{silent},127.0.0.1:{}", server().port()),
    ] {
        let url = database.url.replace(&ours, &hosts) + "?connect_timeout=1&target_session_attrs=read-write";
        let store = PostgresStore::connect(&url, binding()).await.unwrap();
        assert_eq!(rows(&store).await.len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_only_reads_is_not_enough() {
    let (database, _) = filled().await;
    let name = &database.name;
    server().sql(
        name,
        &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
    );
    let error = refused(&database.url).await;
    assert!(matches!(error, DatabaseError::ReadOnly), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn certificates_are_checked_where_that_is_asked_for() {
    let server = Server::start(Options {
        tls: true,
        fsync: false,
        ..Options::default()
    });
    let database = server.database();
    let other = Server::start(Options {
        tls: true,
        fsync: false,
        ..Options::default()
    });
    let named = database.url.replace("127.0.0.1", "localhost");
    let (right, wrong) = (server.authority(), other.authority());
    for url in [&database.url, &named] {
        for mode in ["require", "verify-full"] {
            let checked = format!("{url}?sslmode={mode}&sslrootcert={}", right.display());
            let store = PostgresStore::connect(&checked, binding()).await.unwrap();
            let encrypted = format!(
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '{}'",
                database.name
            );
            assert_eq!(server.sql("postgres", &encrypted), "t");
            drop(store);
            for (roots, why) in [
                (format!("&sslrootcert={}", wrong.display()), "another authority"),
                (String::new(), "the system's authorities"),
            ] {
                let error = refused(&format!("{url}?sslmode={mode}{roots}")).await;
                let is_refused = matches!(
                    error,
                    DatabaseError::Tls { .. } | DatabaseError::NoRootCertificates
                );
                assert!(is_refused && !error.is_transient(), "{why}: {error:?}");
            }
        }
    }
    // The certificate is not for this name of the same machine.
    let misnamed = database.url.replace("127.0.0.1", "127.0.0.2");
    let hosted = format!(
        "{misnamed}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
        right.display()
    );
    assert!(matches!(refused(&hosted).await, DatabaseError::Tls { .. }));
    // Against those who only listen.
    PostgresStore::connect(&database.url, binding()).await.unwrap();
    let plain = refused(&format!("{}?sslmode=disable", database.url)).await;
    assert!(matches!(plain, DatabaseError::Denied { .. }), "{plain:?}");
}

#[tokio::test]
async fn a_server_without_encryption_is_refused_where_that_is_asked_for() {
    let (database, _) = filled().await;
    let error = refused(&format!("{}?sslmode=require", database.url)).await;
    assert!(
        matches!(
            error,
            DatabaseError::Tls { .. } | DatabaseError::NoRootCertificates
        ),
        "{error:?}"
    );
    let missing = refused(&format!(
        "{}?sslmode=require&sslrootcert=/nothing.pem",
        database.url
    ))
    .await;
    assert!(
        matches!(missing, DatabaseError::RootCertificates { .. }),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_database_belongs_to_one_chain_contract_and_receiver() {
    let (database, channel) = filled().await;
    let Binding { escrow, receiver } = binding();
    let another = Address::repeat_byte(7);
    let others = [
        Binding {
            escrow: Escrow {
                chain_id: 1,
                ..escrow
            },
            receiver,
        },
        Binding {
            escrow: Escrow {
                contract: another,
                ..escrow
            },
            receiver,
        },
        Binding {
            escrow,
            receiver: another,
        },
    ];
    for (other, is_right) in others.into_iter().zip([
        (|error| {
            matches!(
                error,
                DatabaseError::OtherChain {
                    found: 1337,
                    wanted: 1
                }
            )
        }) as fn(_) -> _,
        |error| matches!(error, DatabaseError::OtherContract { .. }),
        |error| matches!(error, DatabaseError::OtherReceiver { .. }),
    ]) {
        let error = PostgresStore::connect(&database.url, other).await.unwrap_err();
        assert!(
            !error.is_transient() && error.to_string().contains("use one database per"),
            "{error}"
        );
        assert!(is_right(error));
    }
    assert_eq!(rows(&open(&database).await).await[&channel.id()], channel.row());
}

/// Each in a schema of its own.
#[tokio::test]
async fn one_database_can_hold_several_states() {
    let database = server().database();
    server().sql(&database.name, "CREATE SCHEMA one; CREATE SCHEMA two");
    let [mut first, mut second] = [1, 2].map(Channel::new);
    for (schema, channel) in [("one", &mut first), ("two", &mut second)] {
        let url = format!("{}?options=-csearch_path%3D{schema}", database.url);
        let store = PostgresStore::connect(&url, binding()).await.unwrap();
        commit(&store, batch([channel.open(7)])).await.unwrap();
        assert_eq!(
            rows(&store).await.into_values().collect::<Vec<_>>(),
            [channel.row()]
        );
    }
}

#[tokio::test]
async fn what_is_not_a_whole_state_of_ours_is_refused() {
    for (statement, is_right) in [
        (
            "UPDATE binding SET schema_version = 2",
            (|error| matches!(error, DatabaseError::NewerVersion { found: 2 })) as fn(&_) -> bool,
        ),
        (
            "UPDATE binding SET moved_to = '/there'",
            |error| matches!(error, DatabaseError::Moved { to } if to == "/there"),
        ),
        ("DELETE FROM binding", |error| {
            matches!(error, DatabaseError::Incomplete)
        }),
        ("DROP TABLE binding", |error| {
            matches!(error, DatabaseError::Foreign { .. })
        }),
        ("UPDATE binding SET accounts_table = 7", |error| {
            matches!(error, DatabaseError::Dump)
        }),
        ("DROP TABLE binding; CREATE TABLE binding (paper text)", |error| {
            matches!(error, DatabaseError::Foreign { .. })
        }),
    ] {
        let (database, channel) = filled().await;
        let store = open(&database).await;
        server().sql(&database.name, statement);
        let error = refused(&database.url).await;
        assert!(
            is_right(&error) && !error.is_transient(),
            "{statement}: {error:?}"
        );
        let kept = server().sql(&database.name, "SELECT version FROM accounts");
        assert_eq!(kept, channel.row().version.number.to_string());
        drop(store);
    }
}

/// Who owns the tables makes them; who sells needs less.
#[tokio::test]
async fn rights_to_read_and_write_are_enough_once_the_tables_are_there() {
    let database = server().database();
    let name = &database.name;
    server().sql(
        name,
        &format!("CREATE ROLE seller_{name} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    );
    let as_seller = database.url.replace("postgres@", &format!("seller_{name}@"));
    let error = refused(&as_seller).await;
    assert!(matches!(error, DatabaseError::Migration { .. }), "{error:?}");
    assert!(error.to_string().contains("GRANT CREATE"));
    open(&database).await;
    let error = refused(&as_seller).await;
    assert!(matches!(error, DatabaseError::Denied { .. }), "{error:?}");
    server().sql(
        name,
        &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO seller_{name}"),
    );
    let store = PostgresStore::connect(&as_seller, binding()).await.unwrap();
    let mut channel = Channel::new(1);
    commit(&store, batch([channel.open(7)])).await.unwrap();
    assert_eq!(rows(&store).await.len(), 1);
}

#[tokio::test]
async fn instances_that_start_together_make_the_tables_once() {
    let database = server().database();
    let starting: Vec<_> = (0..10)
        .map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move { PostgresStore::connect(&url, binding()).await })
        })
        .collect();
    let mut stores = Vec::new();
    for store in starting {
        stores.push(store.await.unwrap().unwrap());
    }
    let mut channel = Channel::new(1);
    commit(&stores[0], batch([channel.open(7)])).await.unwrap();
    for store in &stores {
        commit(store, batch([channel.touch()])).await.unwrap();
    }
    assert_eq!(rows(&stores[0]).await[&channel.id()].version.number, 11);
}

/// Whatever a role or a database is set to.
#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let (database, mut channel) = filled().await;
    let name = &database.name;
    for (setting, kept) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        server().sql(
            name,
            &format!("ALTER DATABASE {name} SET synchronous_commit = {setting}"),
        );
        let store = open(&database).await;
        let client = raw(&database).await;
        client
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS spied (setting text); \
                 CREATE OR REPLACE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     INSERT INTO spied VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$; \
                 CREATE OR REPLACE TRIGGER spy BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION spy()",
            )
            .await
            .unwrap();
        commit(&store, batch([channel.touch()])).await.unwrap();
        let spied = server().sql(name, "SELECT setting FROM spied; DELETE FROM spied");
        assert_eq!(spied, kept);
    }
}
