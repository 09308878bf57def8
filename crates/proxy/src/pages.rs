//! Pages for browsers: the index, and what a 402 shows.

use crate::folder::{Folder, FolderError};
use axum::body::Body;
use http::{Request, Response, StatusCode};
use microraiden_paywall::Template;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::Service;

/// Where the files of a paywall's page are.
pub const PAGE_FILES: &str = "/js/{*rest}";

/// Why there are no such pages.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The page of the 402 is missing.
    #[error("{0}, which is shown with a 402, cannot be read; it must be a page in UTF-8")]
    NoPage(PathBuf, #[source] io::Error),
    /// The index is no file.
    #[error("the index {0} is a folder; name a file")]
    IndexFolder(PathBuf),
    /// Something cannot be served.
    #[error(transparent)]
    Files(#[from] FolderError),
}

/// The page that is served for free at `/`.
///
/// # Errors
/// When it is not a file that can be read.
pub fn index(file: impl Into<PathBuf>) -> Result<Folder, PageError> {
    Folder::open(file, "/").map_err(|error| match error {
        FolderError::NoRest { folder, .. } => PageError::IndexFolder(folder),
        error => error.into(),
    })
}

/// What a browser gets with a 402, from a folder: `index.html` is the page, and all files are free at
/// [`PAGE_FILES`], for the page to use.
///
/// The page is read here once. A script below it finds what the 402 says in cookies named as its headers.
#[derive(Debug, Clone)]
pub struct PaywallPages {
    page: Template,
    files: PageFiles,
}

impl PaywallPages {
    /// Reads the page of a folder.
    ///
    /// # Errors
    /// When there is no `index.html` in it, or its files cannot be served.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, PageError> {
        let folder = folder.as_ref();
        let index = folder.join("index.html");
        let html = std::fs::read_to_string(&index).map_err(|error| PageError::NoPage(index, error))?;
        let open = |folder| Folder::open(folder, PAGE_FILES);
        let scripts = Some(folder.join("js")).filter(|scripts| scripts.is_dir());
        Ok(Self {
            page: Template::new(html),
            files: PageFiles {
                own: open(folder.to_owned())?,
                scripts: scripts.map(open).transpose()?,
            },
        })
    }

    /// The page, for [`Paywall::with_page`](microraiden_paywall::Paywall::with_page).
    pub fn page(&self) -> Template {
        self.page.clone()
    }

    /// The files, for the route [`PAGE_FILES`].
    pub fn files(&self) -> PageFiles {
        self.files.clone()
    }
}

/// The files that a paywall's page uses: those of its folder, and then those of the folder `js` in it,
/// where the original kept its scripts.
#[derive(Debug, Clone)]
pub struct PageFiles {
    own: Folder,
    scripts: Option<Folder>,
}

impl PageFiles {
    async fn answer(mut self, request: Request<Body>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let again = Request::from_parts(parts.clone(), Body::empty());
        let Ok(answer) = self.own.call(Request::from_parts(parts, Body::empty())).await;
        match &mut self.scripts {
            Some(scripts) if answer.status() == StatusCode::NOT_FOUND => {
                let Ok(answer) = scripts.call(again).await;
                answer
            }
            _ => answer,
        }
    }
}

impl Service<Request<Body>> for PageFiles {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let files = self.clone();
        Box::pin(async move { Ok(files.answer(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use std::fs;
    use tower::ServiceExt;

    async fn get<S>(service: S, path: &str) -> (StatusCode, String)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = service.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_pages_files_are_where_the_original_had_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::write(folder.join("index.html"), "<p>{price}").unwrap();
        fs::write(folder.join("style.css"), "css").unwrap();
        let pages = PaywallPages::open(folder).unwrap();
        let missing = (StatusCode::NOT_FOUND, String::new());
        assert_eq!(get(pages.files(), "/js/style.css").await.1, "css");
        assert_eq!(get(pages.files(), "/js/main.js").await, missing);

        fs::create_dir(folder.join("js")).unwrap();
        fs::write(folder.join("js/main.js"), "main").unwrap();
        fs::write(folder.join("js/.key"), "secret").unwrap();
        let pages = PaywallPages::open(folder).unwrap();
        for path in ["/js/main.js", "/js/js/main.js"] {
            assert_eq!(get(pages.files(), path).await.1, "main", "{path}");
        }
        for path in ["/js/.key", "/js/../secret", "/js/none"] {
            assert_eq!(get(pages.files(), path).await, missing, "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_at_the_start() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        assert!(matches!(PaywallPages::open(folder), Err(PageError::NoPage(..))));
        fs::write(folder.join("index.html"), b"\xff").unwrap();
        assert!(matches!(PaywallPages::open(folder), Err(PageError::NoPage(..))));
        let index_file = folder.join("home.html");
        assert!(matches!(index(&index_file), Err(PageError::Files(_))));
        assert!(matches!(index(folder), Err(PageError::IndexFolder(_))));
        fs::write(&index_file, "home").unwrap();
        assert_eq!(get(index(&index_file).unwrap(), "/").await.1, "home");
    }
}
