//! What ends the server when the test program has ended, however it did.
//!
//! A shell that reads from a pipe, which closes with the program: at its end, after a panic, and when it is killed.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The server is known by its folder, since its number may be another process's by then.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat > /dev/null
file=$1/data/postmaster.pid
is_ours() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; }
pid=$(head -n 1 "$file" 2> /dev/null)
if is_ours "$1"; then
    kill -CONT "$pid"
    kill -QUIT "$pid"
    for tenth in $(seq 100); do
        is_ours "$1" || break
        sleep 0.1
    done
    is_ours "$1" && kill -KILL "$pid"
fi
# A server that was killed has left a few bytes of shared memory.
[ -e "$file" ] && ipcrm -m "$(sed -n 7p "$file" | awk '{ print $2 }')"
rm -rf "$1"
"#;

#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn start(folder: &Path) -> Self {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self(shell.expect("sh starts"))
    }

    /// Does now what is done at the program's end.
    pub(crate) fn end(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
