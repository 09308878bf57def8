//! Who may come in, and where they want to go.
//!
//! Whoever is let in spends money. Programs of this machine are meant to; web pages are not, which a browser lets ask
//! this machine as well: they are told by the headers that browsers add, and by the name that the browser asked for.

use super::args::AllowedHost;
use super::refusal::Refusal;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Method, StatusCode};
use std::net::IpAddr;
use url::{Host, Url};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is done with requests.
#[derive(Debug)]
pub(super) enum Mode {
    /// Everything goes to one server.
    Reverse {
        /// That server, paths are appended.
        target: Url,
        /// Our own address, as which we may be asked.
        listens: IpAddr,
    },
    /// Requests name their server.
    Forward {
        /// Which of them are paid.
        allowed: Vec<AllowedHost>,
    },
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) url: Url,
    /// Whether it may be paid.
    pub(super) pays: bool,
}

impl Mode {
    /// Lets a request in, or says why not.
    pub(super) fn admit(&self, request: &Parts) -> Result<Destination, Refusal> {
        refuse_web_pages(request)?;
        if request.method == Method::CONNECT {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "connect",
                "an encrypted connection cannot be paid for, since nobody can look into it: start microraiden pay-proxy \
                 with --target https://HOST, and let the program ask http:// here instead",
            ));
        }
        match self {
            Self::Reverse { target, listens } => {
                refuse_other_names(request, *listens)?;
                let url = appended(target, request.uri.path_and_query())?;
                Ok(Destination { url, pays: true })
            }
            Self::Forward { allowed } => {
                let url = absolute(request)?;
                let pays = allowed.iter().any(|host| host.is_of(&url));
                Ok(Destination { url, pays })
            }
        }
    }
}

fn refuse_web_pages(request: &Parts) -> Result<(), Refusal> {
    let elsewhere = |site: &http::HeaderValue| !matches!(site.as_bytes(), b"none" | b"same-origin");
    let by_page =
        request.headers.contains_key(ORIGIN) || request.headers.get_all(SEC_FETCH_SITE).iter().any(elsewhere);
    if !by_page {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "web_page",
        "this request comes from a web page (it has an Origin or Sec-Fetch-Site header), and microraiden pay-proxy pays \
         for programs only: any page that is open in a browser could spend the money otherwise",
    ))
}

/// A page whose own name points here is of our origin to its browser; only the name tells it.
fn refuse_other_names(request: &Parts, listens: IpAddr) -> Result<(), Refusal> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = match (request.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Some(authority.clone()),
        (None, Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    };
    if host.is_some_and(|host| is_ours(host.host(), listens)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host",
        format!(
            "the Host header names neither this machine nor {listens}: ask microraiden pay-proxy by its address, as in \
             http://127.0.0.1:4021; to use it as an http_proxy, start it with --allow instead of --target"
        ),
    ))
}

fn is_ours(name: &str, listens: IpAddr) -> bool {
    let ip = match Host::parse(name) {
        Ok(Host::Domain(name)) => return name == "localhost",
        Ok(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Ok(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Err(_) => return false,
    };
    // No page's name is an address, so where we listen on all of them, each will do.
    ip.is_loopback() || ip == listens || listens.is_unspecified()
}

/// The target with path and query; never a path beside that of the target.
fn appended(target: &Url, path_and_query: Option<&PathAndQuery>) -> Result<Url, Refusal> {
    let refusal = || {
        let message = "the path leads out of the path of --target, or is none";
        Refusal::new(StatusCode::BAD_REQUEST, "path", message)
    };
    let path_and_query = path_and_query.map_or("/", PathAndQuery::as_str);
    if !path_and_query.starts_with('/') {
        return Err(refusal());
    }
    let base = target.as_str().trim_end_matches('/');
    let url: Url = format!("{base}{path_and_query}").parse().map_err(|_| refusal())?;
    let below = url.path().strip_prefix(target.path().trim_end_matches('/'));
    if url.origin() != target.origin() || !below.is_some_and(|below| below.starts_with('/')) {
        return Err(refusal());
    }
    Ok(url)
}

/// The URL that a client names to its proxy.
fn absolute(request: &Parts) -> Result<Url, Refusal> {
    if request.uri.scheme().is_none() {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "no_host",
            "this is a proxy, which is asked with whole URLs: use it as http_proxy=… or curl -x …; for programs that take \
             a base URL, start microraiden pay-proxy with --target URL",
        ));
    }
    let url: Option<Url> = request.uri.to_string().parse().ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            let message = "the URL cannot be requested: give one that begins with http://";
            Refusal::new(StatusCode::BAD_REQUEST, "url", message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn reverse(target: &str) -> Mode {
        Mode::Reverse {
            target: target.parse().unwrap(),
            listens: [192, 168, 0, 9].into(),
        }
    }

    fn ask(mode: &Mode, uri: &str, headers: &[(&str, &str)]) -> Result<String, StatusCode> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let admitted = mode.admit(&parts);
        admitted
            .map(|to| format!("{} {}", to.url, to.pays))
            .map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_names_of_this_machine_are_answered_in_front_of_a_target() {
        let mode = reverse("http://api.example/v1/");
        for host in [
            "localhost:4021",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:4021",
            "192.168.0.9:4021",
        ] {
            let asked = ask(&mode, "/a/b?c=/../d", &[("host", host)]);
            assert_eq!(
                asked.as_deref(),
                Ok("http://api.example/v1/a/b?c=/../d true"),
                "{host}"
            );
        }
        for host in [
            "evil.example:4021",
            "localhost.evil",
            "192.168.0.8",
            "127.0.0.1.evil",
            "",
            "a b",
        ] {
            let asked = ask(&mode, "/a", &[("host", host)]);
            assert_eq!(asked, Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        let twice = [("host", "localhost"), ("host", "evil.example")];
        for headers in [&twice[..], &[]] {
            assert_eq!(ask(&mode, "/a", headers), Err(StatusCode::MISDIRECTED_REQUEST));
        }
        let proxied = ask(&mode, "http://evil.example/a", &[("host", "localhost")]);
        assert_eq!(proxied, Err(StatusCode::MISDIRECTED_REQUEST));
        let everywhere = Mode::Reverse {
            target: "http://api.example".parse().unwrap(),
            listens: [0, 0, 0, 0].into(),
        };
        assert!(ask(&everywhere, "/", &[("host", "10.1.2.3:4021")]).is_ok());
        assert!(ask(&everywhere, "/", &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn web_pages_are_refused_in_both_modes() {
        let forward = Mode::Forward {
            allowed: vec![AllowedHost::Any],
        };
        for (mode, uri) in [(reverse("http://a"), "/b"), (forward, "http://a/b")] {
            let with = |name, value| ask(&mode, uri, &[("host", "localhost"), (name, value)]);
            for page in [
                with("origin", "null"),
                with("origin", "http://localhost:4021"),
                with("sec-fetch-site", "cross-site"),
                with("sec-fetch-site", "same-site"),
                with("sec-fetch-site", "new"),
            ] {
                assert_eq!(page, Err(StatusCode::FORBIDDEN));
            }
            for program in [with("sec-fetch-site", "none"), with("sec-fetch-mode", "cors")] {
                assert_eq!(program.as_deref(), Ok("http://a/b true"));
            }
        }
    }

    #[test]
    fn no_path_leads_out_of_the_target() {
        let mode = reverse("http://api.example/v1");
        for path in ["/../admin", "/%2e%2e/admin", "/a/../../admin", "/..", "*"] {
            let asked = ask(&mode, path, &[("host", "localhost")]);
            assert_eq!(asked, Err(StatusCode::BAD_REQUEST), "{path}");
        }
        for (path, url) in [
            ("/", "http://api.example/v1/"),
            ("//evil.example/", "http://api.example/v1//evil.example/"),
            ("/@evil.example", "http://api.example/v1/@evil.example"),
            ("/a/../b", "http://api.example/v1/b"),
        ] {
            let asked = ask(&mode, path, &[("host", "localhost")]);
            assert_eq!(asked, Ok(format!("{url} true")), "{path}");
        }
    }

    #[test]
    fn a_proxy_pays_the_hosts_it_was_told() {
        let mode = Mode::Forward {
            allowed: vec!["api.example".parse().unwrap()],
        };
        // The Host header says nothing beside a whole URL.
        let headers = [("host", "api.example")];
        assert_eq!(
            ask(&mode, "http://api.example:81/a?b", &headers).as_deref(),
            Ok("http://api.example:81/a?b true")
        );
        assert_eq!(
            ask(&mode, "http://other.example", &headers).as_deref(),
            Ok("http://other.example/ false")
        );
        for uri in ["/a", "*", "ftp://api.example/a"] {
            assert_eq!(ask(&mode, uri, &headers), Err(StatusCode::BAD_REQUEST), "{uri}");
        }
        let tunnel = Request::connect("api.example:443")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let refusal = mode.admit(&tunnel).unwrap_err();
        assert_eq!(refusal.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(
            refusal.message.contains("--target https://"),
            "{}",
            refusal.message
        );
    }
}
