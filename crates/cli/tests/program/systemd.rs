//! What systemd is told by a proxy that it runs, and what it hands over.

use crate::process::{PATIENCE, Program};
use crate::waiting::{appear, at, away, place};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};

/// Reads on until something with these words is told; all that was told until then.
fn wait_for(socket: &UnixDatagram, words: &str) -> String {
    let mut all = String::new();
    loop {
        let mut text = [0; 2048];
        let length = socket.recv(&mut text);
        let length = length.unwrap_or_else(|error| panic!("no {words}: {error}\n{all}"));
        let told = std::str::from_utf8(&text[..length]).unwrap();
        all += &format!("{told}\n");
        if told.contains(words) {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_from_the_start_to_the_end() {
    let place = place().await;
    let (address, node) = away().await;
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let program = Program::start_command(
        Command::new(env!("CARGO_BIN_EXE_microraiden"))
            .args(at(&place, &node, &[]))
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "900000"),
    );
    let waiting = wait_for(&socket, "STATUS=waiting for the Ethereum node");
    assert!(waiting.contains("EXTEND_TIMEOUT_USEC=60000000\n"), "{waiting}");
    assert!(!waiting.contains("READY"), "{waiting}");
    appear(address, &place).await;
    let ready = wait_for(&socket, "READY=1");
    assert!(ready.contains("\nSTATUS=selling at 127.0.0.1:"), "{ready}");
    assert!(!waiting.contains("WATCHDOG"), "{waiting}");
    for _ in 0..3 {
        assert_eq!(wait_for(&socket, "WATCHDOG"), "WATCHDOG=1\n");
    }
    program.send("HUP");
    let reloaded = wait_for(&socket, "READY=1");
    assert!(reloaded.contains("RELOADING=1\nMONOTONIC_USEC="), "{reloaded}");
    assert!(
        reloaded.contains("STATUS=selling; the settings were read again"),
        "{reloaded}"
    );
    // It is there, and does nothing any more.
    program.send("STOP");
    std::thread::sleep(std::time::Duration::from_millis(100));
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 64]).is_ok() {}
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(socket.recv(&mut [0; 64]).is_err());
    socket.set_nonblocking(false).unwrap();
    program.send("CONT");
    program.send("TERM");
    wait_for(&socket, "STOPPING=1");
    assert!(program.end().success());
}

/// The address of a key file, as the program finds it out where systemd says that its credentials are.
fn show(key: &Path, credentials: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microraiden"));
    command.args(["account", "show", "--private-key"]).arg(key);
    command.env_remove("CREDENTIALS_DIRECTORY");
    if let Some(folder) = credentials {
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    command.output().unwrap()
}

/// Systemd lets its service's user alone read them by an access list, which looks as if a group could.
#[test]
fn a_key_among_the_credentials_of_the_service_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    let key = credentials.join("receiver.key");
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    fs::create_dir(&credentials).unwrap();
    fs::write(&key, format!("{:064x}\n", 1)).unwrap();
    set(&key, 0o440);
    set(&credentials, 0o750);
    let shown = show(&key, Some(&credentials));
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
        "{shown}"
    );

    let refused = |credentials: Option<&Path>| {
        let output = show(&key, credentials);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("chmod 600"), "{said}");
    };
    refused(None);
    refused(Some(folder.path()));
    set(&credentials, 0o755);
    refused(Some(&credentials));
    set(&credentials, 0o750);
    for mode in [0o444, 0o460, 0o640 | 0o001] {
        set(&key, mode);
        refused(Some(&credentials));
    }
}
