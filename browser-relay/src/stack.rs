//! Reads the frames of a stack as browsers write them, and writes them again with other places.
//!
//! Chrome and Edge: `    at f (https://host/app.js:1:2)`, `    at https://host/app.js:1:2`, with `new`, `async`, `[as x]` and
//! nested `eval at`. Firefox and Safari: `f@https://host/app.js:1:2`. Lines that are no frames stay as they are.

/// Frames of a stack that are looked at. Firefox and Safari give up to 128 and 100, Chrome ten unless a page asks for more.
pub(crate) const FRAMES_MAX: usize = 128;
/// Lines that are: a message of several lines comes before the frames.
const LINES_MAX: usize = 1000;
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// A place in generated code, as a frame names it. Line and column count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place<'a> {
    pub(crate) url: &'a str,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Where that comes from. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) source: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) name: Option<String>,
}

/// Writes a stack with the places that `resolve` knows; the first error ends it.
pub(crate) fn rewrite<E>(
    stack: &str,
    mut resolve: impl FnMut(&Place<'_>) -> Result<Option<Original>, E>,
) -> Result<String, E> {
    let mut out = String::with_capacity(stack.len() + stack.len() / 4);
    let (mut frames, mut rest) = (0, stack);
    for line in stack.split_inclusive('\n').take(LINES_MAX) {
        rest = &rest[line.len()..];
        let frame = if frames < FRAMES_MAX { Frame::parse(line) } else { None };
        let Some(frame) = frame else {
            out.push_str(line);
            continue;
        };
        frames += 1;
        match resolve(&frame.place)? {
            Some(original) => frame.write(&original, &mut out),
            None => out.push_str(line),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// A line that is a frame, in parts.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    style: Style,
    /// In front of the function: white space, `at`, and in an `eval` frame what was evaluated.
    before: &'a str,
    /// Empty for none.
    function: &'a str,
    place: Place<'a>,
    /// Behind the place, the closing bracket not included.
    after: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `FUNCTION (PLACE)`, or just the place.
    Chrome,
    /// `FUNCTION@PLACE`
    Firefox,
    /// Code outside functions in older Safari versions: just the place, without `@`.
    Bare,
}

impl<'a> Frame<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches(BLANKS);
        let indent = line.len() - text.len();
        let length = text.trim_end_matches(['\n', ' ', '\t', '\r']).len();
        let (text, after) = text.split_at(length);
        match text.strip_prefix("at ") {
            Some(call) => Self::chrome(line, call.trim_start_matches(BLANKS), after),
            None => Self::firefox(&line[..indent], text, after),
        }
    }

    /// `call` is a piece of `line`, and `after` what follows it.
    fn chrome(line: &'a str, call: &'a str, after: &'a str) -> Option<Self> {
        let style = Style::Chrome;
        let start = line.len() - after.len() - call.len();
        let Some(close) = call.rfind(')') else {
            // `async` here belongs to the call, not to a name.
            let place = call.strip_prefix("async ").unwrap_or(call);
            let before = &line[..start + call.len() - place.len()];
            return Some(Self { style, before, function: "", place: Place::parse(place)?, after });
        };
        if let Some(frame) = Self::eval(line, call, start) {
            return Some(frame);
        }
        // A URL has no blanks, but it may have brackets.
        let open = call[..close].rfind(" (").map(|at| at + 1).or_else(|| call[..close].rfind('('))?;
        let place = Place::parse(call[open + 1..close].trim_matches(BLANKS))?;
        let function = call[..open].trim_end_matches(BLANKS);
        Some(Self { style, before: &line[..start], function, place, after: &line[start + close + 1..] })
    }

    /// `eval (eval at f (https://host/app.js:1:2), <anonymous>:3:4)`: the place of `f` can be looked up, that within the
    /// evaluated text cannot. Of nested ones it is the innermost.
    fn eval(line: &'a str, call: &'a str, start: usize) -> Option<Self> {
        const MARK: &str = "eval at ";
        let function = call.rfind(MARK)? + MARK.len();
        let open = function + call[function..].find(" (")?;
        let place = open + 2;
        // Brackets of the outer ones close here too.
        let close = place + call[place..][..call[place..].find("), ")?].trim_end_matches(')').len();
        Some(Self {
            style: Style::Chrome,
            before: &line[..start + function],
            function: &call[function..open],
            place: Place::parse(&call[place..close])?,
            after: &line[start + close + 1..],
        })
    }

    fn firefox(before: &'a str, text: &'a str, after: &'a str) -> Option<Self> {
        let (style, function, place) = match text.split_once('@') {
            // A URL may have an `@` too: `https://host/@scope/app.js:1:2`.
            Some((function, place)) if !function.contains("://") => (Style::Firefox, function, place),
            _ if text.contains("://") && !text.contains(BLANKS) => (Style::Bare, "", text),
            _ => return None,
        };
        let place = Place::parse(place.trim_start_matches(BLANKS))?;
        Some(Self { style, before, function, place, after })
    }

    fn write(&self, original: &Original, out: &mut String) {
        let Original { source, line, column, name } = original;
        let function = name.as_deref().filter(|name| !name.is_empty()).unwrap_or(self.function);
        let (open, close) = match (self.style, function) {
            (Style::Chrome | Style::Bare, "") => ("", ""),
            (Style::Chrome, _) => (" (", ")"),
            (Style::Firefox | Style::Bare, _) => ("@", ""),
        };
        out.push_str(self.before);
        out.push_str(&[function, open, source, ":", &line.to_string(), ":", &column.to_string(), close].concat());
        out.push_str(self.after);
    }
}

impl<'a> Place<'a> {
    /// Reads `url:line:column`.
    fn parse(text: &'a str) -> Option<Self> {
        let (rest, column) = text.rsplit_once(':')?;
        let (url, line) = rest.rsplit_once(':')?;
        let place = Self { url, line: number(line)?, column: number(column)? };
        (!url.is_empty()).then_some(place)
    }
}

/// Decimal digits, from 1.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Knows one script: what is at 1:11 there has a name, the rest has none.
    fn readable(stack: &str) -> String {
        let resolve = |place: &Place<'_>| {
            let name = (place.column == 11).then(|| "origFn".to_owned());
            let is_known = place.url.ends_with("app.min.js");
            Ok::<_, Infallible>(is_known.then(|| Original { source: "src/app.ts".into(), line: 10, column: 5, name }))
        };
        rewrite(stack, resolve).unwrap_or_else(|never| match never {})
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(readable(line), expected, "{line:?}");
        let indented = format!("\t  {line} \r\nrest");
        assert_eq!(readable(&indented), format!("\t  {expected} \r\nrest"));
    }

    #[test]
    fn chrome() {
        check("at a (https://ex.com/static/app.min.js:1:11)", "at origFn (src/app.ts:10:5)");
        check("at a (https://ex.com/static/app.min.js:1:12)", "at a (src/app.ts:10:5)");
        check("at https://ex.com/static/app.min.js:1:11", "at origFn (src/app.ts:10:5)");
        check("at https://ex.com/static/app.min.js:1:12", "at src/app.ts:10:5");
        check("at new A (https://ex.com/app.min.js:1:12)", "at new A (src/app.ts:10:5)");
        check("at new A (https://ex.com/app.min.js:1:11)", "at origFn (src/app.ts:10:5)");
        check("at A.b [as c] (https://ex.com/app.min.js:1:12)", "at A.b [as c] (src/app.ts:10:5)");
        check("at async a (https://ex.com/app.min.js:1:12)", "at async a (src/app.ts:10:5)");
        check("at async a (https://ex.com/app.min.js:1:11)", "at origFn (src/app.ts:10:5)");
        check("at async https://ex.com/app.min.js:1:12", "at async src/app.ts:10:5");
        check("at Object.<anonymous> (https://ex.com/app.min.js:1:12)", "at Object.<anonymous> (src/app.ts:10:5)");
        check("at a (https://ex.com/x(1)/app.min.js:1:11)", "at origFn (src/app.ts:10:5)");
        check("at a(https://ex.com/app.min.js:1:11)", "at origFn (src/app.ts:10:5)");
    }

    #[test]
    fn chrome_eval() {
        check(
            "at eval (eval at a (https://ex.com/app.min.js:1:12), <anonymous>:1:1)",
            "at eval (eval at a (src/app.ts:10:5), <anonymous>:1:1)",
        );
        check(
            "at b (eval at c (eval at a (https://ex.com/app.min.js:1:11), <anonymous>:1:1), <anonymous>:2:3)",
            "at b (eval at c (eval at origFn (src/app.ts:10:5), <anonymous>:1:1), <anonymous>:2:3)",
        );
        check(
            "at eval (eval at <anonymous> (eval at a (https://ex.com/app.min.js:1:12)), <anonymous>:1:1)",
            "at eval (eval at <anonymous> (eval at a (src/app.ts:10:5)), <anonymous>:1:1)",
        );
    }

    #[test]
    fn firefox_and_safari() {
        check("a@https://ex.com/app.min.js:1:11", "origFn@src/app.ts:10:5");
        check("a@https://ex.com/app.min.js:1:12", "a@src/app.ts:10:5");
        check("@https://ex.com/app.min.js:1:12", "@src/app.ts:10:5");
        check("a/b<@https://ex.com/@scope/app.min.js:1:12", "a/b<@src/app.ts:10:5");
        check("async*a@https://ex.com/app.min.js:1:12", "async*a@src/app.ts:10:5");
        check("setTimeout handler*a@https://ex.com/app.min.js:1:12", "setTimeout handler*a@src/app.ts:10:5");
        check("global code@https://ex.com/app.min.js:1:12", "global code@src/app.ts:10:5");
        check("https://ex.com/@scope/app.min.js:1:12", "src/app.ts:10:5");
        check("https://ex.com/app.min.js:1:11", "origFn@src/app.ts:10:5");
    }

    #[test]
    fn what_is_no_frame_stays() {
        for line in [
            "",
            "TypeError: a is not a function",
            "at a (native)",
            "at Array.map (<anonymous>)",
            "at async Promise.all (index 0)",
            "at a (https://ex.com/app.min.js:1)",
            "at a (https://ex.com/app.min.js:1:)",
            "at a (https://ex.com/app.min.js:0:1)",
            "at a (https://ex.com/app.min.js:1:99999999999)",
            "at a (https://ex.com/app.min.js:+1:1)",
            "at )(",
            "at (",
            "at )",
            "[native code]",
            "map@[native code]",
            "a@https://ex.com/app.min.js line 3 > eval:1:1",
            "see https://ex.com/app.min.js:1:11",
            ":1:1",
            "@:1:1",
        ] {
            check(line, line);
        }
    }

    #[test]
    fn nothing_between_the_frames_is_lost() {
        let stack =
            "\n\r\nError: a\n  b@c\r\n    at a (https://ex.com/app.min.js:1:12)\n\n    at app.min.js:1:12\r\n\n";
        let expected = "\n\r\nError: a\n  b@c\r\n    at a (src/app.ts:10:5)\n\n    at src/app.ts:10:5\r\n\n";
        assert_eq!(readable(stack), expected);
    }

    #[test]
    fn frames_and_lines_are_looked_at_up_to_a_bound() {
        let frame = "at app.min.js:1:12\n";
        let many = readable(&frame.repeat(300));
        assert_eq!(many, "at src/app.ts:10:5\n".repeat(FRAMES_MAX) + &frame.repeat(300 - FRAMES_MAX));
        let late = format!("{}{frame}", "x\n".repeat(LINES_MAX));
        assert_eq!(readable(&late), late);
    }

    proptest! {
        #[test]
        fn any_text_survives(stack in "([ \\t\\r\\n@():/a-c0-9]|at |eval at |async |, |://|app\\.min\\.js:1:1[12]|\\PC){0,40}") {
            let none = rewrite(&stack, |_| Ok::<_, Infallible>(None)).unwrap_or_else(|never| match never {});
            prop_assert_eq!(&none, &stack);
            prop_assert_eq!(readable(&stack).lines().count(), stack.lines().count());
        }
    }
}
