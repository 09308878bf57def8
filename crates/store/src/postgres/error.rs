//! Why a database cannot be used, and what has become of a statement that failed.

use super::columns::OutOfRange;
use crate::error::StoreError;
use microraiden_protocol::Address;
use rustls::Error as TlsError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is none, or asks for what there is not.
    #[error("the database's URL cannot be used: {reason}; write postgres://user@host:5432/database")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates that the URL names cannot be read.
    #[error("cannot read certificates from {path}; name a PEM file by sslrootcert")]
    RootCertificates {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// The system has no certificates to trust.
    #[error("the system has no certificates to check the database's with; name a PEM file by sslrootcert")]
    NoRootCertificates,
    /// Others than the user that runs this process could read the password.
    #[error("{path} (mode {mode:o}) must be private, since it holds the password; run `chmod 600 {path}`")]
    InsecurePasswordFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The password file cannot be read.
    #[error("cannot read the password file {path}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Nobody answers, or not for now.
    #[error("the database cannot be reached; check that it runs, and host and port in the URL")]
    Unreachable {
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// The server only reads, as a standby does.
    #[error("the database cannot be written to; name the primary server, or make this one the primary")]
    ReadOnly,
    /// The server does not let us in.
    #[error("the database does not let us in; check user and password, and the server's pg_hba.conf")]
    Denied {
        /// What it says.
        #[source]
        cause: Cause,
    },
    /// The server has no such database.
    #[error("there is no such database; create it by `createdb`, or correct its name in the URL")]
    NoDatabase {
        /// What the server says.
        #[source]
        cause: Cause,
    },
    /// The connection cannot be encrypted, or it is not known to whom.
    #[error("no secure connection to the database; check its certificate, and sslmode and sslrootcert")]
    Tls {
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// The server is older than what is written for.
    #[error("the database server has version {found}; PostgreSQL 14 or newer is needed")]
    OldServer {
        /// Its version.
        found: String,
    },
    /// There are other tables of the same names.
    #[error(
        "the database has tables of something else in it; use a database of its own, or a schema by \
         `options=-csearch_path%3Dschema` in the URL"
    )]
    Foreign {
        /// What was found.
        #[source]
        cause: Cause,
    },
    /// Parts of the state are missing.
    #[error("the state in the database is not complete; restore it from a backup")]
    Incomplete,
    /// There are no tables.
    #[error("there is no state in the database; name another, or begin one by `microraiden proxy --store`")]
    Empty,
    /// The tables were made of a dump, which may be older than what was sold.
    #[error(
        "the database was made of a dump, and may not know what was paid last; run `microraiden restore --store` \
         with it, which says what that means"
    )]
    Dump,
    /// The state is still to be moved here.
    #[error(
        "the state is not all in the database yet; finish its move by `microraiden migrate --from {from} --to …` \
         with this database"
    )]
    Unfinished {
        /// Where it comes from.
        from: String,
    },
    /// The state is somewhere else now.
    #[error("the state in the database was moved to {to}; use that")]
    Moved {
        /// Where it is.
        to: String,
    },
    /// Written by a newer version of this program.
    #[error("the state in the database has the newer format {found}; install the version that wrote it")]
    NewerVersion {
        /// The version of its format.
        found: i32,
    },
    /// It belongs to another chain.
    #[error("the database belongs to chain {found}, not to {wanted}; use one database per chain")]
    OtherChain {
        /// The database's chain id.
        found: u64,
        /// The one it was opened for.
        wanted: u64,
    },
    /// It belongs to another channel contract.
    #[error(
        "the database belongs to channel contract {found}, not to {wanted}; use one database per contract"
    )]
    OtherContract {
        /// The database's contract.
        found: Address,
        /// The one it was opened for.
        wanted: Address,
    },
    /// It belongs to another receiver.
    #[error("the database belongs to receiver {found}, not to {wanted}; use one database per receiver")]
    OtherReceiver {
        /// The database's receiver.
        found: Address,
        /// The one it was opened for.
        wanted: Address,
    },
    /// The tables cannot be made, or brought to this version.
    #[error(
        "the database cannot be prepared; check that the user may create tables in the schema \
         (`GRANT CREATE, USAGE ON SCHEMA … TO …`)"
    )]
    Migration {
        /// What failed.
        #[source]
        cause: Cause,
    },
}

impl DatabaseError {
    /// Whether the same call may succeed in a moment: the database cannot be reached yet, or is not the
    /// primary yet.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::ReadOnly)
    }

    /// Says why a connection did not come about.
    pub(super) fn of_connecting(error: tokio_postgres::Error) -> Self {
        let is_about_tls = causes(&error).any(|cause| cause.is::<TlsError>())
            // The crate has no other way to ask.
            || error.to_string() == "error performing TLS handshake";
        let is_about_us = ["authentication error", "invalid configuration"].contains(&&*error.to_string());
        let code = error.code().cloned();
        let cause = cause(error);
        match code {
            _ if is_about_tls => Self::Tls { cause },
            _ if is_about_us => Self::Denied { cause },
            Some(SqlState::INVALID_CATALOG_NAME) => Self::NoDatabase { cause },
            Some(code) if code == SqlState::INSUFFICIENT_PRIVILEGE || code.code().starts_with("28") => {
                Self::Denied { cause }
            }
            _ => Self::Unreachable { cause },
        }
    }
}

/// What failed.
type Cause = Arc<dyn Error + Send + Sync>;

/// What the server has said. Its details, which may show the contents of a row, are left out.
#[derive(Debug, thiserror::Error)]
#[error("{severity} {code}: {message}{}", constraint.as_ref().map_or_else(String::new, |name| format!(" ({name})")))]
struct ServerError {
    severity: String,
    code: String,
    message: String,
    constraint: Option<String>,
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        Self {
            severity: error.severity().to_owned(),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            constraint: error.constraint().map(str::to_owned),
        }
    }
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer in time")]
pub(super) struct TooSlow;

/// No connection any more.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the database has ended")]
struct Gone;

/// What failed, without anything that nobody should see.
pub(super) fn cause(error: tokio_postgres::Error) -> Cause {
    match error.as_db_error() {
        Some(error) => Arc::new(ServerError::from(error)),
        None => Arc::new(error),
    }
}

/// An error and what led to it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // An I/O error hides what it is made of.
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// A statement that failed.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// The server's own name for it.
    pub(super) code: Option<SqlState>,
    pub(super) cause: Cause,
}

/// What has become of a statement that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Not done: other transactions were in the way. The transaction is to be repeated.
    Repeat,
    /// Not done, for now.
    Refused,
    /// Not done, and the connection is of no use any more.
    Unfit,
    /// Not done, and it never will be: what was asked for is wrong.
    Defect,
    /// Nobody knows; the connection is of no use any more.
    Lost,
}

impl Fault {
    /// The time for an answer is over.
    pub(super) fn too_slow() -> Self {
        Self {
            kind: FaultKind::Lost,
            code: None,
            cause: Arc::new(TooSlow),
        }
    }

    /// The connection has ended while nothing was asked of it.
    pub(super) fn gone() -> Self {
        Self::unfit(Arc::new(Gone))
    }

    /// No connection came about.
    pub(super) fn of_connecting(error: DatabaseError) -> Self {
        Self::unfit(Arc::new(error))
    }

    const fn unfit(cause: Cause) -> Self {
        Self {
            kind: FaultKind::Unfit,
            code: None,
            cause,
        }
    }

    /// Whether the connection can be used on.
    pub(super) const fn spares_session(&self) -> bool {
        !matches!(self.kind, FaultKind::Unfit | FaultKind::Lost)
    }

    /// What it means where nothing can have been stored.
    pub(super) fn away(&self) -> StoreError {
        let cause = self.cause.clone();
        StoreError::Away { cause }
    }

    /// What it means where the statement would have stored something.
    pub(super) fn of_writing(&self) -> StoreError {
        let cause = self.cause.clone();
        match self.kind {
            FaultKind::Lost => StoreError::Unknown { cause },
            _ => StoreError::Away { cause },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        causes(&*self.cause)
            .skip(1)
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let kind = match error.as_db_error() {
            Some(said) => kind_of(said),
            None if causes(&error).any(|cause| cause.is::<OutOfRange>()) => FaultKind::Defect,
            None => FaultKind::Lost,
        };
        let code = error.code().cloned();
        let cause = cause(error);
        Self { kind, code, cause }
    }
}

fn kind_of(said: &DbError) -> FaultKind {
    let code = said.code();
    if said.parsed_severity() != Some(Severity::Error) {
        return FaultKind::Lost;
    }
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => FaultKind::Repeat,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => FaultKind::Lost,
        SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED => FaultKind::Refused,
        _ => match code.code().get(..2) {
            // Integrity, data, and syntax or rights.
            Some("22" | "23" | "42") => FaultKind::Defect,
            _ => FaultKind::Unfit,
        },
    }
}
