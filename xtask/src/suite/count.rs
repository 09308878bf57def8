//! Counting tests in what their runners print.

/// How many tests passed, if the line is a runner's summary.
///
/// Cargo prints `test result: ok. 12 passed; 0 failed; …` for each file of tests, Node.js
/// `# pass 12` or `ℹ pass 12` at its end, forge `Suite result: ok. 12 passed; 0 failed; …` for each
/// contract of tests.
pub(super) fn passed(line: &str) -> Option<u64> {
    let cargo_or_forge = line
        .strip_prefix("test result: ok. ")
        .or_else(|| line.strip_prefix("Suite result: ok. "))
        .and_then(|rest| rest.split_once(" passed;")?.0.parse().ok());
    let node = || {
        line.strip_prefix("# pass ")
            .or_else(|| line.strip_prefix("ℹ pass "))?
            .parse()
            .ok()
    };
    cargo_or_forge.or_else(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_count_and_other_lines_do_not() {
        assert_eq!(
            passed("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured"),
            Some(12)
        );
        assert_eq!(
            passed("Suite result: ok. 9 passed; 0 failed; 0 skipped; finished in 24.65ms"),
            Some(9)
        );
        assert_eq!(passed("# pass 7"), Some(7));
        assert_eq!(passed("ℹ pass 7"), Some(7));
        for line in [
            "test a::b ... ok",
            "12 passed;",
            "# tests 7",
            "# pass ",
            "test result: FAILED. 3 passed; 1 failed",
            "Suite result: FAILED. 3 passed; 1 failed; 0 skipped",
            "Ran 1 test suite in 24.65ms: 9 tests passed, 0 failed, 0 skipped (9 total tests)",
        ] {
            assert_eq!(passed(line), None, "{line}");
        }
    }
}
