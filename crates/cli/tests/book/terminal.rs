//! A reader's terminals: one in which commands end, and another for each that serves.
//!
//! `script` makes them, so that programs print what they print to people. The shell of a page stays from its first
//! command to its last, and so do the folder that it is in and its variables.

use crate::wording::{begins, lines, tail};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take, or a server until it listens.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(20);
/// Stands around the status of a command behind what it has printed.
const MARK: u8 = 0x1e;
/// Reads the names of scripts and carries them out. All variables are for servers, too.
const SHELL: &str = "stty -echo -onlcr rows 50 cols 160; set -a; printf '\\036%s\\036' 0; \
     while IFS= read -r step; do . \"$step\"; printf '\\036%s\\036' \"$?\"; done";

/// Puts programs into a world of their own: no network, all ports free, and none of them outlives it.
const APART: [&str; 7] = [
    "unshare",
    "--net",
    "--map-root-user",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Whether this machine lets us make such worlds.
pub(crate) fn can_be_apart() -> bool {
    let [program, options @ ..] = APART;
    let mut command = Command::new(program);
    command.args(options).args(["ip", "link", "set", "lo", "up"]);
    command
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

pub(crate) struct Terminal {
    shell: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Where its scripts are.
    steps: PathBuf,
    step: usize,
    servers: Vec<Server>,
}

/// How a command has ended, and what it has printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) printed: Vec<String>,
}

struct Server {
    command: String,
    /// What it has printed is in this file.
    printed: PathBuf,
    /// There once it has ended.
    status: PathBuf,
    keys: File,
}

impl Terminal {
    /// Opens it in a folder; its scripts go into another. The environment is that of `shell`.
    pub(crate) fn open(
        apart: bool,
        folder: &Path,
        steps: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self, String> {
        let mut words = match apart {
            true => APART.to_vec(),
            false => Vec::new(),
        };
        words.extend([
            "sh",
            "-c",
            "ip link set lo up 2>/dev/null; exec script -qefc \"exec bash --norc -c '. ./shell'\" /dev/null",
        ]);
        std::fs::write(steps.join("shell"), format!("cd '{}'; {SHELL}", folder.display())).map_err(told)?;
        // Whoever runs us in the background has Ctrl-C ignored, and programs inherit that.
        let mut shell = Command::new("env")
            .arg("--default-signal=INT")
            .args(&words)
            .current_dir(steps)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(told)?;
        let input = shell.stdin.take().ok_or("no input")?;
        let mut screen = shell.stdout.take().ok_or("no output")?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                // Nobody may be reading any more.
                let _ = sender.send(piece[..length].to_vec());
            }
        });
        let mut terminal = Self {
            shell,
            input,
            output,
            steps: steps.to_owned(),
            step: 0,
            servers: Vec::new(),
        };
        terminal.wait("the shell", None)?;
        Ok(terminal)
    }

    /// Carries out a command that ends; where it asks for something, `typed` is the answer.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn run(&mut self, command: &str, typed: Option<&str>) -> Result<Ended, String> {
        let script = self.write(command)?;
        self.enter(&script)?;
        self.wait(command, typed)
    }

    /// Starts a command that goes on, and waits until it shows `output`, or that it is ready.
    ///
    /// # Errors
    /// When it is not, in time.
    pub(crate) fn serve(
        &mut self,
        command: &str,
        output: &[String],
        typed: Option<&str>,
    ) -> Result<(), String> {
        self.stop(command)?;
        let before = self.ports();
        // With `exec` the program itself gets what is typed.
        let exec = if command.contains([';', '|', '&']) {
            ""
        } else {
            "exec "
        };
        let words = command.split_whitespace();
        let first = words.take_while(|word| is_assignment(word)).count();
        let command_line = match exec {
            "" => command.to_owned(),
            exec => insert(command, first, exec),
        };
        let script = self.write(&format!("stty -onlcr rows 50 cols 160\n{command_line}\n"))?;
        let (printed, status, keys) = (
            format!("{script}.out"),
            format!("{script}.status"),
            format!("{script}.keys"),
        );
        let start = format!(
            "mkfifo '{keys}'; touch '{printed}'; {{ script -qefc 'exec bash {script}' /dev/null <'{keys}' >'{printed}' 2>&1; echo $? >'{status}'; }} &"
        );
        self.run(&start, None)?;
        // For reading and writing, so that it does not wait for the other end.
        let keys = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&keys)
            .map_err(told)?;
        self.servers.push(Server {
            command: command.to_owned(),
            printed: printed.into(),
            status: status.into(),
            keys,
        });
        self.wait_for_server(output, typed, before)
    }

    fn wait_for_server(
        &mut self,
        output: &[String],
        typed: Option<&str>,
        ports: usize,
    ) -> Result<(), String> {
        let (begin, mut answered) = (Instant::now(), 0);
        loop {
            let listens = self.ports() > ports;
            let server = self.servers.last_mut().ok_or("no server")?;
            let screen = std::fs::read(&server.printed).map_err(told)?;
            if let Some(words) = typed.filter(|_| screen.len() > answered && asks(&screen)) {
                writeln!(server.keys, "{words}").map_err(told)?;
                answered = screen.len();
            }
            let printed = lines(&screen);
            let shows = output.is_empty() || begins(output, &printed);
            if shows && (!output.is_empty() || is_ready(&server.command, &printed, listens)) {
                return self.wait_for_sale(&printed);
            }
            if begin.elapsed() > PATIENCE || server.status.exists() {
                let wanted = if output.is_empty() {
                    String::new()
                } else {
                    format!(", and not\n{}", output.join("\n"))
                };
                return Err(format!(
                    "`{}` does not serve; it printed\n{}{wanted}",
                    server.command,
                    tail(&printed)
                ));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// What listens may not sell yet; it says 503 until then.
    fn wait_for_sale(&mut self, printed: &[String]) -> Result<(), String> {
        let Some(url) = printed
            .iter()
            .find(|line| line.starts_with("http") && !line.contains(' '))
        else {
            return Ok(());
        };
        let code = format!(
            "\"$(curl --insecure --silent --output /dev/null --write-out '%{{http_code}}' '{url}')\""
        );
        let command = format!("for try in $(seq 200); do test {code} != 503 && break; sleep 0.1; done");
        self.run(&command, None).map(drop)
    }

    /// Ends what was started by the same program on the same port, as a reader has to.
    fn stop(&mut self, command: &str) -> Result<(), String> {
        match self
            .servers
            .iter()
            .position(|server| place(&server.command) == place(command))
        {
            Some(index) => end(self.servers.remove(index)),
            None => Ok(()),
        }
    }

    /// Ends what serves by a command with these words.
    ///
    /// # Errors
    /// When nothing does.
    pub(crate) fn end(&mut self, words: &str) -> Result<(), String> {
        let index = self
            .servers
            .iter()
            .position(|server| server.command.contains(words));
        end(self.servers.remove(index.ok_or(format!("no `{words}` serves"))?))
    }

    /// Ends everything that serves.
    pub(crate) fn close(mut self) -> Result<(), String> {
        std::mem::take(&mut self.servers)
            .into_iter()
            .rev()
            .try_for_each(end)
    }

    /// How many ports somebody listens at.
    fn ports(&self) -> usize {
        let listening = |name: &str| {
            let table = std::fs::read_to_string(format!("/proc/{}/net/{name}", self.shell.id()));
            let table = table.unwrap_or_default();
            table
                .lines()
                .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
                .count()
        };
        listening("tcp") + listening("tcp6")
    }

    fn write(&mut self, script: &str) -> Result<String, String> {
        self.step += 1;
        let path = self.steps.join(self.step.to_string());
        std::fs::write(&path, script).map_err(told)?;
        Ok(path.display().to_string())
    }

    fn enter(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.input, "{line}")
            .and_then(|()| self.input.flush())
            .map_err(told)
    }

    /// Reads on until the shell has done what it was told.
    fn wait(&mut self, what: &str, typed: Option<&str>) -> Result<Ended, String> {
        let begin = Instant::now();
        let mut screen: Vec<u8> = Vec::new();
        loop {
            if let [printed, status, []] = screen.split(|byte| *byte == MARK).collect::<Vec<_>>().as_slice() {
                return Ok(Ended {
                    success: *status == b"0",
                    printed: lines(printed),
                });
            }
            match self.output.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(piece) => {
                    screen.extend(piece);
                    if let Some(words) = typed.filter(|_| asks(&screen)) {
                        self.enter(words)?;
                    }
                }
                Err(reason) => {
                    let why = match reason {
                        RecvTimeoutError::Timeout => "does not end",
                        RecvTimeoutError::Disconnected => "has ended the shell",
                    };
                    return Err(format!("`{what}` {why}; it printed\n{}", tail(&lines(&screen))));
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Presses Ctrl-C, and waits.
fn end(mut server: Server) -> Result<(), String> {
    server.keys.write_all(b"\x03").map_err(told)?;
    let begin = Instant::now();
    while !server.status.exists() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("`{}` does not end", server.command));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// Whether a program waits for an answer on the line that it has begun.
fn asks(screen: &[u8]) -> bool {
    screen.ends_with(b": ")
}

/// Whether what it has printed says that it serves; `listens` when there is another port than before.
fn is_ready(command: &str, printed: &[String], listens: bool) -> bool {
    let says = |text: &str| printed.iter().any(|line| line.contains(text));
    match program(command).as_slice() {
        ["microraiden", "devchain", ..] => says("http://"),
        ["microraiden", "proxy", ..] if command.contains("--dev ") => says("/api/1/stats"),
        ["microraiden", "proxy", ..] => printed.iter().any(|line| line.starts_with("http")),
        ["microraiden", "demo", ..] => says("/api/1/stats"),
        ["microraiden", "pay-proxy", ..] => says("ready to pay"),
        _ => listens,
    }
}

/// Whether a command goes on until it is ended.
pub(crate) fn serves(command: &str) -> bool {
    let asks = |option: &str| command.split_whitespace().any(|word| word == option);
    match program(command).as_slice() {
        _ if asks("--help") => false,
        ["microraiden", "proxy", "check", ..] => false,
        ["microraiden", "devchain" | "proxy" | "pay-proxy", ..] => true,
        ["microraiden", "demo", ..] => !asks("--exit"),
        ["python3", ..] => asks("http.server"),
        ["node", ..] => command.contains(".listen("),
        ["microraiden", ..] => false,
        [name, ..] => name.ends_with("-server") || name.ends_with("-proxy"),
        [] => false,
    }
}

/// The program that a command starts, and its words. What cargo would build and run is built already.
fn program(command: &str) -> Vec<&str> {
    let words: Vec<&str> = command
        .split_whitespace()
        .skip_while(|word| is_assignment(word))
        .collect();
    let ["cargo", "run", options @ ..] = words.as_slice() else {
        return words;
    };
    let split = options
        .iter()
        .position(|word| *word == "--")
        .unwrap_or(options.len());
    let (options, arguments) = options.split_at(split);
    let names = |pair: &&[&str]| matches!(pair[0], "-p" | "--package" | "--example" | "--bin");
    // The package, unless a binary is named behind it.
    let name = options
        .windows(2)
        .rfind(names)
        .map_or("microraiden", |pair| pair[1]);
    std::iter::once(name)
        .chain(arguments.iter().skip(1).copied())
        .collect()
}

/// The program and the port, which together exclude another.
fn place(command: &str) -> (Vec<&str>, Option<&str>) {
    let words = program(command);
    let port = words.iter().position(|word| *word == "--port");
    let port = port.and_then(|at| words.get(at + 1).copied());
    (words.into_iter().take(2).collect(), port)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}

/// Puts `text` before the word with this number.
fn insert(command: &str, word: usize, text: &str) -> String {
    let mut rest = command;
    for _ in 0..word {
        rest = rest
            .trim_start()
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest);
    }
    format!("{}{text}{rest}", command.strip_suffix(rest).unwrap_or_default())
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}
