//! Only requests that are of one route, however their path is read.
//!
//! To a server that decodes `%2F`, takes `//` for `/`, or does not tell `A` from `a`, a path may be that
//! of another route than it is here, or of none. What it then serves was not paid for.

use super::Route;
use crate::target::readings;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The patterns of one host's routes, and the names of these.
#[derive(Debug, Clone)]
pub(super) struct Patterns(Arc<Table>);

#[derive(Debug)]
struct Table {
    names: matchit::Router<String>,
    /// Unless two patterns differ by it.
    ignores_case: bool,
}

impl Patterns {
    pub(super) fn new<'a>(routes: impl Iterator<Item = &'a Route> + Clone) -> Self {
        let table = |ignores_case| {
            let mut names = matchit::Router::new();
            for route in routes.clone() {
                names.insert(cased(&route.path, ignores_case), route.name.clone())?;
            }
            Ok::<_, matchit::InsertError>(Table { names, ignores_case })
        };
        // Patterns that cannot be used at all were refused before; here they would match nothing.
        let table = table(true).or_else(|_| table(false)).unwrap_or_else(|_| Table {
            names: matchit::Router::new(),
            ignores_case: false,
        });
        Self(Arc::new(table))
    }

    /// Lets through to a route what is of no other.
    pub(super) fn only<S>(&self, route: &Route, inner: S) -> OneReading<S> {
        OneReading {
            inner,
            patterns: self.clone(),
            route: Arc::new((route.name.clone(), route.path.clone())),
        }
    }

    fn all_lead_to(&self, name: &str, path: &str) -> bool {
        let leads = |reading: Vec<u8>| {
            let path = cased(&String::from_utf8_lossy(&reading), self.0.ignores_case);
            let found = self.0.names.at(&path);
            found.is_ok_and(|found| found.value == name)
        };
        readings(path).is_some_and(|readings| readings.into_iter().all(leads))
    }
}

fn cased(path: &str, ignores_case: bool) -> String {
    match ignores_case {
        true => path.to_ascii_lowercase(),
        false => path.to_owned(),
    }
}

/// Refuses requests whose path some server could read as that of another route.
#[derive(Debug, Clone)]
pub(super) struct OneReading<S> {
    inner: S,
    patterns: Patterns,
    /// Its name and pattern.
    route: Arc<(String, String)>,
}

impl<S: Service<Request<Body>, Response = Response<Body>>> Service<Request<Body>> for OneReading<S> {
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (path, (name, pattern)) = (request.uri().path(), &*self.route);
        // A path that is written out in the settings is meant as it stands.
        if path == pattern || self.patterns.all_lead_to(name, path) {
            return Either::Left(self.inner.call(request));
        }
        let text = "a server could read this path as that of another route; send it plain, without \
                    encoded slashes and in the letters of the route\n";
        Either::Right(ready(Ok((StatusCode::BAD_REQUEST, text).into_response())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use std::convert::Infallible;
    use tower::ServiceExt;

    fn routes(patterns: &[&str]) -> Vec<Route> {
        let upstream: url::Url = "http://127.0.0.1:1".parse().unwrap();
        let route = |pattern: &&str| Route::new(*pattern, 1, upstream.clone());
        patterns.iter().map(route).collect()
    }

    /// The name of the route that a path is sold by, if it is sold.
    async fn sold_by(routes: &[Route], path: &str) -> Option<String> {
        let patterns = Patterns::new(routes.iter());
        let router = routes.iter().fold(Router::new(), |router, route| {
            let name = route.name.clone();
            let named = tower::service_fn(move |_: Request<Body>| {
                let name = name.clone();
                async { Ok::<_, Infallible>(name.into_response()) }
            });
            router.route_service(&route.path, patterns.only(route, named))
        });
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let is_sold = answer.status() == StatusCode::OK;
        let name = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        is_sold.then(|| String::from_utf8(name.to_vec()).unwrap())
    }

    async fn sold(patterns: &[&str], path: &str) -> Option<String> {
        sold_by(&routes(patterns), path).await
    }

    #[tokio::test]
    async fn no_path_is_sold_by_a_route_that_another_server_would_not_see() {
        let patterns = ["/premium/{*rest}", "/about", "/docs/", "/item/{name}", "/{*rest}"];
        for (path, pattern) in [
            ("/premium/x", "/premium/{*rest}"),
            ("/premium/x%2Fy;z//", "/premium/{*rest}"),
            ("/about", "/about"),
            ("/docs/", "/docs/"),
            ("/item/this%20and%26that", "/item/{name}"),
            ("/other/x%2Fy", "/{*rest}"),
        ] {
            assert_eq!(sold(&patterns, path).await.as_deref(), Some(pattern), "{path}");
        }
        for path in [
            "/premium%2Fx",
            "/premium%252fx",
            "/premium%5cx",
            "/premium\\x",
            "/Premium/x",
            "/%50REMIUM/x",
            "/PREMIUM%2fx",
            "/premium%c0%afx",
            "/premium;a=b/x",
            "/premium%3bx/y",
            "/About",
            "/about;x",
            "/about/",
            "/about%3Fx",
            "/about%2f",
            "/%%36%31bout",
            "/item/a%2Fb",
            "/item%2Fa",
            "/docs/%2f",
        ] {
            assert_eq!(sold(&patterns, path).await, None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_single_route_is_not_left_either() {
        assert_eq!(sold(&["/{name}"], "/admin%2fsecret").await, None);
        assert_eq!(sold(&["/media/{*rest}"], "/media/%2f").await, None);
        for (pattern, path) in [
            ("/media/{*rest}", "/media/a%2fb/"),
            ("/Media/{*rest}", "/Media/A"),
        ] {
            assert_eq!(sold(&[pattern], path).await.as_deref(), Some(pattern), "{path}");
        }
    }

    #[tokio::test]
    async fn routes_of_one_name_are_one() {
        let mut routes = routes(&["/", "/{*rest}"]);
        assert_eq!(sold_by(&routes, "/;x").await, None);
        routes[1].name = "/".to_owned();
        assert_eq!(sold_by(&routes, "/;x").await.as_deref(), Some("/"));
    }

    #[tokio::test]
    async fn routes_that_differ_by_case_are_told_apart_by_it() {
        let patterns = ["/a/{*rest}", "/A/{*rest}", "/{*rest}"];
        for (path, pattern) in [("/a/x", 0), ("/A/x", 1), ("/b/X", 2)] {
            let found = sold(&patterns, path).await;
            assert_eq!(found.as_deref(), Some(patterns[pattern]), "{path}");
        }
        assert_eq!(sold(&patterns, "/A%2fx").await, None);
    }
}
