//! Static files: a route whose resource is a folder, or a single file.

use axum::body::Body;
use http::header::{CONTENT_TYPE, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::Service;
use tower_http::services::ServeFile;
use tower_http::services::fs::{Backend, DefaultServeDirFallback, ServeDir, TokioBackend, TokioFile};

/// Serves the files of a folder, or one file, to `GET` and `HEAD`.
///
/// Below the pattern `/media/{*rest}` the file is `folder/rest`, and that of a folder its
/// `index.html`; folders are not listed. Whatever is not a plain file of the folder is a 404: names that
/// begin with a dot, symbolic links that leave the folder, pipes and devices. A path is read in one way
/// only, so that a file cannot be had by the name, and for the price, of another.
///
/// Behind a price, put [`is_free`] into the layer's `free_when`: only content costs.
#[derive(Debug, Clone)]
pub struct Folder {
    files: Files,
    /// How many slashes stand before the file's name.
    depth: usize,
}

#[derive(Debug, Clone)]
enum Files {
    Folder(ServeDir<DefaultServeDirFallback, Confined>),
    One(ServeFile),
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, or cannot be read.
    #[error("{0} cannot be served")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is neither of both.
    #[error("{0} is neither a folder nor a file")]
    OtherKind(PathBuf),
    /// Its files would have no names.
    #[error("{folder} is a folder, so its route's pattern must end with {{*rest}}, unlike {pattern:?}")]
    NoRest {
        /// The folder.
        folder: PathBuf,
        /// The pattern of the route.
        pattern: String,
    },
}

/// Whether an answer with files costs nothing: all but content, such as 404, 304 and redirections.
pub fn is_free(status: StatusCode) -> bool {
    !status.is_success()
}

impl Folder {
    /// Serves what is at `path`, for a route with this pattern.
    ///
    /// # Errors
    /// When it is not there, or is a folder and the pattern has no wildcard at its end.
    pub fn open(path: impl Into<PathBuf>, pattern: &str) -> Result<Self, FolderError> {
        let path: PathBuf = path.into();
        let unreadable = |error| FolderError::Unreadable(path.clone(), error);
        // A change of the working folder must not lead elsewhere.
        let path = std::path::absolute(&path).map_err(unreadable)?;
        let unreadable = |error| FolderError::Unreadable(path.clone(), error);
        let kind = std::fs::metadata(&path).map_err(unreadable)?;
        let (prefix, rest) = pattern.rsplit_once('/').unwrap_or_default();
        let files = if kind.is_dir() {
            if !(rest.starts_with("{*") && rest.ends_with('}')) {
                let (folder, pattern) = (path, pattern.to_owned());
                return Err(FolderError::NoRest { folder, pattern });
            }
            std::fs::read_dir(&path).map_err(unreadable)?;
            let confined = Confined { root: path.clone() };
            Files::Folder(ServeDir::with_backend(path, confined))
        } else if kind.is_file() {
            std::fs::File::open(&path).map_err(unreadable)?;
            Files::One(ServeFile::new(path))
        } else {
            return Err(FolderError::OtherKind(path));
        };
        Ok(Self {
            files,
            depth: prefix.matches('/').count(),
        })
    }

    async fn answer(mut self, mut request: Request<Body>) -> Response<Body> {
        let asked = request.uri().clone();
        let served = match &mut self.files {
            Files::One(file) => file.call(request).await.map(|answer| answer.map(Body::new)),
            Files::Folder(folder) => {
                let Some(name) = file_name(asked.path(), self.depth) else {
                    return not_found();
                };
                *request.uri_mut() = name;
                folder.call(request).await.map(|answer| answer.map(Body::new))
            }
        };
        let Ok(mut answer) = served;
        if answer.headers().contains_key(LOCATION) {
            // To the folder itself, whose name here is another than there.
            match with_slash(&asked) {
                Some(location) => answer.headers_mut().insert(LOCATION, location),
                None => return not_found(),
            };
        }
        name_charset(&mut answer);
        answer
    }
}

impl Service<Request<Body>> for Folder {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let folder = self.clone();
        Box::pin(async move { Ok(folder.answer(request).await) })
    }
}

/// The file's name behind so many slashes, as a target of its own; `None` for a name that no file has
/// here, or that could be read in two ways.
fn file_name(path: &str, depth: usize) -> Option<Uri> {
    let mut rest = path.strip_prefix('/')?;
    for _ in 0..depth {
        rest = rest.split_once('/')?.1;
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let last = segments.peek().is_none();
        // Nothing behind the last slash means the folder.
        let named = last || !name.is_empty();
        if !named || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return None;
        }
    }
    let name = PathAndQuery::try_from(format!("/{rest}")).ok()?;
    Some(Uri::from(name))
}

/// The same target with a slash at the path's end.
fn with_slash(target: &Uri) -> Option<HeaderValue> {
    let query = target
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    HeaderValue::try_from(format!("{}/{query}", target.path())).ok()
}

fn not_found() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// Says that text is UTF-8, which the file's name alone does not tell.
fn name_charset(answer: &mut Response<Body>) {
    let headers = answer.headers_mut();
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return;
    };
    if kind.starts_with("text/")
        && !kind.contains(';')
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(CONTENT_TYPE, kind);
    }
}

/// The plain files of a folder, also by links, as long as these stay in it.
#[derive(Debug, Clone)]
struct Confined {
    root: PathBuf,
}

impl Confined {
    /// Where a path leads in the end, if that is in the folder, a folder or a plain file, and not
    /// hidden.
    ///
    /// The folder itself may be a link that is changed to another one while it is served. Who can
    /// write in the folder while a file is opened is trusted.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let root = self.root.canonicalize().map_err(not_there)?;
        let path = path.canonicalize().map_err(not_there)?;
        let inside = path.strip_prefix(root).map_err(|_| absent())?;
        let hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
        let kind = path.metadata().map_err(not_there)?;
        // A pipe would be waited for.
        if inside.components().any(hidden) || !(kind.is_dir() || kind.is_file()) {
            return Err(absent());
        }
        Ok(path)
    }

    async fn resolved(self, path: PathBuf) -> io::Result<PathBuf> {
        tokio::task::spawn_blocking(move || self.resolve(&path))
            .await
            .map_err(io::Error::other)?
    }
}

fn absent() -> io::Error {
    ErrorKind::NotFound.into()
}

/// Names that no file can have are those of files that are not there.
fn not_there(error: io::Error) -> io::Error {
    let endless = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    match error.kind() {
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput | ErrorKind::NotADirectory => absent(),
        _ if endless => absent(),
        _ => error,
    }
}

type Opening<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Backend for Confined {
    type File = TokioFile;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Opening<TokioFile>;
    type MetadataFuture = Opening<std::fs::Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let resolved = self.clone().resolved(path);
        Box::pin(async move { TokioBackend.open(resolved.await?).await })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let resolved = self.clone().resolved(path);
        Box::pin(async move { TokioBackend.metadata(resolved.await?).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
    use http::{HeaderName, Method};
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;
    use tower::ServiceExt;

    const PATTERN: &str = "/media/{*rest}";

    /// A folder with all sorts of files, beside one with a secret.
    fn files() -> TempDir {
        let files = tempfile::tempdir().unwrap();
        let root = files.path().join(".site");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("index.html", "<p>root");
        write("a.txt", "0123456789");
        write("data.json", "{}");
        write("raw", "raw");
        write("sub/index.html", "<p>sub");
        write("sub/a b.txt", "space");
        write("sub/ü.txt", "umlaut");
        write("bare/x", "x");
        write(".env", "secret");
        write(".git/config", "secret");
        write("sub/.hidden", "secret");
        fs::write(files.path().join("secret"), "secret").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(files.path(), root.join("up")).unwrap();
        symlink(".env", root.join("env")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("sub", root.join("within")).unwrap();
        let pipe = root.join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(pipe)
                .status()
                .unwrap()
                .success()
        );
        files
    }

    fn folder(files: &TempDir) -> Folder {
        Folder::open(files.path().join(".site"), PATTERN).unwrap()
    }

    async fn ask(
        folder: &Folder,
        method: Method,
        path: &str,
        header: Option<(HeaderName, &str)>,
    ) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        folder.clone().oneshot(request).await.unwrap()
    }

    async fn get(folder: &Folder, path: &str) -> (StatusCode, String) {
        let answer = ask(folder, Method::GET, path, None).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn header<'a>(answer: &'a Response<Body>, name: &HeaderName) -> &'a str {
        answer
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn files_are_served_by_their_names() {
        let files = files();
        let folder = folder(&files);
        for (path, body, kind) in [
            ("/media/a.txt", "0123456789", "text/plain; charset=utf-8"),
            ("/media/a.txt?x=1", "0123456789", "text/plain; charset=utf-8"),
            ("/media/", "<p>root", "text/html; charset=utf-8"),
            ("/media/sub/", "<p>sub", "text/html; charset=utf-8"),
            ("/media/within/", "<p>sub", "text/html; charset=utf-8"),
            ("/media/sub/a%20b.txt", "space", "text/plain; charset=utf-8"),
            ("/media/sub/%C3%BC.txt", "umlaut", "text/plain; charset=utf-8"),
            ("/media/data.json", "{}", "application/json"),
            ("/media/raw", "raw", "application/octet-stream"),
        ] {
            assert_eq!(
                get(&folder, path).await,
                (StatusCode::OK, body.to_owned()),
                "{path}"
            );
            let head = ask(&folder, Method::HEAD, path, None).await;
            assert_eq!(head.status(), StatusCode::OK);
            assert_eq!(header(&head, &CONTENT_TYPE), kind, "{path}");
            assert_eq!(header(&head, &CONTENT_LENGTH), body.len().to_string(), "{path}");
            assert!(to_bytes(head.into_body(), 1).await.unwrap().is_empty());
        }
        let moved = ask(&folder, Method::GET, "/media/sub?x=/y", None).await;
        assert_eq!(moved.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(header(&moved, &LOCATION), "/media/sub/?x=/y");
        let posted = ask(&folder, Method::POST, "/media/a.txt", None).await;
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(
            [301, 304, 307, 404, 405, 412, 416]
                .map(|code| StatusCode::from_u16(code).unwrap())
                .into_iter()
                .all(is_free)
        );
        assert!(!is_free(StatusCode::OK) && !is_free(StatusCode::PARTIAL_CONTENT));
    }

    #[tokio::test]
    async fn parts_and_copies_are_known() {
        let files = files();
        let folder = folder(&files);
        let part = ask(&folder, Method::GET, "/media/a.txt", Some((RANGE, "bytes=2-4"))).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&part, &CONTENT_RANGE), "bytes 2-4/10");
        assert_eq!(to_bytes(part.into_body(), 10).await.unwrap(), "234");
        let beyond = ask(&folder, Method::GET, "/media/a.txt", Some((RANGE, "bytes=10-"))).await;
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        let whole = ask(&folder, Method::GET, "/media/a.txt", None).await;
        assert_eq!(header(&whole, &ACCEPT_RANGES), "bytes");
        let tag = header(&whole, &ETAG).to_owned();
        let same = ask(&folder, Method::GET, "/media/a.txt", Some((IF_NONE_MATCH, &tag))).await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn nothing_else_is_served_by_any_name() {
        let files = files();
        let folder = folder(&files);
        let long = format!("/media/{}", "x".repeat(300));
        for path in [
            "/media/none",
            "/media/a.txt/",
            "/media/a.txt/b",
            "/media/bare/",
            "/media",
            "/",
            "/media/.env",
            "/media/%2eenv",
            "/media/.git/config",
            "/media/.git/",
            "/media/sub/.hidden",
            "/media/env",
            "/media/out",
            "/media/up/secret",
            "/media/up/",
            "/media/loop",
            "/media/pipe",
            "/media/../secret",
            "/media/%2e%2e/secret",
            "/media/%2e%2e%2fsecret",
            "/media/..%2fsecret",
            "/media/..%5csecret",
            "/media/%252e%252e/secret",
            "/media/sub/./index.html",
            "/media/sub/../../secret",
            "/media/sub%2findex.html",
            "/media/sub%5cindex.html",
            "/media/sub//index.html",
            "/media//a.txt",
            "/media/a.txt%00",
            "/media/%00",
            "/media/%ff",
            "/media/%",
            "/media//etc/passwd",
            "/media/%2fetc%2fpasswd",
            &long,
        ] {
            let (status, body) = get(&folder, path).await;
            assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, ""), "{path}");
            let head = ask(&folder, Method::HEAD, path, None).await;
            assert_eq!(head.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn one_file_is_served_whatever_its_route() {
        let files = files();
        let path = files.path().join(".site/a.txt");
        for pattern in ["/", "/notes", "/{name}", "/notes/{*rest}"] {
            let file = Folder::open(&path, pattern).unwrap();
            for path in ["/", "/notes", "/../x", "/notes/.env/"] {
                assert_eq!(get(&file, path).await.1, "0123456789", "{pattern} {path}");
            }
        }
        let file = Folder::open(&path, "/notes").unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(get(&file, "/notes").await.0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn what_cannot_be_served_is_told_at_the_start() {
        let files = files();
        let open = |name: &str, pattern: &str| Folder::open(files.path().join(name), pattern);
        assert!(matches!(open("none", PATTERN), Err(FolderError::Unreadable(..))));
        assert!(matches!(
            open(".site/loop", PATTERN),
            Err(FolderError::Unreadable(..))
        ));
        assert!(matches!(
            open(".site/pipe", PATTERN),
            Err(FolderError::OtherKind(_))
        ));
        for pattern in ["/media", "/", "/media/{one}"] {
            assert!(
                matches!(open(".site", pattern), Err(FolderError::NoRest { .. })),
                "{pattern}"
            );
        }
        assert!(open(".site", "/{*rest}").is_ok());
    }
}
