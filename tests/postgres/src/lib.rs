//! A real PostgreSQL server for one test program, to be killed, paused and restarted.
//!
//! It is the one that Debian's package installs, with a cluster of its own in a temporary folder, and is reached
//! over loopback and a Unix socket. Where PostgreSQL is missing the test fails and says what to install.
//!
//! In reading order: [`Options`] and [`Server`]; `installation` (which programs, and who runs them), `processes`
//! (signals to all of the server's processes), `guard` (what ends the server when the test program has ended,
//! however it did), `tls`.
//!
//! Tests of one program share a server and have databases of their own:
//!
//! ```
//! use microraiden_test_postgres::{Options, Server};
//! use std::sync::OnceLock;
//!
//! fn server() -> &'static Server {
//!     static SERVER: OnceLock<Server> = OnceLock::new();
//!     SERVER.get_or_init(|| Server::start(Options::default()))
//! }
//!
//! let database = server().database();
//! assert_eq!(server().sql(&database.name, "SELECT 6 * 7"), "42");
//! assert!(database.url.starts_with("postgresql://postgres@127.0.0.1:"));
//! ```
//!
//! Everything here panics when it fails, as tests do.

mod guard;
mod installation;
mod processes;
mod tls;

use guard::Guard;
use installation::{Owner, programs};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The password of the user `postgres`, where one is asked for.
pub const PASSWORD: &str = "correct-horse";

/// How long a server may take to start, with what it has to repair.
const STARTING: Duration = Duration::from_secs(60);

/// What is different from one server to another.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a commit waits for the disk. Off, tests are faster that do not look at that.
    pub fsync: bool,
    /// Whether [`PASSWORD`] is asked for (SCRAM).
    pub password: bool,
    /// Whether connections over TCP must be encrypted.
    pub tls: bool,
    /// More settings of the server, by name.
    pub settings: &'static [(&'static str, &'static str)],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fsync: true,
            password: false,
            tls: false,
            settings: &[],
        }
    }
}

/// A database of one test's own.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How it is reached over TCP.
    pub url: String,
    /// How it is reached over the Unix socket.
    pub socket_url: String,
}

/// A server, which ends, with its folder, when this is dropped or the program ends.
#[derive(Debug)]
pub struct Server {
    guard: Guard,
    folder: PathBuf,
    programs: PathBuf,
    owner: Option<Owner>,
    options: Options,
    port: u16,
    postmaster: Mutex<Child>,
    databases: AtomicU32,
}

impl Server {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or does not start.
    pub fn start(options: Options) -> Self {
        let (programs, owner) = (programs(), Owner::chosen());
        let folder = tempfile::Builder::new().prefix("microraiden-postgres-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let folder = folder.canonicalize().expect("the folder is there");
        let guard = Guard::start(&folder);
        own(&folder, owner);
        initialise(&folder, &programs, owner, &options);
        let mut attempts = 0..5;
        loop {
            // Another may take it before the server does.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let port = free.expect("a free port").port();
            match launch(&folder, &programs, owner, &options, port) {
                Ok(postmaster) => {
                    return Self {
                        guard,
                        folder,
                        programs,
                        owner,
                        options,
                        port,
                        postmaster: Mutex::new(postmaster),
                        databases: AtomicU32::new(0),
                    };
                }
                Err(log) => assert!(
                    attempts.next().is_some() && is_taken(&log),
                    "PostgreSQL does not start:\n{log}"
                ),
            }
        }
    }

    /// Creates an empty database.
    ///
    /// # Panics
    /// When the server does not run.
    pub fn database(&self) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        let user = if self.options.password {
            format!("postgres:{PASSWORD}")
        } else {
            "postgres".to_owned()
        };
        let folder = self.folder.to_string_lossy().replace('/', "%2F");
        Database {
            url: format!("postgresql://{user}@127.0.0.1:{}/{name}", self.port),
            socket_url: format!("postgresql://{user}@{folder}:{}/{name}", self.port),
            name,
        }
    }

    /// What psql prints for these statements, without headers and alignment.
    ///
    /// # Panics
    /// When the server does not run, or refuses a statement.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = self.psql(&format!("dbname={database}"), statements).output();
        let output = output.expect("psql starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statements}: {error}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The command of psql for these statements, over the Unix socket where the connection string or URL does not
    /// say otherwise.
    pub fn psql(&self, connection: &str, statements: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statements,
            "-d",
            connection,
        ]);
        psql.env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", if self.options.password { PASSWORD } else { "" });
        psql
    }

    /// The port on loopback; it stays.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that has signed the server's, where it has one. It is for `localhost` and
    /// `127.0.0.1`.
    pub fn authority(&self) -> PathBuf {
        self.folder.join(tls::AUTHORITY)
    }

    /// Kills all processes of the server, as when the machine fails.
    pub fn kill(&self) {
        let mut postmaster = self.postmaster();
        let children = processes::stop(&postmaster);
        processes::kill(&children);
        let _ = postmaster.kill();
        let _ = postmaster.wait();
        processes::wait_for_end(&children);
    }

    /// Keeps a copy of what is on its disk, as a replica has it that is cut off from now on. Everybody loses the
    /// connection for that moment.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn copy(&self) {
        self.kill();
        self.copy_folder("data", "copy");
        self.restart();
    }

    /// What has the [`copy`](Self::copy) takes over: what was stored since is lost.
    ///
    /// # Panics
    /// When there is no copy.
    pub fn fail_over(&self) {
        self.kill();
        fs::remove_dir_all(self.folder.join("data")).expect("the folder is ours");
        self.copy_folder("copy", "data");
        self.restart();
    }

    fn copy_folder(&self, from: &str, to: &str) {
        let mut copy = Command::new("cp");
        copy.arg("-a").args([from, to]).current_dir(&self.folder);
        let copied = copy.output().expect("cp starts");
        let error = String::from_utf8_lossy(&copied.stderr);
        assert!(copied.status.success(), "{error}");
    }

    /// Starts the server again at the same port; one that still runs is ended in order before.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        let mut postmaster = self.postmaster();
        processes::end(&mut postmaster);
        let began = Instant::now();
        *postmaster = loop {
            match launch(&self.folder, &self.programs, self.owner, &self.options, self.port) {
                Ok(started) => break started,
                // A connection of somebody else may have the port for a moment.
                Err(log) if is_taken(&log) && began.elapsed() < STARTING => {
                    thread::sleep(Duration::from_millis(200));
                }
                Err(log) => panic!("PostgreSQL does not start again:\n{log}"),
            }
        };
    }

    /// Stops all processes of the server where they are; connections stay open, and nobody answers.
    pub fn pause(&self) {
        processes::stop(&self.postmaster());
    }

    /// Lets them go on.
    pub fn resume(&self) {
        processes::go_on(&self.postmaster());
    }

    fn postmaster(&self) -> MutexGuard<'_, Child> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        self.guard.end();
    }
}

/// Makes the cluster's files.
fn initialise(folder: &Path, programs: &Path, owner: Option<Owner>, options: &Options) {
    let secret = folder.join("password");
    fs::write(&secret, PASSWORD).expect("the folder is ours");
    own(&secret, owner);
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args([
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    initdb.arg("--auth=scram-sha-256").arg("--pwfile").arg(&secret);
    initdb.arg("--pgdata").arg(folder.join("data"));
    let output = as_owner(&mut initdb, folder, owner)
        .output()
        .expect("initdb starts");
    assert!(
        output.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let method = if options.password {
        "scram-sha-256"
    } else {
        "trust"
    };
    let tcp = if options.tls { "hostssl" } else { "host" };
    let access = format!("local all all {method}\n{tcp} all all 127.0.0.1/32 {method}\n");
    fs::write(folder.join("data/pg_hba.conf"), access).expect("the folder is ours");
    if options.tls {
        own(&tls::write_certificates(folder), owner);
    }
}

/// Starts a server; gives its log where it ends at once.
fn launch(
    folder: &Path,
    programs: &Path,
    owner: Option<Owner>,
    options: &Options,
    port: u16,
) -> Result<Child, String> {
    let path = folder.join("log");
    let log = File::create(&path).expect("the folder is ours");
    let mut postgres = Command::new(programs.join("postgres"));
    postgres.arg("-D").arg(folder.join("data"));
    postgres
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let fsync = if options.fsync { "on" } else { "off" };
    // Shared memory in files: what a killed server leaves behind is removed with its folder.
    let settings = [("fsync", fsync), ("dynamic_shared_memory_type", "mmap")];
    let tls = tls::SETTINGS.iter().filter(|_| options.tls);
    for (name, value) in settings.iter().chain(tls).chain(options.settings) {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Not to be reached by the Ctrl-C that ends the tests.
    let child = as_owner(&mut postgres, folder, owner).process_group(0).spawn();
    let mut child = child.expect("postgres starts");
    let began = Instant::now();
    loop {
        let has_ended = child.try_wait().expect("it is our child").is_some();
        if has_ended || began.elapsed() > STARTING {
            processes::end(&mut child);
            return Err(fs::read_to_string(&path).unwrap_or_default());
        }
        // Its first line names the process, the last one how far it is.
        let status = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = status.lines();
        if lines.next() == Some(&child.id().to_string()) && lines.any(|line| line.trim_end() == "ready") {
            return Ok(child);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_taken(log: &str) -> bool {
    log.contains("Address already in use")
}

/// Gives a file or folder to who runs the server.
fn own(path: &Path, owner: Option<Owner>) {
    if let Some(Owner { user, group }) = owner {
        std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may do so");
    }
}

/// Runs a program as who runs the server, with settings of nobody.
fn as_owner<'a>(command: &'a mut Command, folder: &Path, owner: Option<Owner>) -> &'a mut Command {
    if let Some(Owner { user, group }) = owner {
        command.uid(user).gid(group);
    }
    command.current_dir(folder).env_clear().env("LC_ALL", "C")
}
