//! The server whose content the demo sells: free, and known to nobody but the proxy.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use microraiden_http::prefers_html;
use tokio::net::TcpListener;

/// Serves on `listener` until the process ends; what is for sale, with its prices, is listed at `/`.
pub(crate) async fn serve(listener: TcpListener, list: Vec<Item>) -> std::io::Result<()> {
    let index = index(&list);
    let router = Router::new()
        .route("/", get(async || Html(index)))
        .route(
            "/echofix/{param}",
            get(|Path(param): Path<String>| async move { Html(escape(&param)) }),
        )
        .route("/fortune", get(fortune))
        .route("/story/{page}", get(story))
        .route(
            "/teapot",
            get(|| async { (StatusCode::IM_A_TEAPOT, "I am a teapot; you paid to know.\n") }),
        );
    axum::serve(listener, router).await
}

/// Something for sale.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) path: &'static str,
    /// With the token's symbol.
    pub(crate) price: String,
}

const FORTUNE: &str = "Small debts, settled often, make long friendships.\n";

/// The saying as a page for browsers, and as plain text for everybody else.
async fn fortune(headers: HeaderMap) -> Response {
    let vary = [(header::VARY, "Accept")];
    match prefers_html(&headers) {
        true => {
            let saying = format!("<blockquote>{}</blockquote>", FORTUNE.trim_end());
            let body = format!("{saying}\n<nav><a href=\"/\">What else is there</a></nav>");
            (vary, page("A fortune", &body)).into_response()
        }
        false => (vary, FORTUNE).into_response(),
    }
}

fn index(list: &[Item]) -> String {
    let rows = list.iter().map(|Item { path, price }| {
        let (path, price) = (escape(path), escape(price));
        format!("<li><a href=\"{path}\">{path}</a> <small>{price}</small></li>\n")
    });
    let body = format!(
        "<p>This page is free. Each of these costs a little, which is paid from a channel that is opened once:</p>\n\
         <ul>\n{}</ul>",
        rows.collect::<String>()
    );
    page("Small things for small change", &body).0
}

/// A page of a story; each is paid for itself.
async fn story(Path(number): Path<String>) -> Response {
    let found = STORY.iter().zip(1..).find(|(_, of)| number == format!("{of}"));
    let Some(((title, text), number)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let paragraphs: String = text.iter().map(|text| format!("<p>{text}</p>\n")).collect();
    let mut links = Vec::new();
    if number > 1 {
        links.push(format!("<a href=\"{}\" rel=\"prev\">Back</a>", number - 1));
    }
    links.push("<a href=\"../\">What else is there</a>".to_owned());
    if number < STORY.len() {
        links.push(format!(
            "<a href=\"{}\" rel=\"next\">Turn the page</a>",
            number + 1
        ));
    }
    let body = format!("{paragraphs}<nav>{}</nav>", links.join(" "));
    page(title, &body).into_response()
}

/// Titles and paragraphs.
const STORY: [(&str, [&str; 2]); 3] = [
    (
        "The first bridge",
        [
            "In a valley with three bridges lived a keeper who asked for a grain of rice from everybody who crossed. \
             Nobody minded the grain. What people minded was the scale: it stood in the town, half a day away, and each \
             grain had to be weighed there before the gate was opened.",
            "So most of them stayed on their side, and the keeper had a fine bridge with grass growing on it.",
        ],
    ),
    (
        "The second bridge",
        [
            "A baker came who had to cross every morning. She set a closed bowl of rice on the wall between them and said: \
             I shall not carry my grains to town. I shall write on a slate how many of these are yours, and sign it, and \
             each morning the number will be one higher.",
            "The keeper looked at the slate, which took no longer than looking at the sky, and lifted the bar.",
        ],
    ),
    (
        "The third bridge",
        [
            "At the end of the year they went to town together, once, and laid bowl and slate before the scale. The last \
             number counted, and no other. What was the keeper's went to the keeper, and the rest home with the baker.",
            "By then there was no grass on any of the bridges, and the scale had a quiet year. It is said that it did not \
             complain.",
        ],
    ),
];

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n\
         <style>\n\
         :root {{ color-scheme: light dark; }}\n\
         body {{ font: 1.1rem/1.6 Georgia, serif; max-width: 36rem; margin: 10vh auto; padding: 0 1rem; }}\n\
         nav {{ display: flex; justify-content: space-between; gap: 1rem; margin-top: 2rem; }}\n\
         small {{ opacity: .7; }}\n\
         </style>\n\
         </head>\n\
         <body>\n\
         <main>\n\
         <h1>{title}</h1>\n\
         {body}\n\
         </main>\n\
         </body>\n\
         </html>\n"
    ))
}

/// What was sent, as text of a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
