//! The REST interface is what its OpenAPI document says: schemathesis asks the running proxy for
//! what the document allows and for what it does not, and checks every answer.

use crate::shop::Shop;
use http::{HeaderMap, StatusCode};
use microraiden_proxy::rest::{Operators, hash_password};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// How many requests of a kind are made up per operation.
const EXAMPLES: &str = "25";

/// Where `cargo xtask test` installs it.
fn schemathesis() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = root.join("target/python/bin/schemathesis");
    assert!(
        program.exists(),
        "no schemathesis at {}; `cargo xtask test` installs it",
        program.display()
    );
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_answers_as_its_document_says() {
    let (name, password) = ("ann", "of the tests alone");
    let hash = hash_password(password).unwrap();
    let shop = Shop::open_with(|config| {
        config.site.rest.operators = Operators::default().with(name, &hash).unwrap();
    })
    .await;
    for balance in [5, 10] {
        let paid = shop.get("/echo/x", shop.pays(balance, 5)).await;
        assert_eq!(paid.status(), StatusCode::OK);
    }
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let folder = tempfile::tempdir().unwrap();
    // From a file, since an operation that gives the document would be left out otherwise.
    let document = shop.get("/api/1/openapi.json", HeaderMap::new()).await;
    std::fs::write(
        folder.path().join("openapi.json"),
        document.bytes().await.unwrap(),
    )
    .unwrap();
    let run = Command::new(schemathesis())
        .arg("--config-file")
        .arg(settings)
        .args(["run", "openapi.json", "--url", shop.receiver.url("/").as_str()])
        .args(["--auth", &format!("{name}:{password}")])
        .args(["--checks", "all", "--max-examples", EXAMPLES])
        .args(["--seed", "1", "--generation-database", "none", "--no-color"])
        // It writes beside where it stands.
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{said}\n{complained}");
    assert!(
        said.contains("Tested: 15\n"),
        "some operations were left out: {said}"
    );
    shop.receiver.stop().await;
}
