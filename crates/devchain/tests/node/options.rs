//! How a node can be started.

use alloy_primitives::{Address, U256, address};
use alloy_provider::Provider;
use microraiden_devchain::{
    ACCOUNTS, Config, Cors, DERIVATION_PATH, DevAccount, DevChain, MNEMONIC, StartError,
};

use crate::client;

#[tokio::test]
async fn accounts_are_derived_as_everywhere() {
    let derived = DevAccount::derive(MNEMONIC, DERIVATION_PATH, 11).unwrap();
    assert_eq!(derived[..10], ACCOUNTS);
    assert_eq!(
        derived[10].address,
        address!("0xBcd4042DE499D14e55001CcbB24a551F3b954096")
    );
    assert!(DevAccount::derive("test test test", DERIVATION_PATH, 1).is_err());
    assert!(DevAccount::derive(MNEMONIC, "m/x/", 1).is_err());
    let node = DevChain::start(Config {
        accounts: derived[9..].to_vec(),
        account_balance_wei: U256::from(5),
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    let listed: Vec<Address> = client.get_accounts().await.unwrap();
    assert_eq!(listed, [derived[9].address, derived[10].address]);
    assert_eq!(client.get_balance(listed[1]).await.unwrap(), U256::from(5));
    assert_eq!(client.get_balance(ACCOUNTS[0].address).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn only_the_allowed_pages_may_read_the_answers() {
    let allowed = async |cors: Cors| {
        let node = DevChain::start(Config {
            cors,
            ..Config::default()
        })
        .await
        .unwrap();
        let request = "POST / HTTP/1.1\r\nhost: x\r\norigin: http://page.example\r\ncontent-type: application/json\r\n\
                       connection: close\r\ncontent-length: 2\r\n\r\n{}";
        let answer = crate::server::exchange(node.address(), request.to_owned())
            .await
            .to_lowercase();
        let header = "access-control-allow-origin: ";
        answer
            .lines()
            .find_map(|line| line.strip_prefix(header).map(str::to_owned))
    };
    assert_eq!(allowed(Cors::Any).await.as_deref(), Some("*"));
    let only = Cors::Only("http://page.example".to_owned());
    assert_eq!(allowed(only).await.as_deref(), Some("http://page.example"));
    assert_eq!(allowed(Cors::Off).await, None);
    let wrong = DevChain::start(Config {
        cors: Cors::Only("a\nb".to_owned()),
        ..Config::default()
    });
    assert!(matches!(wrong.await, Err(StartError::Origin { .. })));
}
