//! What each part of the test command does.

use std::path::Path;

use super::{Part, Run};
use crate::failure::Failure;
use crate::program::Program;
use crate::{book, debian, dependencies, features, layering, npm, packages, python};

/// All parts, in order: cheap findings first.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "installing",
        budget: 3,
        steps: install,
    },
    Part {
        name: "builds and lints",
        budget: 17,
        steps: build,
    },
    Part {
        name: "contracts",
        budget: 4,
        steps: contracts,
    },
    Part {
        name: "Rust tests, REST, kills, simulation",
        budget: 10,
        steps: rust_tests,
    },
    Part {
        name: "browser",
        budget: 6,
        steps: browser,
    },
];

const NO_NODE: &str = "Node.js with npm is needed for the contracts and for the independent node of the tests: \
     install Node.js 20 or newer (on Debian: `apt-get install nodejs npm`)";
const NO_PROGRAM: &str = "curl, jq and ip are needed to do what the documentation says, Chromium to look at the paywall page, nginx and \
     HAProxy to stand before several receivers: install them (on Debian: `apt-get install curl jq iproute2 chromium nginx haproxy`)";
/// Programs of Debian, by the packages that hold them, and what they tell their version by. Chromium's package brings
/// the fonts that it draws with; servers are in nobody's path but root's.
const PROGRAMS: [[&str; 3]; 6] = [
    ["curl", "curl", "-V"],
    ["jq", "jq", "-V"],
    ["ip", "iproute2", "-V"],
    ["chromium", "chromium", "--version"],
    ["/usr/sbin/nginx", "nginx", "-v"],
    ["/usr/sbin/haproxy", "haproxy", "-v"],
];
const NO_POSTGRES: &str = "PostgreSQL is needed for the tests of the shared state: install it (on Debian: `apt-get install postgresql`)";
const NO_LINTS: &str = "rustfmt and clippy are needed: `rustup component add rustfmt clippy`";

fn install(run: &mut Run<'_>) -> Result<(), Failure> {
    let root = run.root;
    if !["node", "npm"]
        .into_iter()
        .all(|program| Program::new(program, ["--version"]).succeeds(root))
    {
        return Err(Failure::Missing(NO_NODE));
    }
    let has_lints = ["fmt", "clippy"]
        .into_iter()
        .all(|tool| cargo([tool, "--version"]).succeeds(root));
    let rustup = Program::new("rustup", ["component", "add", "rustfmt", "clippy"]);
    if !has_lints && run.run(&rustup).is_err() {
        return Err(Failure::Missing(NO_LINTS));
    }
    for [program, package, version] in PROGRAMS {
        let is_there = || Program::new(program, [version]).succeeds(root);
        // Programs are what the tests use: whether a package could start a server of its own does not matter.
        if !is_there() {
            debian::install(root, package);
        }
        if !is_there() {
            return Err(Failure::Missing(NO_PROGRAM));
        }
    }
    if !has_postgres() {
        debian::install(root, "postgresql");
    }
    if !has_postgres() {
        return Err(Failure::Missing(NO_POSTGRES));
    }
    if python::is_installed(root)? {
        println!("target/python is what tests/requirements.txt asks for");
    } else {
        for program in python::installation(root)? {
            run.run(&program)?;
        }
        python::finish(root)?;
    }
    if npm::is_installed(root)? {
        println!("node_modules is what package-lock.json asks for");
        return Ok(());
    }
    run.run(&Program::new("npm", ["ci", "--no-audit", "--no-fund"]))
}

/// Whether there is a version of PostgreSQL where Debian's packages put its programs, which is no place of the PATH.
fn has_postgres() -> bool {
    let versions = Path::new("/usr/lib/postgresql").read_dir();
    let mut programs = versions.into_iter().flatten().flatten();
    programs.any(|version| version.path().join("bin/initdb").is_file())
}

/// Everything is compiled here once, so that the later parts only run.
fn build(run: &mut Run<'_>) -> Result<(), Failure> {
    let root = run.root;
    run.run(&cargo(["fmt", "--all", "--check"]))?;
    run.step("layering".to_owned(), || layering::run(root, false))?;
    run.step("dependencies".to_owned(), || dependencies::run(root, false))?;
    run.step("features".to_owned(), || features::run(root))?;
    run.run(&workspace("clippy", ["--all-targets", "--", "-D", "warnings"]))?;
    run.run(&workspace("doc", ["--no-deps"]).with("RUSTDOCFLAGS", "-D warnings"))?;
    run.step("book".to_owned(), || book::run(root))?;
    run.run(&Program::new(
        "env",
        ["target/python/bin/python", "tests/packaging.py"],
    ))?;
    run.run(&workspace("build", ["--all-targets"]))?;
    run.step("packages".to_owned(), || packages::run(root))?;
    for [features, test] in [SCHEDULES, PLANTED] {
        run.run(&workspace("clippy", [features, test, "--", "-D", "warnings"]))?;
        run.run(&workspace("test", [features, test, "--no-run"]))?;
    }
    Ok(())
}

fn contracts(run: &mut Run<'_>) -> Result<(), Failure> {
    run.run(&Program::new("node", ["contracts/compile.mjs", "--check"]))?;
    run.run(&Program::new("node", ["contracts/reference.mjs", "--check"]))?;
    let files = node_tests(run.root, "contracts/test")?;
    run.tests(&node_test(files))?;
    run.tests(&Program::new("node", ["contracts/forge.mjs", "test"]))?;
    if run.full {
        run.tests(&node_test(vec!["contracts/mutants.test.mjs".to_owned()]))?;
    }
    Ok(())
}

fn rust_tests(run: &mut Run<'_>) -> Result<(), Failure> {
    let options: &[&str] = if run.full {
        &["--", "--include-ignored"]
    } else {
        &[]
    };
    run.tests(&workspace("test", options.iter().copied()))?;
    run.tests(&workspace("test", SCHEDULES))?;
    run.tests(&workspace("test", PLANTED))?;
    if run.full {
        let on_anvil = workspace("test", ["--test=wire", "--test=closing"]);
        run.tests(&on_anvil.with("MICRORAIDEN_TEST_NODE", "anvil"))?;
    }
    run.run(&Program::new(
        "env",
        ["target/python/bin/python", "tests/balancers.py"],
    ))
}

/// The library for browsers against a real node, and the page in a real browser; after the builds, since the tests start
/// the program.
fn browser(run: &mut Run<'_>) -> Result<(), Failure> {
    run.run(&Program::new("node", ["web/build.mjs", "--check"]))?;
    for folder in ["web/client/test", "web/e2e"] {
        let files = node_tests(run.root, folder)?;
        run.tests(&node_test(
            BROWSER_LIMITS.map(str::to_owned).into_iter().chain(files),
        ))?;
    }
    Ok(())
}

/// Each file of tests has processes of its own beside it, and one that hangs is ended after so many milliseconds.
const BROWSER_LIMITS: [&str; 2] = ["--test-concurrency=2", "--test-timeout=480000"];

fn cargo<const N: usize>(arguments: [&str; N]) -> Program {
    Program::new("cargo", arguments)
}

/// What the facade re-exports only when asked to; everything else has one set of features.
const FACADE: &str = "--features=microraiden/sender,microraiden/paywall";

/// The one test for which the channel manager is built a second time, with locks whose schedules can
/// be explored. For the whole workspace, so that other crates keep their features and are not built
/// again.
const SCHEDULES: [&str; 2] = ["--features=microraiden-manager/shuttle", "--test=schedules"];

/// The test for which it is built a third time, with mistakes that the simulation must find.
const PLANTED: [&str; 2] = ["--features=microraiden-manager/planted", "--test=planted"];

/// A cargo command on all our crates, in the one profile.
fn workspace<'a>(command: &'a str, options: impl IntoIterator<Item = &'a str>) -> Program {
    let arguments = [command, "--release", "--workspace", "--locked", FACADE];
    Program::new("cargo", arguments.into_iter().chain(options))
}

/// The test runner of Node.js on these files, before which options may stand.
fn node_test(files: impl IntoIterator<Item = String>) -> Program {
    let options = ["--test", "--test-reporter=spec"].map(str::to_owned);
    Program::new("node", options.into_iter().chain(files))
}

/// The files of tests in a folder, of which there must be some.
///
/// They are named one by one, since versions of Node.js differ in how they read a folder or a
/// pattern, and search everywhere when nothing is named.
fn node_tests(root: &Path, folder: &str) -> Result<Vec<String>, Failure> {
    let failed = |source| Failure::File {
        path: folder.into(),
        source,
    };
    let mut files = Vec::new();
    for entry in root.join(folder).read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            files.push(format!("{folder}/{name}"));
        }
    }
    if files.is_empty() {
        return Err(Failure::NoTests {
            program: format!("node --test {folder}"),
        });
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_for_the_whole_workspace_in_one_profile() {
        assert_eq!(
            workspace("test", ["--", "--include-ignored"]).to_string(),
            format!("cargo test --release --workspace --locked {FACADE} -- --include-ignored")
        );
    }

    #[test]
    fn a_folder_without_tests_is_a_failure() {
        let files = node_tests(&crate::root(), "contracts/test").expect("the contracts have tests");
        assert!(files.iter().all(|file| file.starts_with("contracts/test/")));
        assert!(matches!(
            node_tests(&crate::root(), "contracts/src"),
            Err(Failure::NoTests { .. })
        ));
        assert!(matches!(
            node_tests(&crate::root(), "contracts/none"),
            Err(Failure::File { .. })
        ));
    }
}
