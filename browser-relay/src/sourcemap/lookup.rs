//! Finds a place in the piece of a map that has it, and names its source.

use super::vlq::{Decoder, Original, Segment, State, Token};

/// What is shown of a source's name: a path, but possibly a `data:` URL of any length.
const SOURCE_BYTES_MAX: usize = 500;
/// What is shown of a function's name.
const NAME_BYTES_MAX: usize = 200;

/// Where this place comes from, given its stretch: what the last segment of its line at or before its column says.
pub(crate) fn find(stretch: &[u8], state: State, line: u32, column: u32) -> Option<Original> {
    let mut decoder = Decoder::new(stretch, state);
    let mut best: Option<Segment> = None;
    // The text was valid when it was stored.
    while let Ok(Some(token)) = decoder.next() {
        let Token::Segment(segment) = token else { continue };
        if segment.line > line {
            break;
        }
        let is_better = best.is_none_or(|best| best.column <= segment.column);
        if segment.line == line && segment.column <= column && is_better {
            best = Some(segment);
        }
    }
    best?.original
}

/// A source's name as people read it: below `sourceRoot` unless it is a URL, without `.` and `..` where they lead somewhere.
pub(crate) fn source_name(root: &str, source: &str) -> String {
    let joined = if root.is_empty() || has_scheme(source) {
        plain(source)
    } else {
        format!("{}/{}", plain(root).trim_end_matches('/'), plain(source).trim_start_matches('/'))
    };
    shortened(&without_dots(&joined), SOURCE_BYTES_MAX)
}

/// A function's name.
pub(crate) fn function_name(name: &str) -> String {
    shortened(&plain(name), NAME_BYTES_MAX)
}

/// On one line whatever it holds.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

/// `https:`, `webpack:`, `data:` and the like.
fn has_scheme(source: &str) -> bool {
    let scheme = source.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Resolves `.` and `..` in a path or the path of a URL.
fn without_dots(source: &str) -> String {
    let (path, query) = source.split_at(source.find(['?', '#']).unwrap_or(source.len()));
    let (head, path) = match path.split_once("://") {
        Some((scheme, rest)) => path.split_at(scheme.len() + 3 + rest.find('/').unwrap_or(rest.len())),
        None if has_scheme(path) => return source.to_owned(),
        None => ("", path),
    };
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(usize::from(is_absolute)) {
        match segment {
            "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => drop(kept.pop()),
            ".." if is_absolute => {}
            segment => kept.push(segment),
        }
    }
    format!("{head}{}{}{query}", if is_absolute { "/" } else { "" }, kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sourcemap::vlq::testing::encode;

    #[test]
    fn a_place_belongs_to_the_last_segment_before_it_on_its_line() {
        let original = |line| Some(Original { source: 0, line, column: 0, name: None });
        let segments =
            [(0, 5, original(1)), (0, 9, None), (0, 12, original(2)), (0, 12, original(3)), (2, 4, original(4))]
                .map(|(line, column, original)| Segment { line, column, original });
        let text = encode(&segments);
        let found = |line, column| find(text.as_bytes(), State::default(), line, column).map(|found| found.line);
        for (line, column, expected) in [
            (0, 4, None),
            (0, 5, Some(1)),
            (0, 8, Some(1)),
            (0, 9, None),
            (0, 11, None),
            (0, 12, Some(3)),
            (0, 5000, Some(3)),
            (1, 5, None),
            (2, 3, None),
            (2, 4, Some(4)),
            (3, 4, None),
        ] {
            assert_eq!(found(line, column), expected, "{line}:{column}");
        }
    }

    #[test]
    fn names_of_sources() {
        let long = format!("data:text/javascript;base64,{}", "A".repeat(1000));
        for (root, source, expected) in [
            ("", "src/app.ts", "src/app.ts"),
            ("", "./src/./a.ts", "src/a.ts"),
            ("", "../../src/x/../a.ts", "../../src/a.ts"),
            ("", "/a/../../b.js", "/b.js"),
            ("root", "a.ts", "root/a.ts"),
            ("root/", "/a.ts", "root/a.ts"),
            ("/root/src", "../a.ts", "/root/a.ts"),
            ("https://x.example/s", "a.ts", "https://x.example/s/a.ts"),
            ("https://x.example", "../a.ts", "https://x.example/a.ts"),
            ("root", "https://y.example/a/./b.ts", "https://y.example/a/b.ts"),
            ("root", "data:text/javascript,a/../b", "data:text/javascript,a/../b"),
            ("", "webpack://app/./src/index.js", "webpack://app/src/index.js"),
            ("", "webpack:///./src/a.vue?1234/../x", "webpack:///src/a.vue?1234/../x"),
            ("", "webpack://app", "webpack://app"),
            ("", "src/[id].ts", "src/[id].ts"),
            ("", "a\nb\r.ts", "a b .ts"),
            ("", &long, &format!("{}…", &long[..500])),
        ] {
            assert_eq!(source_name(root, source), expected, "{root:?} {source:?}");
        }
    }
}
