//! Installing what the tests need from Debian.

use std::path::Path;

use crate::program::Program;

/// Installs a package on Debian, where we may; whether it did.
pub(crate) fn install(root: &Path, package: &str) -> bool {
    let user = Program::new("id", ["-u"]).output(root);
    let may_install =
        user.is_ok_and(|user| user.trim() == "0") && Program::new("apt-get", ["--version"]).succeeds(root);
    let apt_get = |arguments: &[&str]| {
        let program = Program::new("apt-get", arguments.iter().copied());
        program
            .with("DEBIAN_FRONTEND", "noninteractive")
            .run(root)
            .is_ok()
    };
    // Where nothing was installed yet the lists of packages may be missing, or old.
    may_install
        && (apt_get(&["install", "-y", package])
            || apt_get(&["update"]) && apt_get(&["install", "-y", package]))
}
