//! Installing what the tests need from Debian.

use std::path::Path;

use crate::program::Program;

/// Installs a package on Debian, where we may; whether it did.
pub(crate) fn install(root: &Path, package: &str) -> bool {
    let user = Program::new("id", ["-u"]).output(root);
    user.is_ok_and(|user| user.trim() == "0")
        && Program::new("apt-get", ["--version"]).succeeds(root)
        && Program::new("apt-get", ["install", "-y", package])
            .run(root)
            .is_ok()
}
