//! Answers without an end: the upstream breaks off, or the client leaves.

use crate::shop::{MOST, STATED, Shop, body, header};
use crate::upstream::Server;
use http::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_says_nothing_of_its_cost() {
    let server = Server::start().await;
    let mut shop = Shop::metered(server.url.clone(), vec![body("/usage/total_tokens")]).await;
    let mut earned = 0;
    for (rule, cost) in [("most", MOST), ("free", 0), ("cost", STATED)] {
        for case in ["cut", "cut-json"] {
            let bought = shop.buy(&format!("/{rule}/{case}")).await;
            assert_eq!(bought.status, StatusCode::OK);
            assert_eq!(bought.body, None, "it is seen to be cut off");
            assert_eq!(bought.cost, cost, "{rule}/{case}");
            earned += cost;
        }
    }
    shop.close(earned).await;
}

/// What the stream says, before it says that it is done.
const USED: u64 = 36;

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_pays_by_the_rule_unless_the_stream_has_said_that_it_is_done() {
    let server = Server::start().await;
    let mut shop = Shop::metered(server.url.clone(), vec![body("/usage/total_tokens")]).await;
    let mut earned = 0;
    for (rule, cost) in [("most", MOST), ("free", 0), ("cost", STATED)] {
        for (case, text, cost) in [("endless", "word 3", cost), ("done", "[DONE]", USED)] {
            let paid = shop.leave(&format!("/{rule}/{case}"), text).await;
            assert_eq!(paid, cost, "{rule} after {text}");
            earned += cost;
        }
    }
    shop.close(earned).await;

    // Though the head has said it, the rest was not taken.
    let mut shop = Shop::metered(server.url.clone(), vec![header("x-tokens")]).await;
    assert_eq!(shop.leave("/most/endless", "word 3").await, MOST);
    shop.close(MOST).await;
}
