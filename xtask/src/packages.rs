//! The packages of the crates that are published, as crates.io would get them.

use std::path::Path;

use cargo_metadata::MetadataCommand;

use crate::failure::Failure;
use crate::program::Program;

/// Makes them, without building each once more, and without asking a registry.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let is_kept = |publish: &Option<Vec<String>>| publish.as_ref().is_some_and(Vec::is_empty);
    let kept = metadata
        .packages
        .iter()
        .filter(|package| is_kept(&package.publish));
    let excluded = kept.map(|package| format!("--exclude={}", package.name));
    let options = [
        "package",
        "--workspace",
        "--no-verify",
        "--allow-dirty",
        "--offline",
        "--locked",
        "--quiet",
    ];
    let arguments = options.into_iter().map(str::to_owned).chain(excluded);
    Program::new("cargo", arguments).run(root)
}
