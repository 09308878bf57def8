//! The README, command by command.

use microraiden_tests::Tour;

const README: &str = include_str!("../README.md");
const SERVER: &str = env!("CARGO_BIN_EXE_streaming-server");

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_works_as_it_is_written() {
    let mut tour = Tour::begin(README, SERVER).await;
    let server = tour.start("127.0.0.1:5000").await;
    tour.run().await;

    let left = tour.run().await;
    assert!(left.contains("\nA snail set out to \n5 words"), "{left}");
    let paid = tour.world.tokens(tour.world.receiver.address()).await;
    // The end of the connection is noticed when the next word is sent, or some words later on a busy machine; far from the
    // end of the story, which would cost 240 once more.
    assert!(paid >= 290.into() && paid < 400.into(), "{paid}");
    assert_eq!(tour.world.tokens(tour.world.contract.address()).await, 0.into());
    server.stop().await;
    tour.end();
}
