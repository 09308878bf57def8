//! Running an example as its README tells to, command by command, so that what stands there works.

use crate::node::NodeKind;
use crate::world::World;
use microraiden_chain::deployment::{Deployed, Deployment};
use microraiden_chain::{Node, keys};
use microraiden_protocol::Address;
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where servers listen.
const ANY_PORT: &str = "127.0.0.1:0";

/// The commands of a README's `console` blocks, run one after the other in a folder with what the first steps of
/// `examples/README.md` put there: `deployment.json`, `receiver.key` and `sender.key`, of a chain of the test's own.
///
/// Addresses that a README names stand for those that its servers really have, in commands and in what they print.
#[derive(Debug)]
pub struct Tour {
    /// The chain.
    pub world: World,
    folder: TempDir,
    programs: PathBuf,
    commands: VecDeque<Shown>,
    /// What the README names, and what that is here.
    addresses: Vec<(String, String)>,
}

/// A command of a README, with what it shows of its output.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: String,
}

/// A server that a README starts; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    /// Kept, so that it can go on printing.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Tour {
    /// Begins a README; `program` is one of the programs that it runs, beside which the others are.
    ///
    /// # Panics
    /// When there is no chain, or no place for files.
    pub async fn begin(readme: &str, program: &str) -> Self {
        let world = World::start(NodeKind::Devchain).await;
        let folder = tempfile::tempdir().expect("a folder");
        for (name, key) in [("receiver.key", &world.receiver), ("sender.key", &world.sender)] {
            keys::create(&folder.path().join(name), key).expect("a new file");
        }
        let deployment = serde_json::to_string(&deployment(&world).await).expect("it is written as JSON");
        std::fs::write(folder.path().join("deployment.json"), deployment).expect("a new file");
        let programs = Path::new(program).parent().expect("a program is in a folder");
        Self {
            addresses: vec![("127.0.0.1:8545".to_owned(), authority(&world))],
            world,
            folder,
            programs: programs.to_owned(),
            commands: commands(readme).into(),
        }
    }

    /// A file in the folder where the commands run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets an address of the README stand for another.
    pub fn name(&mut self, shown: &str, actual: impl Into<String>) {
        self.addresses.insert(0, (shown.to_owned(), actual.into()));
    }

    /// Puts the addresses that the README names, as they are here, into a file that a command has made.
    ///
    /// # Panics
    /// When it is not there.
    pub fn adapt(&self, name: &str) {
        let text = std::fs::read_to_string(self.file(name)).expect("the file is there");
        std::fs::write(self.file(name), self.here(&text)).expect("it can be written");
    }

    /// A text with the addresses as they are here. Not one after the other: an actual one may begin as a shown one does.
    fn here(&self, text: &str) -> String {
        let marked = |text: String, (number, (shown, _)): (usize, &(String, String))| {
            text.replace(shown, &format!("\0{number}\0"))
        };
        let marks = self.addresses.iter().enumerate();
        let text = marks.clone().fold(text.to_owned(), marked);
        marks.fold(text, |text, (number, (_, actual))| {
            text.replace(&format!("\0{number}\0"), actual)
        })
    }

    /// What an address of the README is here.
    ///
    /// # Panics
    /// When it stands for none.
    pub fn actual(&self, shown: &str) -> &str {
        let mut addresses = self.addresses.iter();
        let found = addresses.find(|(known, _)| known == shown);
        &found.expect("an address that was named").1
    }

    /// Runs the next command to its end, which must be a success, and compares what it prints with what the README
    /// shows, if it shows anything; gives what it prints.
    ///
    /// # Panics
    /// When it fails, does not end, or prints something else.
    pub async fn run(&mut self) -> String {
        let shown = self.next();
        let endpoint = self.here("http://127.0.0.1:5000");
        let output = self
            .shell("", &shown.command, &[("--endpoint", &endpoint)])
            .output();
        let output = timeout(PATIENCE, output)
            .await
            .expect("it ends in time")
            .expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", shown.command);
        let mut printed = String::from_utf8(output.stdout)
            .expect("a text")
            .replace('\r', "");
        for (shown, actual) in &self.addresses {
            printed = printed.replace(actual, shown);
        }
        if !shown.output.is_empty() {
            assert_eq!(
                printed.trim_end(),
                shown.output.trim_end(),
                "{}: {said}",
                shown.command
            );
        }
        printed
    }

    /// Starts the next command, a server that the README expects at `shown`, and waits until it answers there.
    ///
    /// # Panics
    /// When it ends, or does not say where it listens.
    pub async fn start(&mut self, shown: &str) -> Running {
        let Shown { command, .. } = self.next();
        let listen = match command.starts_with("microraiden proxy") {
            true => ("--port", "0"),
            false => ("--listen", ANY_PORT),
        };
        // Over WebSocket it hears of each block at once.
        let node = format!("ws://{}", authority(&self.world));
        let local = command.replace("0.0.0.0:5000", ANY_PORT).replace(" 8000 ", " 0 ");
        let log = self.file(&format!("{shown}.log"));
        let mut process = self
            .shell("exec ", &local, &[listen, ("--rpc-provider", &node)])
            .stderr(File::create(&log).expect("a new file"))
            .spawn()
            .expect("sh runs");
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.expect("a text") {
                if let Some(address) = address(&line) {
                    return address;
                }
            }
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("{command}: it ended without saying where it listens: {said}")
        };
        let address = timeout(PATIENCE, address)
            .await
            .expect("it says in time where it listens");
        // Answered when everything has started.
        let answer = reqwest::get(format!("http://{address}/"));
        let answer = timeout(PATIENCE, answer).await.expect("it answers in time");
        answer.expect("it answers");
        self.name(shown, address);
        Running {
            process,
            _lines: lines,
        }
    }

    /// Ends the README: all its commands have been run.
    ///
    /// # Panics
    /// When one is left.
    pub fn end(self) {
        assert_eq!(self.commands, [], "left of the README");
    }

    fn next(&mut self) -> Shown {
        self.commands.pop_front().expect("the README has another command")
    }

    /// A command, in which our programs get the options that it leaves to their defaults; behind `exec ` it takes the place of
    /// the shell.
    fn shell(&self, exec: &str, command: &str, options: &[(&str, &str)]) -> Command {
        let is_example = command.starts_with("cargo run ");
        let is_ours = is_example || command.starts_with("microraiden ");
        let mut command = self.here(&program(command));
        let node = self.world.node.url();
        for (option, value) in options.iter().chain(&[("--rpc-provider", node.as_str())]) {
            let is_known = is_ours && (is_example || *option != "--endpoint");
            if is_known && !command.contains(option) {
                let end = command.find(" |").unwrap_or(command.len());
                command.insert_str(end, &format!(" {option} {value}"));
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{exec}{command}")])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("XDG_DATA_HOME", self.file("data"))
            .env("no_proxy", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        shell
    }
}

impl Running {
    /// Ends it as Ctrl-C does.
    ///
    /// # Panics
    /// When it does not end in order.
    pub async fn stop(mut self) {
        let process = self.process.id().expect("it runs");
        let kill = Command::new("kill")
            .args(["-INT", &process.to_string()])
            .status()
            .await;
        assert!(kill.expect("kill runs").success());
        let status = timeout(PATIENCE, self.process.wait())
            .await
            .expect("it ends in time");
        assert!(
            status.expect("it can be waited for").success(),
            "it ended with a failure"
        );
    }
}

/// What `microraiden deploy` would have written.
async fn deployment(world: &World) -> Deployment {
    let node: &Node = world.contract.node();
    let deployed = async |address: Address| {
        let code = node.code(address).await.expect("the node answers");
        Deployed {
            address,
            code_hash: alloy_primitives::keccak256(code),
            transaction: None,
            block: None,
        }
    };
    Deployment {
        chain_id: node.chain_id(),
        owner: world.deployer.address(),
        challenge_period: world.contract.challenge_period(),
        contract: deployed(world.contract.address()).await,
        token: deployed(world.contract.token().address).await,
    }
}

fn authority(world: &World) -> String {
    world.node.url().authority().to_owned()
}

/// `cargo run --release -p package --bin name -- …` is `name …` where it is built.
fn program(command: &str) -> String {
    let Some(rest) = command.strip_prefix("cargo run --release -p microraiden-example-") else {
        return command.to_owned();
    };
    let (build, arguments) = rest.split_once(" -- ").unwrap_or((rest, ""));
    let name = build.split_once(" --bin ").map_or(build, |(_, name)| name);
    format!("{name} {arguments}").trim_end().to_owned()
}

/// The address on this machine that a line tells.
fn address(line: &str) -> Option<String> {
    // In JSON others may come before it.
    let line = line.split_once(r#""url":"#).map_or(line, |(_, rest)| rest);
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let end = rest
        .find(|sign: char| !sign.is_ascii_digit())
        .unwrap_or(rest.len());
    Some(format!("127.0.0.1:{}", &rest[..end]))
}

/// The commands of the `console` blocks, in order, with what they print.
fn commands(readme: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut in_console = false;
    let mut goes_on = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
            continue;
        }
        if !in_console {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown {
                command: command.to_owned(),
                output: String::new(),
            });
            goes_on = line.ends_with('\\');
        } else if let Some(last) = commands.last_mut() {
            let text = if goes_on {
                &mut last.command
            } else {
                &mut last.output
            };
            if goes_on || !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
            goes_on = goes_on && line.ends_with('\\');
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_what_they_print() {
        let readme = "$ no\n```console\n$ a b \\\n    c\nsaid\n\nmore\n$ d\n```\n$ no\n```sh\n$ no\n```\n";
        let shown = |command: &str, output: &str| Shown {
            command: command.to_owned(),
            output: output.to_owned(),
        };
        assert_eq!(
            commands(readme),
            [shown("a b \\\n    c", "said\n\nmore"), shown("d", "")]
        );
    }

    #[test]
    fn programs_are_run_where_they_are_built() {
        for (shown, run) in [
            (
                "cargo run --release -p microraiden-example-echo --bin echo-client -- --a b",
                "echo-client --a b",
            ),
            (
                "cargo run --release -p microraiden-example-demo-proxy",
                "demo-proxy",
            ),
            ("curl -i http://127.0.0.1:5000/", "curl -i http://127.0.0.1:5000/"),
        ] {
            assert_eq!(program(shown), run);
        }
    }

    #[test]
    fn an_address_is_found_in_a_line() {
        assert_eq!(
            address("selling at http://127.0.0.1:5/x").as_deref(),
            Some("127.0.0.1:5")
        );
        let json = r#"{"target":"http://127.0.0.1:6/","url":"http://127.0.0.1:7"}"#;
        assert_eq!(address(json).as_deref(), Some("127.0.0.1:7"));
        assert_eq!(address("nothing"), None);
    }
}
