//! The server does what tests of others rely on.

#![allow(clippy::unwrap_used, reason = "a test")]

use microraiden_test_postgres::{Options, Server};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

fn fast() -> Options {
    Options {
        fsync: false,
        ..Options::default()
    }
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let server = Server::start(Options::default());
    assert_eq!(server.sql("postgres", "SHOW fsync"), "on");
    let [first, second] = [(); 2].map(|()| server.database());
    let fill = "CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)";
    server.sql(&first.name, fill);
    let running = "SELECT pg_postmaster_start_time(), system_identifier FROM pg_control_system()";
    let before = server.sql(&first.name, running);
    let mut idle = server
        .psql(&first.url, "SELECT pg_sleep(60)")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    server.kill();
    assert!(
        !server
            .psql(&first.url, "SELECT 1")
            .output()
            .unwrap()
            .status
            .success()
    );
    assert!(!idle.wait().unwrap().success());
    for ends in ["a kill", "an end in order"] {
        server.restart();
        for url in [&first.url, &first.socket_url] {
            let kept = server.psql(url, "SELECT number FROM kept").output().unwrap();
            assert_eq!(kept.stdout, b"7\n", "{ends}: {url}");
        }
    }
    assert_ne!(server.sql(&first.name, running), before);
    // Databases are apart.
    assert_eq!(
        server.sql(&second.name, "SELECT to_regclass('kept') IS NULL"),
        "t"
    );
}

#[test]
fn a_paused_server_answers_when_it_goes_on() {
    let server = Server::start(fast());
    assert_eq!(server.sql("postgres", "SHOW fsync"), "off");
    let url = server.database().url;
    let ask = || server.psql(&url, "SELECT 6 * 7").output().unwrap();
    server.pause();
    thread::scope(|scope| {
        let asking = scope.spawn(ask);
        thread::sleep(Duration::from_millis(500));
        assert!(!asking.is_finished());
        server.resume();
        assert_eq!(asking.join().unwrap().stdout, b"42\n");
    });
    // Killed, or ended, while it is paused.
    server.pause();
    server.kill();
    server.restart();
    server.pause();
    server.restart();
    assert_eq!(ask().stdout, b"42\n");
}

#[test]
fn asks_for_the_password_over_tls() {
    let server = Server::start(Options {
        password: true,
        tls: true,
        settings: &[("max_connections", "7")],
        ..fast()
    });
    let url = server.database().url;
    let authority = server.authority();
    let ask = |url: &str, mode: &str| {
        let output = server
            .psql(url, "SHOW max_connections")
            .env("PGSSLMODE", mode)
            .env("PGSSLROOTCERT", &authority)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(error)
        }
    };
    let refuses = |answer: Result<_, String>, why| assert!(answer.unwrap_err().contains(why));
    assert_eq!(ask(&url, "verify-full").unwrap(), b"7\n");
    refuses(ask(&url, "disable"), "no encryption");
    refuses(
        ask(&url.replace("correct", "incorrect"), "verify-full"),
        "password",
    );
    let socket_url = server.database().socket_url;
    assert_eq!(ask(&socket_url, "disable").unwrap(), b"7\n");
    refuses(
        ask(&socket_url.replace("correct", "incorrect"), "disable"),
        "password",
    );
}

/// Also when it is killed. Run by itself again, this test is such a program.
#[test]
fn nothing_is_left_when_the_program_ends() {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if let Some(end) = env::var_os("MICRORAIDEN_TEST_END") {
        let server = SERVER.get_or_init(|| Server::start(fast()));
        let told = "SELECT pg_read_file('postmaster.pid', 0, 1000)";
        println!("\n{}", server.sql("postgres", told));
        match end.to_str() {
            Some("panic") => panic!("as a test that fails"),
            Some("killed while paused") => {
                server.pause();
                std::process::abort();
            }
            _ => return,
        }
    }
    for end in ["return", "panic", "killed while paused"] {
        let program = Command::new(env::current_exe().unwrap())
            .args(["--exact", "nothing_is_left_when_the_program_ends", "--nocapture"])
            .env("MICRORAIDEN_TEST_END", end)
            .output()
            .unwrap();
        let output = String::from_utf8(program.stdout).unwrap();
        let data = output.lines().find(|line| line.ends_with("/data")).unwrap();
        let postmaster = output.lines().take_while(|line| *line != data).last().unwrap();
        let (folder, began) = (Path::new(data).parent().unwrap(), Instant::now());
        let process = Path::new("/proc").join(postmaster).join("cwd");
        while folder.exists() || process.read_link().is_ok_and(|cwd| cwd == Path::new(data)) {
            assert!(began.elapsed() < Duration::from_secs(30), "{end}: {output}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}
