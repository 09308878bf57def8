//! Which licences we accept in what we depend on.

use spdx::{Expression, ParseMode};

use super::{Dependency, Origin};

/// Licences that allow use in a program under MIT or Apache-2.0, with attribution at most.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// A package that we accept whatever it states.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exception {
    origin: Origin,
    name: &'static str,
    /// What makes it acceptable.
    reason: &'static str,
}

/// The exceptions, each with its reason.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        origin: Origin::Npm,
        name: "memorystream",
        reason: "MIT, in the `licenses` field of an older manifest form; used by solc when contracts are compiled",
    },
    Exception {
        origin: Origin::Npm,
        name: "axe-core",
        reason: "MPL-2.0; the tests load it as it is into pages that they look at, and nothing of it is handed on",
    },
];

/// What has a licence that we do not accept, and which exceptions are no longer needed.
pub(super) fn check<'a>(
    dependencies: impl IntoIterator<Item = &'a Dependency>,
    exceptions: &[Exception],
) -> Vec<String> {
    let mut unused: Vec<&Exception> = exceptions.iter().collect();
    let mut findings = Vec::new();
    for dependency in dependencies {
        let Err(finding) = judge(dependency) else { continue };
        let excepts = |exception: &Exception| {
            exception.origin == dependency.origin && exception.name == dependency.name
        };
        unused.retain(|exception| !excepts(exception));
        if !exceptions.iter().any(excepts) {
            findings.push(finding);
        }
    }
    findings.extend(unused.iter().map(|exception| {
        format!(
            "the exception for {} ({}) is not needed any more",
            exception.name, exception.reason
        )
    }));
    findings
}

/// Whether the stated licence can be satisfied by allowed ones.
fn judge(dependency: &Dependency) -> Result<(), String> {
    let stated = &dependency.licence;
    if stated.is_empty() {
        return Err(format!("{dependency} states no licence"));
    }
    // Lax, since older crates write `MIT/Apache-2.0`.
    let expression = Expression::parse_mode(stated, ParseMode::LAX).map_err(|error| {
        format!(
            "{dependency} has an unreadable licence `{stated}`: {}",
            error.reason
        )
    })?;
    if expression.evaluate(|required| ALLOWED.contains(&required.to_string().as_str())) {
        Ok(())
    } else {
        Err(format!(
            "{dependency} is under {stated}, which is not allowed here"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, licence: &str) -> Dependency {
        Dependency {
            origin: Origin::Crate,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
        }
    }

    #[test]
    fn an_expression_needs_one_allowed_way() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(judge(&dependency("x", licence)), Ok(()), "{licence}");
        }
        for licence in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "MPL-2.0",
            "NONSENSE",
            "GPL-2.0-only WITH GCC-exception-2.0",
        ] {
            assert!(judge(&dependency("x", licence)).is_err(), "{licence}");
        }
    }

    #[test]
    fn an_exception_covers_its_package_and_must_be_needed() {
        let exception = Exception {
            origin: Origin::Crate,
            name: "odd",
            reason: "asked",
        };
        let bad = dependency("odd", "MPL-2.0");
        assert_eq!(check([&bad], &[exception]), Vec::<String>::new());
        assert_eq!(
            check([&bad], &[]),
            ["crate odd 1.0.0 is under MPL-2.0, which is not allowed here"]
        );
        let good = dependency("odd", "MIT");
        assert_eq!(
            check([&good], &[exception]),
            ["the exception for odd (asked) is not needed any more"]
        );
        let other = Dependency {
            origin: Origin::Npm,
            ..bad
        };
        assert_eq!(check([&other], &[exception]).len(), 2);
    }
}
