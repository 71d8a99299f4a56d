//! Who may press the demo's buttons: its own page, and programs that are no browser. A browser lets every web site send
//! POST requests to this machine, and says from where they come.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another web site has sent.
pub(super) async fn own_page_only(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The name under which the demo was reached must be one that no web site can have, and the page that asks, if it is
/// one, must have been opened under the same name. Programs send neither `Origin` nor `Sec-Fetch-Site`; all browsers
/// send an origin with POST.
fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = text(headers, header::HOST);
    if !host.parse::<Authority>().is_ok_and(|host| is_ours(&host)) {
        return Err(refuse(format!("the demo is not called `{host}`")));
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN);
        if !is_page_of(origin, host) {
            return Err(refuse(format!("a page of `{origin}` may not operate the demo at `{host}`")));
        }
    }
    match text(headers, SEC_FETCH_SITE) {
        // `none`: the user did it, not a page.
        "" | "same-origin" | "none" => Ok(()),
        site => Err(refuse(format!("a page from elsewhere (`{site}`) may not operate the demo"))),
    }
}

/// Whether a host is this machine or an address. A web site can let its name point to any address (DNS rebinding), but
/// cannot have an address for a name.
fn is_ours(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn is_page_of(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Empty if it is missing or no text.
fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn refuse(error: String) -> Refusal {
    const FIX: &str = "open the demo's own page at localhost or at its address, such as http://127.0.0.1:8780/, and act there";
    Refusal(StatusCode::FORBIDDEN, error.into(), FIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a request with these headers is refused.
    fn refusal(headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        check(&map).err().map(|Refusal(_, error, _)| error.into_owned())
    }

    #[test]
    fn the_demos_own_page_may_under_each_name_that_only_the_demo_can_have() {
        for host in [
            "localhost",
            "LOCALHOST:8780",
            "demo.localhost:1",
            "127.0.0.1:8780",
            "[::1]:8780",
            "192.168.1.5:80",
        ] {
            for scheme in ["http", "https"] {
                let origin = format!("{scheme}://{}", host.to_ascii_lowercase());
                let headers = [("host", host), ("origin", &origin), ("sec-fetch-site", "same-origin")];
                assert_eq!(refusal(&headers), None);
            }
        }
    }

    #[test]
    fn a_program_may() {
        assert_eq!(refusal(&[("host", "127.0.0.1:8780")]), None);
    }

    #[test]
    fn a_page_from_elsewhere_may_not() {
        for origin in [
            "https://evil.example",
            "http://127.0.0.1:8781",
            "http://127.0.0.1",
            "http://localhost:8780",
            "http://127.0.0.1:8780.evil.example",
            "http://evil.example/http://127.0.0.1:8780",
            "ftp://127.0.0.1:8780",
            "127.0.0.1:8780",
            "null",
            "",
        ] {
            let error = refusal(&[("host", "127.0.0.1:8780"), ("origin", origin)]);
            assert!(error.is_some_and(|error| error.contains(&format!("`{origin}`"))), "{origin}");
        }
        for site in ["cross-site", "same-site", "what-comes-next"] {
            let error = refusal(&[("host", "127.0.0.1:8780"), ("sec-fetch-site", site)]);
            assert!(error.is_some_and(|error| error.contains(site)), "{site}");
        }
    }

    #[test]
    fn a_web_sites_name_that_points_here_is_not_ours() {
        for host in [
            "evil.example:8780",
            "evil.example",
            "127.0.0.1.evil.example:8780",
            "localhost.evil.example",
            "notlocalhost:8780",
            "user@evil.example",
            "127.0.0.1@evil.example",
            "",
        ] {
            let origin = format!("http://{host}");
            let error = refusal(&[("host", host), ("origin", &origin), ("sec-fetch-site", "same-origin")]);
            assert!(error.is_some_and(|error| error.contains(&format!("`{host}`"))), "{host}");
        }
        assert!(refusal(&[]).is_some(), "no name at all");
    }
}
