//! How a script's URL in a frame and the `file_url` of an upload are compared.

/// A URL without scheme, host and port; anything else as it is. `https://host/app.js` and `/app.js` are the same script,
/// `app.js` is another.
pub(crate) fn path_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return url;
    }
    match rest.find(['/', '?', '#']) {
        Some(end) if rest[end..].starts_with('/') => &rest[end..],
        _ => "/",
    }
}

/// A path without query and fragment; none where it has neither.
pub(crate) fn without_query(path: &str) -> Option<&str> {
    path.find(['?', '#']).map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_scheme_do_not_count() {
        for (url, expected) in [
            ("https://ex.com/app.js", "/app.js"),
            ("https://ex.com:8443/a/app.js?v=3", "/a/app.js?v=3"),
            ("https://ex.com", "/"),
            ("https://ex.com?x=/y", "/"),
            ("file:///home/app.js", "/home/app.js"),
            ("chrome-extension://abc/app.js", "/app.js"),
            ("/app.js", "/app.js"),
            ("app.js", "app.js"),
            ("/app.js?next=https://ex.com/b.js", "/app.js?next=https://ex.com/b.js"),
            ("", ""),
        ] {
            assert_eq!(path_of(url), expected, "{url}");
        }
    }

    #[test]
    fn the_query_is_left_out_the_second_time() {
        assert_eq!(without_query("/app.js?v=3#x"), Some("/app.js"));
        assert_eq!(without_query("/app.js#x?y"), Some("/app.js"));
        assert_eq!(without_query("/app.js"), None);
    }
}
