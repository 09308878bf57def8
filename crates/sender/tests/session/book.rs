//! What a sender knows after it ends, and after it is cut off.

use crate::receiver::{Fault, Receiver};
use crate::stage::{PRICE, Stage, config};
use microraiden_protocol::{Amount, Balance, SecretKey};
use microraiden_sender::book::{BookContents, BookError};
use microraiden_sender::{ChannelError, ChannelState, Client, ClientOptions, Session, SessionError};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn with_book(path: &Path) -> ClientOptions {
    ClientOptions {
        book: Some(path.into()),
        ..ClientOptions::default()
    }
}

fn session(client: &Client) -> Session {
    Session::new(client.clone(), config()).expect("a session")
}

#[tokio::test]
async fn a_restarted_sender_pays_on_without_asking() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let before = {
        let client = stage.open_client(with_book(&book)).await.unwrap();
        let session = session(&client);
        session.get(receiver.url()).await.unwrap();
        session.get(receiver.url()).await.unwrap();
        session.channels()[0].record()
    };
    assert_eq!(before.served, Balance::from(2 * PRICE));

    let client = stage.open_client(with_book(&book)).await.unwrap();
    assert_eq!(client.channels()[0].record(), before);
    let seen = receiver.server.seen().len();
    session(&client).get(receiver.url()).await.unwrap();
    // The price, and the payment; no question for the balance.
    assert_eq!(receiver.server.seen().len(), seen + 2);
    assert_eq!(receiver.sold(), [Amount::from(3 * PRICE)]);
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn a_payment_is_in_the_book_before_the_server_sees_it() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let path = book.clone();
    let receiver = Receiver::start(&stage, move |_| {
        // What a crash at this moment would leave.
        let contents = BookContents::read(&path).unwrap();
        let record = &contents.channels[0];
        let (signed, owed) = (record.signed_balance(), record.owed());
        assert_eq!(signed, owed, "one in flight, nothing else");
        let proof = record.signed.unwrap();
        assert!(record.unanswered.contains_key(&proof.balance) || record.position.is_zero());
        Fault::None
    })
    .await;
    let client = stage.open_client(with_book(&book)).await.unwrap();
    let session = session(&client);
    for _ in 0..3 {
        session.get(receiver.url()).await.unwrap();
    }
    assert_eq!(receiver.sold(), [Amount::from(3 * PRICE)]);
}

#[tokio::test]
async fn a_sender_cut_off_in_a_payment_asks_what_became_of_it() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let [book, cut_off] = ["sender.book", "cut-off.book"].map(|name| folder.path().join(name));
    let receiver = Receiver::start(&stage, |number| match number {
        // The second payment is taken, and never answered.
        2 => Fault::LostAnswer,
        _ => Fault::None,
    })
    .await;
    let client = stage.open_client(with_book(&book)).await.unwrap();
    let first = session(&client);
    first.get(receiver.url()).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(300), first.get(receiver.url()));
    waiting.await.expect_err("no answer");
    copy_book(&book, &cut_off);

    let client = stage.open_client(with_book(&cut_off)).await.unwrap();
    let record = client.channels()[0].record();
    assert_eq!(record.signed_balance(), Balance::from(2 * PRICE));
    assert!(!record.synced);
    let second = session(&client);
    second.get(receiver.url()).await.unwrap();
    // Both sides agree again: two were served, the lost one counts.
    assert_eq!(receiver.sold(), [Amount::from(3 * PRICE)]);
    let record = client.channels()[0].record();
    assert_eq!(record.served, Balance::from(3 * PRICE));
    assert_eq!(record.signed_balance(), Balance::from(3 * PRICE));
    assert_eq!(stage.open_channels().await, 1);
}

/// As after a crash: what is in the log is not in the file yet.
fn copy_book(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let [from, to] = [from, to].map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            name
        });
        fs::copy(from, to).expect("a copy");
    }
}

#[tokio::test]
async fn a_lost_book_is_made_again_from_the_chain_and_the_receiver() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    for name in ["lost.book", "new.book"] {
        let client = stage
            .open_client(with_book(&folder.path().join(name)))
            .await
            .unwrap();
        session(&client).get(receiver.url()).await.unwrap();
    }
    assert_eq!(receiver.sold(), [Amount::from(2 * PRICE)]);
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn what_happens_on_chain_meanwhile_is_taken_over() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let receiver = stage.receiver.address();
    let first = {
        let client = stage.open_client(with_book(&book)).await.unwrap();
        client.open_channel(receiver, 50.into()).await.unwrap().id()
    };
    // The same sender on another machine.
    let elsewhere = stage.restarted_client();
    let channels = elsewhere.open_channels(None).await.unwrap();
    channels[0].topup(7.into()).await.unwrap();
    let second = elsewhere.open_channel(receiver, 30.into()).await.unwrap();
    let closing = elsewhere.open_channel(receiver, 20.into()).await.unwrap();
    closing.close().await.unwrap();

    let client = stage.open_client(with_book(&book)).await.unwrap();
    assert_eq!(client.channels().len(), 1);
    client.sync().await.unwrap();
    let state = |id| {
        let record = client.channel(&id).unwrap().record();
        (record.deposit, record.state, record.synced)
    };
    assert_eq!(state(first), (57.into(), ChannelState::Open, true));
    assert_eq!(state(second.id()), (30.into(), ChannelState::Open, false));
    assert_eq!(state(closing.id()), (20.into(), ChannelState::Settling, false));

    let scheme = stage.contract.scheme();
    let agreed = scheme.sign_closing(&stage.receiver, &second.id(), Balance::ZERO);
    second.close_cooperatively(&agreed).await.unwrap();
    client.sync().await.unwrap();
    assert_eq!(state(second.id()).1, ChannelState::Closed);
    let contents = BookContents::read(&book).unwrap();
    assert_eq!(contents.channels.len(), 3);
    client.forget(&second.id()).await.unwrap();
    client.sync().await.unwrap();
    assert_eq!(client.channels().len(), 2, "what is settled does not come back");
    assert_eq!(BookContents::read(&book).unwrap().channels.len(), 2);
}

#[tokio::test]
async fn a_book_is_one_process_and_one_senders() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let client = stage.open_client(with_book(&book)).await.unwrap();
    let error = stage.open_client(with_book(&book)).await.unwrap_err();
    assert!(
        matches!(error, ChannelError::Book(BookError::Locked { .. })),
        "{error}"
    );
    // It can be looked at meanwhile.
    assert_eq!(BookContents::read(&book).unwrap().owner.sender, client.address());

    let patient = ClientOptions {
        book_wait: Duration::from_secs(20),
        ..with_book(&book)
    };
    let (second, ()) = tokio::join!(stage.open_client(patient), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(client);
    });
    drop(second.expect("it was free in time"));

    let stranger = SecretKey::from_bytes(&[7; 32]).unwrap();
    let error = Client::open(stage.contract.clone(), stranger, with_book(&book))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ChannelError::Book(BookError::OtherOwner { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_development_chain_that_begins_anew_has_another_book() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("sender.book");
    let stage = Stage::new().await;
    drop(stage.open_client(with_book(&book)).await.unwrap());
    // Its first block has its time, in seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let again = Stage::new().await;
    assert_eq!(again.contract.address(), stage.contract.address());
    let error = again.open_client(with_book(&book)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("remove it if that was a development chain"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_sound_book_of_mine_is_refused() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    {
        let client = stage.open_client(with_book(&book)).await.unwrap();
        let channel = client
            .open_channel(stage.receiver.address(), 50.into())
            .await
            .unwrap();
        channel.create_transfer(5.into()).await.unwrap();
    }
    let refused = async |what: &str| {
        let error = stage.open_client(with_book(&book)).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    fs::set_permissions(&book, Permissions::from_mode(0o644)).unwrap();
    refused("chmod 600").await;
    fs::set_permissions(&book, Permissions::from_mode(0o600)).unwrap();

    let sound = fs::read(&book).unwrap();
    let connection = rusqlite::Connection::open(&book).unwrap();
    connection
        .execute("UPDATE channels SET signed_balance = '6'", [])
        .unwrap();
    drop(connection);
    refused("a signature of channel").await;
    fs::write(
        &book,
        "something else entirely, and long enough for a header of SQLite".repeat(20),
    )
    .unwrap();
    refused("is not a channel book").await;
    fs::write(&book, sound).unwrap();
    let client = stage.open_client(with_book(&book)).await.unwrap();
    assert_eq!(client.channels()[0].balance(), Balance::from(5));
}

#[tokio::test]
async fn nothing_is_paid_once_the_book_cannot_be_written() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let client = stage.open_client(with_book(&book)).await.unwrap();
    let session = session(&client);
    session.get(receiver.url()).await.unwrap();
    // Whoever holds a lock of SQLite's keeps everybody from writing.
    let connection = rusqlite::Connection::open(&book).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = session.get(receiver.url()).await.unwrap_err();
    let SessionError::Channel(ChannelError::Book(error)) = error else {
        panic!("{error}");
    };
    assert!(matches!(error, BookError::Sqlite(_)), "{error}");
    drop(connection);
    session.get(receiver.url()).await.unwrap_err();
    assert_eq!(receiver.sold(), [Amount::from(PRICE)]);
}

#[tokio::test]
async fn a_channel_that_is_found_on_chain_is_in_the_book() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let book = folder.path().join("sender.book");
    let client = stage.open_client(with_book(&book)).await.unwrap();
    let elsewhere = stage.restarted_client();
    let receiver = stage.receiver.address();
    let opened = elsewhere.open_channel(receiver, 50.into()).await.unwrap();
    client.sync().await.unwrap();
    assert!(client.channel(&opened.id()).is_some());
    let contents = BookContents::read(&book).unwrap();
    assert_eq!(contents.channels.len(), 1);
}

#[tokio::test]
async fn a_transaction_counts_once_so_many_blocks_lie_above_it() {
    let stage = Stage::new().await;
    let options = ClientOptions {
        confirmations: 3,
        ..ClientOptions::default()
    };
    let client = stage.open_client(options).await.unwrap();
    let mut opening = Box::pin(client.open_channel(stage.receiver.address(), 50.into()));
    let early = tokio::time::timeout(Duration::from_millis(700), &mut opening).await;
    early.expect_err("no block lies above it yet");
    assert!(client.channels().is_empty());
    stage.mine(3);
    let channel = opening.await.unwrap();
    let mut closing = Box::pin(channel.close());
    let early = tokio::time::timeout(Duration::from_millis(700), &mut closing).await;
    early.expect_err("no block lies above it yet");
    // Nothing is paid meanwhile.
    assert_eq!(channel.state(), ChannelState::Settling);
    stage.mine(3);
    closing.await.unwrap();
}

#[tokio::test]
async fn channels_are_found_through_a_node_that_gives_few_blocks_at_a_time() {
    let stage = Stage::on(microraiden_devchain::Config {
        max_log_range_blocks: Some(7),
        ..microraiden_devchain::Config::default()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let first = stage
        .client
        .open_channel(stage.receiver.address(), 50.into())
        .await
        .unwrap();
    stage.mine(300);
    let second = stage
        .client
        .open_channel(stage.receiver.address(), 50.into())
        .await
        .unwrap();
    let options = with_book(&folder.path().join("sender.book"));
    let client = stage.open_client(options).await.unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    let tell = |reached, head| told.lock().expect("no panic").push((reached, head));
    client.sync_with(tell).await.unwrap();
    let found: Vec<_> = client.channels().iter().map(|channel| channel.id()).collect();
    assert_eq!(found, [first.id(), second.id()]);
    let told = told.into_inner().unwrap();
    assert!(told.len() >= 300 / 7, "{told:?}");
    assert!(told.is_sorted() && told.last().is_some_and(|(reached, head)| reached == head));
}
