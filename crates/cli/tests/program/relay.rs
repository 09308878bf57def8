//! A node that tells some answers in its own way, and passes the others on.

use axum::Router;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

/// Starts such a node in front of another, until the test is over; its address. `bend` may change the
/// answer to a request.
pub(crate) async fn relay(node: String, bend: fn(&Value, &mut Value)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async move |body: String| {
        let request: Value = serde_json::from_str(&body).unwrap();
        let response = reqwest::Client::new()
            .post(&node)
            .header("content-type", "application/json")
            .body(body)
            .send();
        let text = response.await.unwrap().text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        bend(&request, &mut answer);
        answer.to_string()
    };
    let router = Router::new().route("/", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
