//! Our sender at a receiver of 2018, which is emulated; chain and contract are real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod closes;
mod emulation;
mod payments;

use microraiden_protocol::Amount;
use microraiden_sender::{Client, Session, SessionConfig};
use microraiden_tests::{Emulated2018, NodeKind, World};
use std::time::Duration;

/// What a request costs, unless a test says otherwise.
const PRICE: u64 = 5;

/// A chain, the receiver of 2018 on it, and the limits of a sender there.
struct Scene {
    world: World,
    server: Emulated2018,
    config: SessionConfig,
}

impl Scene {
    async fn new() -> Self {
        let world = World::start(NodeKind::chosen()).await;
        let server = Emulated2018::start(&world, PRICE).await;
        let config = SessionConfig {
            answer_timeout: Duration::from_millis(700),
            confirmation_timeout: Duration::from_secs(20),
            retry_pause: Duration::from_millis(20),
            ..SessionConfig::new((2 * PRICE).into(), 1_000.into())
        };
        Self {
            world,
            server,
            config,
        }
    }

    /// A session of a sender that remembers nothing.
    fn session(&self) -> Session {
        let client = Client::new(self.world.contract.clone(), self.world.sender.clone());
        Session::new(client, self.config.clone()).unwrap()
    }

    /// Pays for so many requests, one after the other, half of them answered by plain strings.
    async fn pay(&self, session: &Session, times: u64) {
        for number in 0..times {
            let kind = if number % 2 == 0 { "plain" } else { "response" };
            let path = format!("/{kind}/{number}");
            let paid = session.get(self.server.url(&path)).await.unwrap();
            assert_eq!((paid.cost, paid.lost), (PRICE.into(), Amount::ZERO));
            assert_eq!(paid.response.text().await.unwrap(), path);
        }
    }

    /// What the receiver has in its wallet.
    async fn received(&self) -> Amount {
        self.world.tokens(self.world.receiver.address()).await
    }

    /// Closes with the receiver's agreement; checks that both have what they are due.
    async fn settle(&self, session: &Session) {
        let owed = self.server.owed().await;
        for closed in session.close().await.unwrap() {
            assert_eq!(closed.closing, microraiden_sender::Closing::Cooperative);
        }
        self.check_settled(owed).await;
    }

    /// Checks that the receiver got what it was owed, and that no token is anywhere else.
    async fn check_settled(&self, owed: Amount) {
        assert_eq!(self.received().await, owed);
        assert_eq!(self.server.disputes().await, 0);
        let held = self.world.tokens(self.world.contract.address()).await;
        assert_eq!(held, Amount::ZERO);
    }
}
