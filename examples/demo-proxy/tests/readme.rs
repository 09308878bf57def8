//! The README, command by command.

use microraiden_tests::Tour;

const README: &str = include_str!("../README.md");
const SERVER: &str = env!("CARGO_BIN_EXE_demo-proxy");

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_works_as_it_is_written() {
    let mut tour = Tour::begin(README, SERVER).await;
    let server = tour.start("127.0.0.1:5000").await;
    assert!(tour.run().await.contains("<a href=/teapot>"));

    let text = tour.run().await;
    assert!(text.contains(" ― a ") && !text.contains('<'), "{text}");
    let page = tour.run().await;
    assert!(page.contains("<footer>― a "), "{page}");
    tour.run().await;
    let picture = std::fs::read_to_string(tour.file("flower.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
    assert_eq!(picture.matches("<circle ").count(), 300);
    tour.run().await;

    // 1 + 1 + 2 + 3, from one channel.
    let stats = tour.run().await;
    assert!(stats.contains("7000000000000000000"), "{stats}");
    let channels = tour.run().await;
    assert!(channels.contains("7000000000000000000"), "{channels}");
    server.stop().await;
    tour.end();
}
