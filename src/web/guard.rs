//! What keeps other sites out: where a form comes from, and what browsers are told of every page.

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

/// Scripts, styles and calls of our own only; nothing inline; in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Whether a form comes from one of our own pages, as far as the browser tells. A proxy may have
/// written another `Host`, so the public address counts too.
pub(crate) fn is_own(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    let ours = text("host").is_some_and(|ours| host.is_some_and(|h| h.eq_ignore_ascii_case(ours)));
    ours || origin.eq_ignore_ascii_case(public_url)
}

/// Whether the browser follows a link on another site: it keeps a strict cookie to itself then.
pub(crate) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Whether whoever asks wants a page rather than JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Adds what every page tells browsers; a picture keeps its own policy.
pub(crate) fn shielded(mut response: Response) -> Response {
    let own = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in own {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_own(&headers.collect(), "https://public")
    }

    #[test]
    fn a_form_of_another_site_is_not_our_own() {
        assert!(own(&[("host", "ifso:9101"), ("origin", "http://ifso:9101")]));
        assert!(own(&[("host", "ifso"), ("sec-fetch-site", "same-origin")]));
        assert!(own(&[("host", "inner:1"), ("origin", "https://public")]));
        assert!(!own(&[("host", "ifso"), ("origin", "https://evil.example")]));
        assert!(!own(&[("host", "ifso"), ("origin", "null")]));
        assert!(!own(&[("host", "ifso"), ("sec-fetch-site", "cross-site")]));
        assert!(!own(&[("host", "ifso"), ("sec-fetch-site", "same-site")]));
    }
}
