//! The list of settings against the files that tell of it, and faults with their lines.

use super::*;
use std::fs;

const TEMPLATE: &str = include_str!("../template.toml");
const REFERENCE: &str = include_str!("../../../../../docs/proxy.md");

fn read(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    let file = ConfigFile::read(&path).unwrap();
    file.settings().map_err(|error| error.to_string())
}

/// All names that may stand in a table, as the error about another name tells them.
fn names(table: &str) -> Vec<String> {
    let told = read(&format!("{table}\nno_such_name = 1")).unwrap_err();
    let (_, expected) = told.split_once("expected").unwrap();
    let names = expected.lines().next().unwrap().split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// The template with every line that is commented out and has a setting.
fn everything() -> String {
    let is_setting = |line: &&str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
    };
    let text = TEMPLATE
        .replace("@UPSTREAM@", "\"http://127.0.0.1:8000\"")
        .replace("@PRICE@", "\"0.002 TKN\"")
        .replace("@PASSWORD_FILE@", "private_key_password_file = \"password\"")
        .replace("@RPC_PROVIDER@", "\"http://127.0.0.1:8545\"")
        .replace("@CONTRACT@", "deployment_file = \"deployment.json\"");
    let lines = text.lines().map(|line| match is_setting(&line) {
        true => &line[1..],
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_setting_is_in_the_template_and_in_the_reference() {
    let all = everything();
    let settings = read(&all).unwrap();
    assert_eq!(settings.route.len(), 4);
    for table in ["", "[[route]]", "[[route]]\n[route.metering]\nunits = []"] {
        let names = names(table);
        assert!(!names.is_empty());
        for name in names {
            let is_there = all.lines().any(|line| {
                let start = line.trim_start_matches('[');
                start
                    .strip_prefix(&name)
                    .is_some_and(|rest| rest.starts_with([' ', ']']))
                    || line.starts_with(&format!("[route.{name}]"))
            });
            assert!(is_there, "{name} is not in the template");
            assert!(
                REFERENCE.contains(&format!("`{name}`")),
                "{name} is not in docs/proxy.md"
            );
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, place, reason) in [
        ("price = 0.5", ":1:9: ", "an amount"),
        ("price = -1", ":1:9: ", "an amount"),
        ("port = 70000", ":1:8: ", "70000"),
        ("\n\nhost = \"here\"", ":3:8: ", "IP address"),
        ("upstream = \"nowhere\"", ":1:12: ", "URL"),
        ("rate = \"often\"", ":1:8: ", "often"),
        ("free = \"10 per fortnight\"", ":1:8: ", "fortnight"),
        ("allow = [\"192.0.2.7/24\"]", ":1:10: ", "192.0.2.0/24"),
        ("grace = \"60\"", ":1:9: ", "30s"),
        ("grace = 60", ":1:9: ", "a time"),
        ("metrics_address = \"everywhere\"", ":1:19: ", "a port"),
        ("poll_interval = 1", ":1:17: ", "10 milliseconds"),
        ("[[route]]\nhost = \"a:1\"", ":2:8: ", "name of a host"),
        ("[[route]]\nfree_status = [\"6xx\"]", ":2:16: ", "6xx"),
        (
            "[[route]]\nmetering = { units = [{ price = 1, per = 0 }] }",
            ":2:42: ",
            "nonzero",
        ),
        (
            "[[route]]\nmetering = { units = [{ price = 1, body = \"x\" }] }",
            ":2:43: ",
            "slash",
        ),
        ("upstream = ", ":1:12: ", "value"),
        ("port = 1\nport = 2", ":2:1: ", "duplicate"),
    ] {
        let told = read(text).unwrap_err();
        assert!(told.contains(place) && told.contains(reason), "{text}: {told}");
    }
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    for text in [
        "[[route]]\nrequest_headers = { set = { A = \"secret\", B = 1 } }",
        "[[route]]\n[route.request_headers.set]\nA = \"x\"\nB = \"secret\nC",
    ] {
        let told = read(text).unwrap_err();
        assert!(told.contains("proxy.toml:") && !told.contains("secret"), "{told}");
    }
}

#[test]
fn the_host_may_be_named_as_the_original_had_it() {
    for (text, host) in [("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1")] {
        let settings = read(&format!("host = {text:?}")).unwrap();
        assert_eq!(settings.host, Some(host.parse().unwrap()));
    }
}

#[test]
fn options_win_over_the_file_and_one_contract_replaces_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(
        &path,
        "port = 1\nprice = 5\ndeployment_file = \"d.json\"\nstate_file = \"s.db\"",
    )
    .unwrap();
    let options = Settings {
        port: Some(2),
        channel_manager_address: Some(Address::repeat_byte(1)),
        ..Settings::default()
    };
    let source = Source {
        config: Some(path),
        options,
        dev_chain: None,
    };
    let Settings {
        port,
        price,
        deployment_file,
        state_file,
        ..
    } = source.load().unwrap().settings;
    assert_eq!((port, price), (Some(2), Some(Money("5".to_owned()))));
    assert_eq!(
        (deployment_file, state_file),
        (None, Some(folder.path().join("s.db")))
    );
}
