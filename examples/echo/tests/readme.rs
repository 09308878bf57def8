//! The README, command by command.

use microraiden_tests::Tour;

const README: &str = include_str!("../README.md");
const SERVER: &str = env!("CARGO_BIN_EXE_echo-server");

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_works_as_it_is_written() {
    let mut tour = Tour::begin(README, SERVER).await;
    let (receiver, sender) = (tour.world.receiver.address(), tour.world.sender.address());
    let funds = tour.world.tokens(sender).await;
    let server = tour.start("127.0.0.1:5000").await;
    tour.run().await;
    tour.run().await;
    assert_eq!(tour.world.tokens(tour.world.contract.address()).await, 50.into());
    tour.run().await;
    assert_eq!(tour.world.tokens(receiver).await, 8.into());
    assert_eq!(tour.world.tokens(sender).await, funds.checked_sub(8u64).unwrap());
    server.stop().await;

    // "Two machines": the addresses of the other one are this one's.
    let server = tour.start("192.168.1.104:5000").await;
    let node = tour.actual("127.0.0.1:8545").to_owned();
    tour.name("192.168.1.104:8545", node);
    tour.run().await;
    assert_eq!(tour.world.tokens(tour.world.contract.address()).await, 50.into());
    server.stop().await;
    tour.end();
}
