//! A fresh machine for a page: a folder, a home, and programs on the path.

use crate::terminal::{Ended, Terminal};
use crate::wording::tail;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Stands for cargo, which would build what is built already, from sources and a registry that a reader has.
const CARGO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
command=$1 program=microraiden; shift
case $command in
run)
    while [ $# -gt 0 ]; do
        case $1 in
        -p | --package | --example | --bin) program=$2; shift 2 ;;
        --release | --quiet | -q) shift ;;
        --) shift; break ;;
        *) echo "the book's cargo does not know $1" >&2; exit 101 ;;
        esac
    done
    for folder in "$BUILT" "$BUILT/examples"; do
        [ ! -x "$folder/$program" ] || exec "$folder/$program" "$@"
    done
    echo "$program is not built" >&2; exit 101 ;;
install) [ "$1" = --path ] && [ -f "$ROOT/$2/Cargo.toml" ] ;;
xtask) grep -q "^  $1 " "$ROOT/xtask/src/main.rs" ;;
*) echo "the book's cargo does not know $command" >&2; exit 101 ;;
esac
"#;

/// What of the repository is there under the same names, as for a reader who is at its root.
const REPOSITORY: [&str; 7] = [
    "contracts",
    "crates",
    "docs",
    "examples",
    "packaging",
    "tests",
    "web",
];

pub(crate) struct Place {
    terminal: Terminal,
    /// Where the page's commands begin.
    folder: PathBuf,
    /// All of it; removed at the end.
    _whole: tempfile::TempDir,
}

impl Place {
    pub(crate) fn make(apart: bool) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let whole = tempfile::tempdir().map_err(told)?;
        let [folder, home, bin, steps] = ["page", "home", "bin", "steps"].map(|name| whole.path().join(name));
        for folder in [&folder, &home, &bin, &steps] {
            std::fs::create_dir(folder).map_err(told)?;
        }
        let built = Path::new(env!("CARGO_BIN_EXE_microraiden"));
        symlink(built, bin.join("microraiden")).map_err(told)?;
        std::fs::write(bin.join("cargo"), CARGO).map_err(told)?;
        std::fs::set_permissions(bin.join("cargo"), PermissionsExt::from_mode(0o755)).map_err(told)?;
        for name in REPOSITORY {
            if root().join(name).exists() {
                symlink(root().join(name), folder.join(name)).map_err(told)?;
            }
        }
        install_modules(&folder.join("node_modules")).map_err(told)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let python = root().join("target/python/bin");
        let environment = [
            ("PATH", format!("{}:{}:{path}", bin.display(), python.display())),
            ("HOME", home.display().to_string()),
            ("XDG_DATA_HOME", home.join(".local/share").display().to_string()),
            ("SHELL", "/bin/bash".to_owned()),
            ("TERM", "xterm".to_owned()),
            ("BUILT", built.parent().unwrap_or(built).display().to_string()),
            ("ROOT", root().display().to_string()),
        ];
        let terminal = Terminal::open(apart, &folder, &steps, &environment)?;
        Ok(Self {
            terminal,
            folder,
            _whole: whole,
        })
    }

    /// Carries out a command that must succeed.
    pub(crate) fn run(&mut self, command: &str) -> Result<(), String> {
        let Ended { success, printed } = self.terminal.run(command, None)?;
        match success {
            true => Ok(()),
            false => Err(format!("it failed; it printed\n{}", tail(&printed))),
        }
    }

    pub(crate) fn terminal(&mut self) -> &mut Terminal {
        &mut self.terminal
    }

    /// Writes a file where the page's commands begin.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.folder.join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    /// Ends what still serves.
    pub(crate) fn leave(self) -> Result<(), String> {
        self.terminal.close()
    }
}

/// Our browser library by its name, beside what npm has installed.
fn install_modules(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    symlink(root().join("web/client"), folder.join("microraiden"))?;
    let Ok(installed) = root().join("node_modules").read_dir() else {
        return Ok(());
    };
    for entry in installed {
        let entry = entry?;
        symlink(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
