//! The URL of a database, which may hold a password.

use percent_encoding::percent_decode_str;
use std::fmt;
use std::str::FromStr;

/// Where a PostgreSQL database is: `postgres://user@host:port/name?parameters`. It is never shown with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// Why a text is not the URL of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a database is named as postgres://user@host:5432/name")]
pub struct DatabaseUrlError;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const PASSWORD: &str = "password";

impl DatabaseUrl {
    /// The URL with its password.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is a password in it, which must not stand on a command line.
    pub fn has_password(&self) -> bool {
        self.without_password() != self.0
    }

    /// A part that a password may have slipped into, because a sign in it was not written as `%…`, is left out.
    fn without_password(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (user, rest) = match rest.rsplit_once('@') {
            Some((who, rest)) => {
                let user = who.split_once(':').map_or(who, |(user, _)| user);
                let is_one = !user.contains(['/', '?', '&', '=', '@']);
                (format!("{}@", if is_one { user } else { "" }), rest)
            }
            None => (String::new(), rest),
        };
        let (host, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let place = user + host;
        let is_password = |one: &&str| {
            let name = percent_decode_str(one.split('=').next().unwrap_or_default()).decode_utf8_lossy();
            name.eq_ignore_ascii_case(PASSWORD)
        };
        let parameters = parameters.split('&').filter(|one| !one.is_empty());
        let shown: Vec<_> = parameters.filter(|one| !is_password(one)).collect();
        let mark = if shown.is_empty() { "" } else { "?" };
        format!("{scheme}://{place}{mark}{}", shown.join("&"))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let is_one = SCHEMES
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        is_one.then(|| Self(text.to_owned())).ok_or(DatabaseUrlError)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_password())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown, has_password) in [
            ("postgres://host/name", "postgres://host/name", false),
            (
                "postgresql://ann@host:5433/name",
                "postgresql://ann@host:5433/name",
                false,
            ),
            (
                "postgres://ann:secret@host/name",
                "postgres://ann@host/name",
                true,
            ),
            (
                "postgres://ann:se:c@ret@host,other/name?sslmode=require",
                "postgres://ann@host,other/name?sslmode=require",
                true,
            ),
            (
                "postgres:///name?host=/run/postgresql&password=secret&user=ann",
                "postgres:///name?host=/run/postgresql&user=ann",
                true,
            ),
            (
                "postgres://host/name?PASSWORD=secret",
                "postgres://host/name",
                true,
            ),
            (
                "postgres://host/name?pass%77ord=secret",
                "postgres://host/name",
                true,
            ),
            (
                "postgres://ann:secret?or=secret@host/name",
                "postgres://ann@host/name",
                true,
            ),
            ("postgres://host/name?password=sec@ret", "postgres://@ret", true),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.has_password(), has_password, "{text}");
            assert!(!format!("{url:?} {url}").contains("secret"));
            assert_eq!(url.reveal(), text);
        }
        for text in [
            "",
            "postgres://",
            "http://host/name",
            "receiver.db",
            "host=localhost user=ann",
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(DatabaseUrlError), "{text}");
        }
    }
}
