//! Running the built program as its users do.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A process of the program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// So many lines tell what it does.
const LAST_LINES: usize = 40;

impl Program {
    /// Starts the program; its standard output and error are read as lines, in no fixed order.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_command(Command::new(env!("CARGO_BIN_EXE_microraiden")).args(arguments))
    }

    /// Starts another program in the same way.
    pub(crate) fn start_command(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The test may have stopped listening.
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Reads on until a line that `wanted` takes; gives what it made of it.
    pub(crate) fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let begin = Instant::now();
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => match wanted(&line) {
                    Some(found) => return found,
                    None => seen += &format!("{line}\n"),
                },
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in time:\n{seen}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended without {what}:\n{seen}"),
            }
        }
    }

    /// Reads on until the command of this program that is printed for trying by hand; it goes over several lines.
    pub(crate) fn wait_for_get_command(&mut self) -> String {
        let mut command = self.wait_for("get command", |line| {
            line.contains(" get http").then(|| line.to_owned())
        });
        // Lines of the other output may come between.
        let rest = |line: &str| line.starts_with("    --").then(|| line.to_owned());
        while let Some(begun) = command.strip_suffix('\\') {
            command = format!("{begun} {}", self.wait_for("rest of it", rest));
        }
        command
    }

    /// What of the process is in memory now, and the most since it began, in KiB; as Linux tells it.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kib.and_then(|kib| kib.parse().ok()).expect("in KiB")
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Whether it has ended, and what it has said last, for who wants to know why it does not do what it should.
    pub(crate) fn report(&mut self) -> String {
        let status = self.child.try_wait().expect("it can be waited for");
        let lines: Vec<_> = self.lines.try_iter().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("{status:?}, and has said:\n{last}")
    }

    /// SIGKILL: nothing can be saved or said any more.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process is there");
        let status = self.child.wait().expect("it has ended");
        assert!(!status.success(), "it had ended by itself");
    }

    /// Sends a signal by name and waits for the end; whether it ended well.
    pub(crate) fn signal(self, name: &str) -> bool {
        self.send(name);
        self.end().success()
    }

    /// Sends a signal by name.
    pub(crate) fn send(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &command])
                .status()
                .expect("sh runs")
                .success()
        );
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => return status,
                None => assert!(begin.elapsed() < PATIENCE, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
