//! Passwords that are not in the URL: from the environment, or from a password file as `psql` reads it.

use super::error::DatabaseError;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Adds the password for one server, if there is one for it.
pub(super) fn add(server: &mut Config) -> Result<(), DatabaseError> {
    if let Some(password) = find(server, |name| env::var_os(name))? {
        server.password(password);
    }
    Ok(())
}

fn find(
    server: &Config,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Vec<u8>>, DatabaseError> {
    if let Some(password) = environment("PGPASSWORD") {
        return Ok(Some(password.as_bytes().to_vec()));
    }
    let named = environment("PGPASSFILE").map(PathBuf::from);
    let at_home = || environment("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let Some(path) = named.or_else(at_home) else {
        return Ok(None);
    };
    let (text, mode) = match read(&path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DatabaseError::PasswordFile { path, source }),
    };
    let password = text.lines().find_map(|line| password(line, server));
    if password.is_some() && mode & 0o077 != 0 {
        return Err(DatabaseError::InsecurePasswordFile { path, mode });
    }
    Ok(password.map(String::into_bytes))
}

fn read(path: &PathBuf) -> std::io::Result<(String, u32)> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, mode))
}

/// The last field of a line `host:port:database:user:password`, if the others fit.
fn password(line: &str, server: &Config) -> Option<String> {
    let fields = fields(line);
    let [host, port, database, user, password] = fields.as_slice() else {
        return None;
    };
    let is = |field: &str, value: Option<&str>| field == "*" || Some(field) == value;
    let is_host = match server.get_hosts().first() {
        Some(Host::Tcp(name)) => is(host, Some(name)),
        Some(Host::Unix(folder)) => is(host, Some("localhost")) || is(host, folder.to_str()),
        None => false,
    };
    let server_port = server.get_ports().first().map(u16::to_string);
    let server_user = server.get_user();
    let fits = !line.starts_with('#')
        && is_host
        && is(port, server_port.as_deref())
        && is(database, server.get_dbname().or(server_user))
        && is(user, server_user);
    fits.then(|| password.clone())
}

/// What stands between colons; a backslash takes the meaning of the next sign away.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            ':' => fields.push(String::new()),
            '\\' => fields
                .last_mut()
                .into_iter()
                .for_each(|field| field.extend(signs.next())),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(sign)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn server(url: &str) -> Config {
        url.parse().unwrap()
    }

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let one = server("postgres://me@one:5433/shop");
        for (line, found) in [
            ("one:5433:shop:me:pw", Some("pw")),
            ("*:*:*:*:p\\:w\\\\", Some("p:w\\")),
            ("#*:*:*:*:pw", None),
            ("two:5433:shop:me:pw", None),
            ("one:5432:shop:me:pw", None),
            ("one:5433:other:me:pw", None),
            ("one:5433:shop:you:pw", None),
            ("one:5433:shop:me", None),
            ("", None),
        ] {
            assert_eq!(password(line, &one).as_deref(), found, "{line}");
        }
        let socket = server("postgres://me@%2Frun/");
        for (line, found) in [
            ("localhost:5432:me:me:pw", Some("pw")),
            ("/run:*:*:*:pw", Some("pw")),
        ] {
            assert_eq!(password(line, &socket).as_deref(), found, "{line}");
        }
    }

    #[test]
    fn a_password_file_must_be_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".pgpass");
        let at_home = |name: &str| (name == "HOME").then(|| folder.path().into());
        let named = |name: &str| (name == "PGPASSFILE").then(|| path.clone().into());
        let one = server("postgres://me@one/");
        assert_eq!(find(&one, at_home).unwrap(), None);
        fs::write(&path, "two:*:*:*:other\none:*:*:*:pw\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find(&one, at_home).unwrap().unwrap(), b"pw");
        assert_eq!(find(&one, named).unwrap().unwrap(), b"pw");
        let given = |name: &str| (name == "PGPASSWORD").then(|| "given".into());
        assert_eq!(find(&one, given).unwrap().unwrap(), b"given");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = find(&one, at_home).unwrap_err();
        assert!(
            matches!(refused, DatabaseError::InsecurePasswordFile { mode: 0o640, .. }),
            "{refused}"
        );
        assert_eq!(find(&server("postgres://me@three/"), at_home).unwrap(), None);
    }
}
