//! The server whose content the demo sells: free, and known to nobody but the proxy.

use axum::Router;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::get;
use http::StatusCode;
use tokio::net::TcpListener;

/// Serves on `listener` until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let router = Router::new()
        .route(
            "/echofix/{param}",
            get(|Path(param): Path<String>| async move { Html(escape(&param)) }),
        )
        .route("/fortune", get(|| async { FORTUNE }))
        .route(
            "/teapot",
            get(|| async { (StatusCode::IM_A_TEAPOT, "I am a teapot; you paid to know.\n") }),
        );
    axum::serve(listener, router).await
}

const FORTUNE: &str = "Small debts, settled often, make long friendships.\n";

/// What was sent, as text of a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
