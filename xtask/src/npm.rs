//! npm's lock files: what is to be installed, and whether it is.

use std::path::Path;

use serde_json::{Map, Value};

use crate::failure::{Failure, read};

/// The packages that a lock file names, by their place; our own, at "", is left out.
pub(crate) fn locked(path: &Path) -> Result<Map<String, Value>, Failure> {
    let refused = |reason: String| Failure::Lockfile {
        path: path.to_owned(),
        reason,
    };
    let mut lock: Value = serde_json::from_str(&read(path)?).map_err(|error| refused(error.to_string()))?;
    let Value::Object(mut packages) = lock["packages"].take() else {
        return Err(refused("`packages` is missing".to_owned()));
    };
    packages.remove("");
    Ok(packages)
}

/// Whether what is installed below `root` is what the lock file asks for.
pub(crate) fn is_installed(root: &Path) -> Result<bool, Failure> {
    let wanted = locked(&root.join("package-lock.json"))?;
    let installed = root.join("node_modules/.package-lock.json");
    Ok(installed.exists() && satisfies(&locked(&installed)?, &wanted))
}

/// Whether the same versions stand at the same places; what is optional may be missing, since it
/// is for another platform.
fn satisfies(installed: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    let fits = |(place, package): (&String, &Value)| match installed.get(place) {
        Some(found) => found["version"] == package["version"],
        None => package["optional"] == true,
    };
    wanted.iter().all(fits) && installed.keys().all(|place| wanted.contains_key(place))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn packages(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn only_what_is_optional_may_be_missing() {
        let wanted = packages(json!({
            "node_modules/a": { "version": "1.0.0" },
            "node_modules/b": { "version": "2.0.0", "optional": true },
        }));
        let a = packages(json!({ "node_modules/a": { "version": "1.0.0" } }));
        assert!(satisfies(&wanted, &wanted));
        assert!(satisfies(&a, &wanted));
        assert!(!satisfies(&wanted, &a), "b is not wanted");
        assert!(!satisfies(&Map::new(), &wanted), "a is missing");
        let old = packages(json!({ "node_modules/a": { "version": "0.9.0" } }));
        assert!(!satisfies(&old, &wanted), "a is old");
    }
}
