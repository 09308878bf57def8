//! What a database's URL says: where it is, who we are there, and how the connection is protected.

use super::error::DatabaseError;
use super::password;
use super::tls::{self, Protection};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long we wait for one address of a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer for its first answer.
const GREETING: Duration = Duration::from_secs(3);
/// After so long without an acknowledgement, a connection is given up.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVES_RETRIES: u32 = 3;

/// Servers, of which at most one can be written to at a time, and the way in.
pub(super) struct Target {
    /// Each has one server. Passwords are in here.
    servers: Vec<Config>,
    pub(super) tls: MakeRustlsConnect,
    in_random_order: bool,
}

impl Target {
    /// Reads a URL, and the password from where else it may be.
    pub(super) fn of_url(url: &str) -> Result<Self, DatabaseError> {
        let (url, protection) = split(url)?;
        let config: Config = url.parse().map_err(|error| refused(&error))?;
        if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
            return Err(invalid(
                "the database must be written to, target_session_attrs=read-only is not enough",
            ));
        }
        let tls = tls::connector(
            &protection,
            config.get_ssl_negotiation() == SslNegotiation::Direct,
        )?;
        let mut servers = servers(&config, protection.ssl_mode())?;
        if config.get_password().is_none() {
            servers.iter_mut().try_for_each(password::add)?;
        }
        Ok(Self {
            servers,
            tls,
            in_random_order: config.get_load_balance_hosts() == LoadBalanceHosts::Random,
        })
    }

    /// The servers in the order in which they are to be tried, and how long each may take.
    pub(super) fn servers(&self) -> Vec<(&Config, Duration)> {
        let limit =
            |server: &Config| server.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT) + GREETING;
        let servers = self.servers.iter().map(|server| (server, limit(server)));
        let mut servers: Vec<_> = servers.collect();
        if self.in_random_order {
            fastrand::shuffle(&mut servers);
        }
        servers
    }

    /// Whether somebody in between could pass as the server.
    pub(super) fn is_exposed(&self) -> bool {
        let is_elsewhere = |host: &Host| match host {
            Host::Tcp(name) => {
                name != "localhost" && !name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => false,
        };
        let is_exposed = |server: &Config| {
            server.get_ssl_mode() != SslMode::Require && server.get_hosts().iter().any(is_elsewhere)
        };
        self.servers.iter().any(is_exposed)
    }
}

fn invalid(reason: impl Into<String>) -> DatabaseError {
    DatabaseError::Url {
        reason: reason.into(),
    }
}

/// The names of options are told, values never.
fn refused(error: &tokio_postgres::Error) -> DatabaseError {
    let cause = std::error::Error::source(error);
    invalid(cause.map_or_else(|| error.to_string(), ToString::to_string))
}

/// Takes out what is about the protection, of which the driver knows half.
fn split(url: &str) -> Result<(String, Protection), DatabaseError> {
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(invalid("it does not begin with postgres://"));
    }
    // A password with an @ or a ? in it would end up in another part, and that in an error.
    if url.matches('@').count() > 1 {
        return Err(invalid(
            "an @ in the user, the password or an option is written %40",
        ));
    }
    let host = url.find('@').map_or(0, |at| at + 1);
    let Some(question_mark) = url[host..].find('?').map(|at| host + at) else {
        return Ok((url.to_owned(), Protection::Prefer));
    };
    let (address, options) = (&url[..question_mark], &url[question_mark + 1..]);
    let (mut mode, mut roots, mut others) = (None, None, Vec::new());
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => {
                let file = percent_encoding::percent_decode_str(value).decode_utf8();
                let file = file.map_err(|_| invalid("sslrootcert is not UTF-8"))?;
                roots = Some(PathBuf::from(file.into_owned()));
            }
            _ => others.push(option),
        }
    }
    let protection = match (mode.unwrap_or("prefer"), roots) {
        ("require" | "verify-full", roots) => Protection::Verify { roots },
        (_, Some(_)) => return Err(invalid("sslrootcert needs sslmode=verify-full")),
        ("disable", None) => Protection::Disable,
        ("prefer", None) => Protection::Prefer,
        _ => return Err(invalid("sslmode is disable, prefer, require or verify-full")),
    };
    Ok((format!("{address}?{}", others.join("&")), protection))
}

/// One configuration per server.
///
/// The driver would try them by itself, but wait for a server that accepts a connection and then says
/// nothing.
fn servers(config: &Config, ssl_mode: SslMode) -> Result<Vec<Config>, DatabaseError> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(invalid("it names no host"));
    }
    let fits = |length: usize| length == count || length == 0;
    if !fits(hosts.len()) || !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return Err(invalid("hosts, addresses and ports are not equally many"));
    }
    let server = |at: usize| {
        let mut server = common(config);
        let port = ports.get(at).or(ports.first());
        server.port(port.copied().unwrap_or(5432));
        server.ssl_mode(ssl_mode);
        match (hosts.get(at), addresses.get(at)) {
            (Some(Host::Tcp(name)), _) => server.host(name),
            // Nobody listens in between.
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => server.host_path(folder).ssl_mode(SslMode::Disable),
            (None, Some(address)) => server.host(address.to_string()),
            (None, None) => &mut server,
        };
        if let Some(address) = addresses.get(at) {
            server.hostaddr(*address);
        }
        server
    };
    Ok((0..count).map(server).collect())
}

/// What goes for all servers.
fn common(config: &Config) -> Config {
    let mut common = Config::new();
    if let Some(user) = config.get_user() {
        common.user(user);
    }
    if let Some(password) = config.get_password() {
        common.password(password);
    }
    if let Some(name) = config.get_dbname() {
        common.dbname(name);
    }
    if let Some(options) = config.get_options() {
        common.options(options);
    }
    let idle = config.get_keepalives_idle();
    let is_idle_set = idle != Config::new().get_keepalives_idle();
    common
        .application_name(config.get_application_name().unwrap_or("microraiden"))
        .channel_binding(config.get_channel_binding())
        .ssl_negotiation(config.get_ssl_negotiation())
        .connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT))
        .tcp_user_timeout(config.get_tcp_user_timeout().copied().unwrap_or(TCP_USER_TIMEOUT))
        .keepalives(config.get_keepalives())
        .keepalives_idle(if is_idle_set { idle } else { KEEPALIVES_IDLE })
        .keepalives_interval(config.get_keepalives_interval().unwrap_or(KEEPALIVES_INTERVAL))
        .keepalives_retries(config.get_keepalives_retries().unwrap_or(KEEPALIVES_RETRIES));
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers_of(url: &str) -> Vec<Config> {
        Target::of_url(url).unwrap().servers
    }

    fn reason(url: &str) -> String {
        match Target::of_url(url).map(|_| ()).unwrap_err() {
            DatabaseError::Url { reason } => reason,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn every_server_is_tried_by_itself() {
        let servers = servers_of(
            "postgres://u:pw@one:1,two:2/db?target_session_attrs=read-write&sslmode=require&connect_timeout=7",
        );
        let [first, second] = servers.as_slice() else {
            panic!("{servers:?}")
        };
        for (server, host, port) in [(first, "one", 1), (second, "two", 2)] {
            assert_eq!(server.get_hosts(), [Host::Tcp(host.to_owned())]);
            assert_eq!(server.get_ports(), [port]);
            assert_eq!((server.get_user(), server.get_dbname()), (Some("u"), Some("db")));
            assert_eq!(server.get_password(), Some(&b"pw"[..]));
            assert_eq!(server.get_ssl_mode(), SslMode::Require);
            assert_eq!(server.get_connect_timeout(), Some(&Duration::from_secs(7)));
            assert_eq!(server.get_application_name(), Some("microraiden"));
        }
    }

    #[test]
    fn a_socket_is_not_encrypted() {
        let servers = servers_of("postgres://u:pw@%2Fvar%2Frun/db?sslmode=require");
        assert_eq!(servers[0].get_ssl_mode(), SslMode::Disable);
        let servers = servers_of("postgres://u:pw@/db?host=/var/run&port=7&sslmode=disable");
        assert_eq!((servers.len(), servers[0].get_ports()), (1, &[7][..]));
    }

    #[test]
    fn what_others_could_read_or_change_is_noticed() {
        for (url, is_exposed) in [
            ("postgres://u@127.0.0.1/db", false),
            ("postgres://u@[::1],localhost/db?sslmode=disable", false),
            ("postgres://u@%2Frun/db", false),
            ("postgres://u@db.example/db", true),
            ("postgres://u@localhost,10.0.0.1/db", true),
        ] {
            assert_eq!(Target::of_url(url).unwrap().is_exposed(), is_exposed, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (url, part) in [
            ("mysql://host/db", "postgres://"),
            ("host=localhost user=me", "postgres://"),
            ("postgres:///db", "no host"),
            ("postgres://u@h/db?sslmode=verify-ca", "sslmode is"),
            ("postgres://u@h/db?sslrootcert=/x", "sslrootcert needs"),
            ("postgres://u@h/db?colour=red", "colour"),
            ("postgres://u@h:port/db", "port"),
            ("postgres://u@h/db?target_session_attrs=read-only", "written to"),
        ] {
            let reason = reason(url);
            assert!(reason.contains(part), "{url}: {reason}");
        }
    }

    #[test]
    fn no_error_shows_a_part_of_a_password() {
        for url in [
            "postgres://u:sec@ret?sec=ret&ret@host/db",
            "postgres://u:secret/db",
            "postgres://u:secret@h:x/db?sslmode=secret",
            "postgres://u@h/db?password=secret&sslmode=no",
        ] {
            let error = Target::of_url(url).map(|_| ()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("sec") && !shown.contains("ret"), "{shown}");
        }
    }
}
