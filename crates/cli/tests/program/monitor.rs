//! What `proxy` shows to operators, and its log for programs.

use crate::place::{Place, failed, said};
use crate::process::Program;
use microraiden_devchain::Config;
use serde_json::Value;
use std::cell::{Cell, RefCell};

#[tokio::test(flavor = "multi_thread")]
async fn operators_find_the_metrics_and_a_log_that_programs_read() {
    let place = Place::new(Config::default()).await;
    let deployed = place.deploy(&[]).await;
    assert!(deployed.status.success(), "{}", said(&deployed));
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (key, state, deployment) = (path("receiver.key"), path("receiver.db"), path("deployment.json"));
    let proxy = [
        "proxy",
        "--rpc-provider",
        &place.url,
        "--private-key",
        &key,
        "--deployment-file",
        &deployment,
        "--upstream",
        "http://127.0.0.1:1",
        "--price",
        "5",
        "--state-file",
        &state,
        "--port",
        "0",
    ];
    let nowhere = place
        .run(&[&proxy[..], &["--metrics-address", "here"]].concat())
        .await;
    failed(&nowhere, 2, "--metrics-address");

    let mut with_password = proxy;
    with_password[8] = "http://ann:secret@127.0.0.1:1";
    let refused = place.run(&with_password).await;
    failed(&refused, 2, "--upstream");
    assert!(!said(&refused).contains("secret"), "{}", said(&refused));

    let options = ["--metrics-address", "0", "--log-format", "json"];
    let mut program = Program::start(&[&proxy[..], &options].concat());
    // Both outputs come in no fixed order; the URLs come in theirs.
    let (urls, messages, started) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(false));
    program.wait_for("two URLs and its first messages", |line| {
        if line.starts_with("http://") {
            urls.borrow_mut().push(line.to_owned());
        } else {
            let entry: Value = serde_json::from_str(line).expect("a line of the log is JSON");
            for field in ["timestamp", "level", "message"] {
                assert!(entry[field].is_string(), "{entry}");
            }
            messages.set(messages.get() + 1);
            started.set(started.get() || entry["message"] == "starting" && entry["receiver"].is_string());
        }
        (urls.borrow().len() == 2 && started.get() && messages.get() > 2).then_some(())
    });
    let [public, metrics] = <[String; 2]>::try_from(urls.into_inner()).unwrap();
    let base = metrics.strip_suffix("/metrics").unwrap();
    assert_ne!(public, base);
    assert!(base.starts_with("http://127.0.0.1:"), "{base}");
    let health = reqwest::get(format!("{base}/health")).await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
    assert!(text.contains("\nmicroraiden_selling "), "{text}");
    // Also when it has not finished starting.
    assert!(program.signal("TERM"));
}
