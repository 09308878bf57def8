//! A chain and a folder in which the program runs, and what its outcomes say.

use microraiden_chain::{Node, Wallet};
use microraiden_devchain::{Config, DevChain};
use microraiden_protocol::SecretKey;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A chain, and a folder with key files in which the program runs.
pub(crate) struct Place {
    pub(crate) chain: DevChain,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) async fn new(config: Config) -> Self {
        let chain = DevChain::start(config).await.unwrap();
        let (url, folder) = (chain.url(), tempfile::tempdir().unwrap());
        let place = Self { chain, url, folder };
        for (name, account) in [("owner.key", 0), ("receiver.key", 1)] {
            place.secret(name, &place.chain.accounts()[account].secret_key.to_string());
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs the program in the folder, to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    /// The same, with something on standard input. The folder for data is `data`.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microraiden"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("XDG_DATA_HOME", self.path("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            // It may end without reading.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output()
        });
        run.await.unwrap().unwrap()
    }

    /// Deploys as the owner.
    pub(crate) async fn deploy(&self, options: &[&str]) -> Output {
        let arguments = [
            "deploy",
            "--rpc-provider",
            &self.url,
            "--private-key",
            "owner.key",
        ];
        self.run(&[&arguments, options].concat()).await
    }

    pub(crate) async fn check(&self, address: &str) -> Output {
        self.run(&["deploy", "check", address, "--rpc-provider", &self.url])
            .await
    }

    pub(crate) async fn wallet(&self) -> Wallet {
        let key = SecretKey::from_bytes(self.chain.accounts()[0].secret_key.as_slice()).unwrap();
        Wallet::new(Node::connect(&self.url.parse().unwrap()).await.unwrap(), key)
    }

    /// Creates a contract from its init code.
    pub(crate) async fn create(&self, init_code: &str) -> String {
        let wallet = self.wallet().await;
        let data = init_code.parse().unwrap();
        let receipt = wallet.send(None, data, Default::default(), None).await.unwrap();
        receipt.contract_address.unwrap().to_string()
    }

    pub(crate) fn deployment(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("deployment.json")).unwrap()).unwrap()
    }
}

/// The JSON object of a run that succeeded.
pub(crate) fn succeeded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    json_of(output)
}

pub(crate) fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes sure that a run failed with this status, and said so.
pub(crate) fn failed(output: &Output, status: i32, words: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(words), "{said:?} should tell {words:?}");
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap()
}
