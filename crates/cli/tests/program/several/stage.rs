//! Three proxies of one receiver and their database, each of which can be killed.

use super::PRICE;
use crate::kill::content::Content;
use crate::kill::stage::until;
use crate::process::{PATIENCE, Program};
use microraiden_chain::keys;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Address, Amount, ChannelId};
use microraiden_store::{Binding, ChannelStore, PostgresStore, Snapshot};
use microraiden_test_postgres::{Database, Options, Server};
use microraiden_tests::{NodeKind, World};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many proxies there are.
pub(super) const PROXIES: usize = 3;

/// A chain, content, a database, and the proxies that sell together.
pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) content: Content,
    pub(super) proxies: Vec<Proxy>,
    pub(super) server: Server,
    database: Database,
    files: TempDir,
}

/// One of the proxies, on the same port in all its lives.
pub(super) struct Proxy {
    program: Mutex<Option<Program>>,
    /// Its URL.
    pub(super) url: String,
    monitor: String,
}

impl Stage {
    pub(super) async fn start() -> Self {
        let world = Arc::new(World::start(NodeKind::Devchain).await);
        let files = tempfile::tempdir().unwrap();
        keys::create(&files.path().join("receiver.key"), &world.receiver).unwrap();
        // With fsync: what it says is stored must be there after it was killed.
        let server = Server::start(Options::default());
        let database = server.database();
        let content = Content::start().await;
        let start = |_| {
            let (program, [url, monitor]) = launch(&world, &content, &files, &database, None);
            let program = Mutex::new(Some(program));
            Proxy {
                program,
                url,
                monitor,
            }
        };
        let proxies: Vec<_> = (0..PROXIES).map(start).collect();
        let stage = Self {
            world,
            content,
            proxies,
            server,
            database,
            files,
        };
        stage.until_all_sell().await;
        stage
    }

    /// Kills a proxy, and nobody else.
    pub(super) fn kill(&self, proxy: usize) {
        let program = self.proxies[proxy].program.lock().unwrap().take();
        program.expect("it runs").kill();
    }

    /// Starts a proxy again.
    pub(super) fn revive(&self, proxy: usize) {
        let Proxy {
            program,
            url,
            monitor,
        } = &self.proxies[proxy];
        let before = Some([url.as_str(), monitor.as_str()]);
        let (started, _) = launch(&self.world, &self.content, &self.files, &self.database, before);
        *program.lock().unwrap() = Some(started);
    }

    /// Sends a proxy a signal by name.
    pub(super) fn send(&self, proxy: usize, signal: &str) {
        let program = self.proxies[proxy].program.lock().unwrap();
        program.as_ref().expect("it runs").send(signal);
    }

    /// Kills all processes of the database, and starts it again after a while.
    pub(super) async fn kill_database(&self, pause: Duration) {
        self.server.kill();
        tokio::time::sleep(pause).await;
        self.server.restart();
    }

    /// Which proxy leads, if one says so.
    pub(super) async fn leader(&self) -> Option<usize> {
        for (number, proxy) in self.proxies.iter().enumerate() {
            if proxy.metric("microraiden_leads").await == Some(1.0) {
                return Some(number);
            }
        }
        None
    }

    pub(super) async fn until_led(&self) -> usize {
        let mut leader = None;
        until("somebody leads", async || {
            leader = self.leader().await;
            leader.is_some()
        })
        .await;
        leader.unwrap()
    }

    /// Waits until every proxy says that it sells.
    pub(super) async fn until_all_sell(&self) {
        for proxy in &self.proxies {
            let begin = Instant::now();
            while proxy.metric("microraiden_selling").await != Some(1.0) {
                if begin.elapsed() > PATIENCE {
                    let reason = proxy.reason().await;
                    let report = proxy.program.lock().unwrap().as_mut().map(Program::report);
                    panic!(
                        "a proxy does not sell, {reason:?}: {}",
                        report.unwrap_or_default()
                    );
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Ends all proxies in order.
    pub(super) fn end(self) {
        for proxy in self.proxies {
            let program = proxy.program.lock().unwrap().take();
            assert!(
                program.expect("it runs").signal("TERM"),
                "SIGTERM ends a proxy in order"
            );
        }
    }

    /// What is stored.
    pub(super) async fn stored(&self) -> Snapshot {
        let binding = Binding {
            escrow: self.world.contract.escrow(),
            receiver: self.world.receiver.address(),
        };
        let store = PostgresStore::connect(&self.database.url, binding).await.unwrap();
        store.load().await.unwrap()
    }

    /// The stored account of a channel.
    pub(super) async fn account(&self, channel: &ChannelId) -> Account {
        let mut accounts = self.stored().await.accounts.into_iter();
        accounts.find(|account| account.channel() == channel).unwrap()
    }

    pub(super) async fn tokens(&self, owner: Address) -> Amount {
        self.world.tokens(owner).await
    }
}

impl Proxy {
    /// Why it does not sell, by its answer to a balancer; `None` while it sells, or does not answer.
    pub(super) async fn reason(&self) -> Option<String> {
        let ready = reqwest::get(self.monitor.replace("/metrics", "/ready")).await;
        let answer: Value = serde_json::from_str(&ready.ok()?.text().await.ok()?).ok()?;
        Some(answer["reason"].as_str()?.to_owned())
    }

    /// A value that it shows to operators; `None` while it does not answer.
    pub(super) async fn metric(&self, name: &str) -> Option<f64> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        let answer = client.get(&self.monitor).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value?.parse().ok()
    }
}

/// Starts a proxy, on the ports of the last time; its URL, and where it is measured.
fn launch(
    world: &World,
    content: &Content,
    files: &TempDir,
    database: &Database,
    before: Option<[&str; 2]>,
) -> (Program, [String; 2]) {
    let authority = |url: &str| url.split('/').nth(2).unwrap().to_owned();
    let port = |url: &str| authority(url).rsplit(':').next().unwrap().to_owned();
    let port_before = before.map_or_else(|| "0".to_owned(), |[url, _]| port(url));
    let monitor_before = before.map_or_else(|| "127.0.0.1:0".to_owned(), |[_, monitor]| authority(monitor));
    let path = |name: &str| Path::new(files.path()).join(name).to_str().unwrap().to_owned();
    let mut program = Program::start(&[
        "proxy",
        "--private-key",
        &path("receiver.key"),
        "--rpc-provider",
        world.node.url().as_str(),
        "--channel-manager-address",
        &world.contract.address().to_string(),
        "--upstream",
        &content.url,
        "--price",
        &PRICE.to_string(),
        "--store",
        &database.url,
        "--quota-file",
        &path("unused.quota"),
        "--port",
        &port_before,
        "--metrics-address",
        &monitor_before,
        "--poll-interval",
        "30",
    ]);
    let mut url = |what| program.wait_for(what, |line| line.starts_with("http://").then(|| line.to_owned()));
    let urls = [url("address"), url("metrics address")];
    (program, urls)
}
