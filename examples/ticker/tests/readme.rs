//! The README, command by command.

use microraiden_tests::Tour;

const README: &str = include_str!("../README.md");
const SERVER: &str = env!("CARGO_BIN_EXE_ticker-server");

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_works_as_it_is_written() {
    let mut tour = Tour::begin(README, SERVER).await;
    let server = tour.start("127.0.0.1:5000").await;
    tour.run().await;
    assert_eq!(
        tour.world.tokens(tour.world.receiver.address()).await,
        2500.into()
    );
    tour.run().await;
    server.stop().await;
    tour.end();
}
