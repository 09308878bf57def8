//! Telling systemd how the proxy fares, by the protocol of `sd_notify(3)`: a datagram with lines of `NAME=value`.
//!
//! Nothing is told unless systemd asks for it by `NOTIFY_SOCKET`.

use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How often a start that goes on says so, and how much time it asks for each time.
const START_PAUSE: Duration = Duration::from_secs(10);
const START_EXTENSION: Duration = Duration::from_secs(60);
const ALIVE: &str = "WATCHDOG=1";
/// What the watchdog asks the proxy for. The answer is an error, and costs nobody anything.
const PROBE: &[u8] = b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Systemd, if it wants to be told. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify(Option<Arc<Systemd>>);

#[derive(Debug)]
struct Systemd {
    socket: UnixDatagram,
    address: UnixAddress,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
    /// Tells something again and again.
    beat: Mutex<Option<AbortHandle>>,
}

impl Notify {
    /// What the environment says.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| is_for_us && *time > 0);
        match Self::to(&name, watchdog.map(Duration::from_micros)) {
            Ok(notify) => notify,
            Err(error) => {
                tracing::warn!(%error, "systemd cannot be told how the proxy fares");
                Self::default()
            }
        }
    }

    pub(super) fn to(name: &OsStr, watchdog: Option<Duration>) -> std::io::Result<Self> {
        let systemd = Systemd {
            socket: UnixDatagram::unbound()?,
            address: address(name)?,
            watchdog,
            beat: Mutex::default(),
        };
        // Never to wait for systemd.
        systemd.socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(systemd))))
    }

    fn send(&self, lines: &str) {
        if let Some(systemd) = &self.0
            && let Err(error) = systemd.socket.send_to_addr(lines.as_bytes(), &systemd.address)
        {
            tracing::warn!(%error, "systemd was not told how the proxy fares");
        }
    }

    /// What it does now, in a sentence.
    pub(crate) fn status(&self, sentence: &str) {
        self.send(&format!("STATUS={}", line(sentence)));
    }

    /// It starts, which may take longer than was allowed to it: it says so from time to time until it is ready.
    pub(crate) fn starting(&self) {
        let extension = format!("EXTEND_TIMEOUT_USEC={}", START_EXTENSION.as_micros());
        self.repeat(START_PAUSE, move |notify| {
            notify.send(&extension);
            ready(())
        });
    }

    /// It sells at `address`. From now on it gives a sign of life as long as it serves there, if systemd watches.
    ///
    /// A new connection is made each time, and the server must have answered or closed it within a third of the time that
    /// systemd waits: so it accepts, and its threads are not stuck. One that is full with connections that are all busy
    /// serves nobody else, and counts as stuck.
    pub(crate) fn selling(&self, address: SocketAddr, sentence: &str) {
        self.reloaded(sentence);
        let Some(third) = self.watchdog().map(|time| time / 3) else {
            return self.repeat_no_more();
        };
        self.repeat(third, move |notify| async move {
            if timeout(third, probe(address)).await.is_ok() {
                notify.send(ALIVE);
            } else {
                tracing::error!(
                    ?third,
                    "the proxy does not answer itself; systemd may start it again"
                );
            }
        });
    }

    /// It reads its configuration again; [`Self::reloaded`] ends that.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It sells by a new configuration, or by the old one still.
    pub(crate) fn reloaded(&self, sentence: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(sentence)));
    }

    /// It takes no more requests; how long that may last is not for the watchdog to say.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=answering the requests in flight");
        match self.watchdog() {
            Some(time) => self.repeat(time / 3, |notify| {
                notify.send(ALIVE);
                ready(())
            }),
            None => self.repeat_no_more(),
        }
    }

    fn watchdog(&self) -> Option<Duration> {
        self.0.as_ref()?.watchdog
    }

    /// Tells something again and again, in the place of what was told until now.
    fn repeat<F: Future<Output = ()> + Send>(
        &self,
        pause: Duration,
        mut tell: impl FnMut(Self) -> F + Send + 'static,
    ) {
        let Some(systemd) = &self.0 else {
            return;
        };
        let notify = self.clone();
        let task = tokio::spawn(async move {
            loop {
                tell(notify.clone()).await;
                tokio::time::sleep(pause).await;
            }
        });
        systemd.beat_by(Some(task.abort_handle()));
    }

    fn repeat_no_more(&self) {
        if let Some(systemd) = &self.0 {
            systemd.beat_by(None);
        }
    }
}

impl Systemd {
    fn beat_by(&self, task: Option<AbortHandle>) {
        let mut beat = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *beat, task) {
            before.abort();
        }
    }
}

/// A path, or a name behind `@` that is in no file system.
fn address(name: &OsStr) -> std::io::Result<UnixAddress> {
    match name.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <UnixAddress as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => UnixAddress::from_pathname(name),
    }
}

/// What is told must be one line.
fn line(sentence: &str) -> String {
    sentence.replace(char::is_control, " ")
}

/// Resolves once the server has answered or closed a new connection, by whatever protocol it speaks there.
async fn probe(address: SocketAddr) {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    loop {
        let asked = async {
            let mut stream = TcpStream::connect(SocketAddr::new(ip, address.port())).await?;
            stream.write_all(PROBE).await?;
            stream.read(&mut [0]).await
        };
        match asked.await {
            // It was closed before or after a byte of an answer.
            Ok(_) => return,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            // Nobody listens, or the system cannot connect.
            Err(error) => {
                tracing::debug!(%error, "the proxy cannot be asked");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use tokio::net::TcpListener;

    /// A socket as systemd's, and what tells it.
    fn systemd(watchdog: Option<Duration>) -> (tempfile::TempDir, UnixDatagram, Notify) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let notify = Notify::to(path.as_os_str(), watchdog).unwrap();
        (folder, socket, notify)
    }

    fn told(socket: &UnixDatagram) -> String {
        let mut text = [0; 1024];
        let length = socket.recv(&mut text).expect("something is told");
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_sentence_cannot_tell_more_than_a_status() {
        let (_folder, socket, notify) = systemd(None);
        notify.status("waiting\nREADY=1");
        assert_eq!(told(&socket), "STATUS=waiting READY=1");
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let (_folder, socket, notify) = systemd(None);
        let time = |text: &str| {
            let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
            time.and_then(|time| time.parse::<u64>().ok()).expect(text)
        };
        notify.reloading();
        std::thread::sleep(Duration::from_millis(20));
        notify.reloading();
        let (first, second) = (time(&told(&socket)), time(&told(&socket)));
        assert!(
            (20_000..10_000_000).contains(&(second - first)),
            "{first} {second}"
        );
        notify.reloaded("selling");
        assert_eq!(told(&socket), "READY=1\nSTATUS=selling");
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn the_socket_may_be_in_no_file_system() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("microraiden-test-{}", std::process::id());
        let address = UnixAddress::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let notify = Notify::to(OsStr::new(&format!("@{name}")), None).unwrap();
        notify.stopping();
        assert!(told(&socket).starts_with("STOPPING=1\n"));
    }

    /// The lines of the unit file with this key, each whole.
    fn unit(key: &str) -> Vec<String> {
        let text = include_str!("../../../../packaging/microraiden.service").replace("\\\n", " ");
        let lines = text.lines();
        lines
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_unit_file_starts_a_proxy_with_what_it_hands_over() {
        let [start] = &unit("ExecStart")[..] else {
            panic!("one command starts it")
        };
        let start = start.replace("%d", "/credentials").replace("%S", "/state");
        assert!(!start.contains(['%', '"', '\'']), "{start}");
        let cli = Cli::try_parse_from(start.split_whitespace()).unwrap();
        assert!(matches!(cli.command, Command::Proxy(_)), "{start}");
        for credential in unit("LoadCredential") {
            let (name, _) = credential.split_once(':').unwrap();
            assert!(start.contains(&format!(" /credentials/{name}")), "{credential}");
        }
        let folder = &unit("StateDirectory")[0];
        assert!(start.contains(&format!(" /state/{folder}/")), "{start}");
        assert_eq!(unit("Type"), ["notify-reload"]);
    }

    #[test]
    fn the_unit_file_lets_requests_in_flight_be_answered() {
        let seconds: u64 = unit("TimeoutStopSec")[0].parse().unwrap();
        assert!(
            Duration::from_secs(seconds)
                >= microraiden_proxy::Limits::default().grace + Duration::from_secs(20)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_watchdog_hears_nothing_of_a_server_that_accepts_nobody() {
        let (_folder, socket, notify) = systemd(Some(Duration::from_millis(300)));
        // The system takes the connections, and nobody takes them from there.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        notify.selling(listener.local_addr().unwrap(), "selling");
        assert_eq!(told(&socket), "READY=1\nSTATUS=selling");
        tokio::time::sleep(Duration::from_millis(500)).await;
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 64]).is_err());
        tokio::spawn(async move {
            // What it does not understand, it closes.
            while let Ok((connection, _)) = listener.accept().await {
                drop(connection);
            }
        });
        socket.set_nonblocking(false).unwrap();
        for _ in 0..3 {
            assert_eq!(told(&socket), "WATCHDOG=1");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_watchdog_does_not_hurry_a_shutdown() {
        let (_folder, socket, notify) = systemd(Some(Duration::from_millis(300)));
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        notify.selling(nobody, "selling");
        notify.stopping();
        assert_eq!(told(&socket), "READY=1\nSTATUS=selling");
        assert!(told(&socket).starts_with("STOPPING=1\n"));
        for _ in 0..3 {
            assert_eq!(told(&socket), "WATCHDOG=1");
        }
    }
}
