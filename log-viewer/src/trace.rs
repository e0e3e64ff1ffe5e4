//! Which lines belong to the one before: blank and indented ones, and what runtimes print when a program dies.
//!
//! A line that only looks like an exception belongs to nothing by itself. It does where its runtime prints one: behind
//! the frames of a Python traceback, behind a Go goroutine's header.

use crate::ansi::without_colours;

/// How many lines an error that Node did not catch may have before its frames.
const THROWN_LINES_MAX: u8 = 30;

/// What the entry read so far expects behind blank and indented lines. It follows from the entry's lines alone, so that
/// reading them again gives the same entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// Nothing in particular.
    Nothing,
    Python(Python),
    Go,
    Node(Node),
    Ruby(Ruby),
    Rust(Rust),
    /// `Unhandled Exception:` with the exception on the next line, and the whole once more.
    Mono {
        is_named: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Python {
    /// A traceback began; the error's line is to come.
    Traceback,
    /// Frames without a traceback: of a file that cannot be compiled, or the stack of a program that goes on.
    Frames,
    /// The error's line was seen; that would be all, unless another error is chained to it.
    Error,
    /// It is.
    Chained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `/app/x.js:3`; the line of code is to come, which need not be indented.
    Place,
    /// The code was seen, the mark below it is to come.
    Code,
    /// The mark was seen; what was thrown follows, on any number of lines.
    Thrown { lines: u8 },
    /// Frames and properties; then there is only Node's own last word.
    Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruby {
    /// `x.rb:3:in 'f': message (NameError)`.
    Error,
    /// A blank line, behind which the line of code follows, which need not be indented.
    Blank,
    /// The mark below the line of code is to come.
    Code,
    Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rust {
    /// `thread 'main' panicked at src/main.rs:3:5:`; the message is to come.
    Place,
    Message,
}

impl Trace {
    /// What an entry expects that begins with this line.
    pub(crate) fn begin(line: &str) -> Self {
        let line = &*without_colours(line);
        opened_by(line).unwrap_or_else(|| Self::Nothing.behind(line))
    }

    /// Whether the line goes on with the entry, whose text so far is given; if so, it is taken into account.
    pub(crate) fn accept(&mut self, entry: &str, line: &str) -> bool {
        let line = &*without_colours(line);
        let next = self.next(entry, line);
        *self = next.unwrap_or(*self);
        next.is_some()
    }

    /// Whether the runtime has more to say for certain, or, as Rust does before a backtrace, most likely looks for it.
    pub(crate) const fn is_unfinished(self) -> bool {
        match self {
            Self::Python(Python::Traceback | Python::Chained)
            | Self::Node(Node::Place | Node::Code)
            | Self::Ruby(Ruby::Code)
            | Self::Rust(Rust::Place | Rust::Message)
            | Self::Mono { is_named: false } => true,
            Self::Nothing | Self::Python(_) | Self::Go | Self::Node(_) | Self::Ruby(_) | Self::Mono { .. } => false,
        }
    }

    fn next(self, entry: &str, line: &str) -> Option<Self> {
        let expected = match self {
            Self::Nothing => None,
            Self::Python(python) => python.next(line).map(Self::Python),
            Self::Go => is_of_go(entry, line).then_some(Self::Go),
            Self::Node(node) => node.next(entry, line),
            Self::Ruby(ruby) => ruby.next(entry, line).map(Self::Ruby),
            Self::Rust(rust) => rust.next(line).map(Self::Rust),
            Self::Mono { is_named } => (!is_named || line.starts_with("[ERROR] FATAL UNHANDLED EXCEPTION: "))
                .then_some(Self::Mono { is_named: true }),
        };
        expected
            .or_else(|| (continues(line) && !self.is_over_before(line)).then(|| self.behind(line)))
            // Some print a blank line first.
            .or_else(|| if entry.trim_ascii().is_empty() { opened_by(line) } else { None })
    }

    /// A traceback begins anew behind a whole one; it is another's only where its chain says so.
    fn is_over_before(self, line: &str) -> bool {
        matches!(self, Self::Python(Python::Traceback | Python::Error)) && is_traceback(line)
    }

    /// What is expected behind a line that continues any entry.
    fn behind(self, line: &str) -> Self {
        let trimmed = line.trim_ascii_start();
        if is_traceback(line) {
            Self::Python(Python::Traceback)
        } else if is_goroutine(line) {
            Self::Go
        } else if is_python_frame(trimmed) && !matches!(self, Self::Python(_)) {
            Self::Python(Python::Frames)
        } else if trimmed.starts_with("at ") && trimmed.ends_with(" {") {
            Self::Node(Node::Frames)
        } else {
            self
        }
    }
}

/// The contract's rules and the lines that runtimes print below others only: they need not know what they continue.
fn continues(line: &str) -> bool {
    const STARTS: [&str; 5] = [" ", "\t", "File \"", "Caused by:", "--- End of "];
    line.is_empty() || STARTS.iter().any(|start| line.starts_with(start)) || is_traceback(line) || is_goroutine(line)
}

/// The first lines of runtimes' reports that have more lines than those that [`continues`] knows.
fn opened_by(line: &str) -> Option<Trace> {
    const GO: [&str; 4] = ["panic: ", "fatal error: ", "runtime: goroutine stack exceeds ", "SIGQUIT: "];
    if GO.iter().any(|start| line.starts_with(start)) {
        Some(Trace::Go)
    } else if is_node_place(line) {
        Some(Trace::Node(Node::Place))
    } else if is_ruby_error(line) {
        Some(Trace::Ruby(Ruby::Error))
    } else if line == "Unhandled Exception:" {
        Some(Trace::Mono { is_named: false })
    } else {
        rust_panic(line).map(Trace::Rust)
    }
}

impl Python {
    fn next(self, line: &str) -> Option<Self> {
        const CHAINS: [&str; 2] = [
            "During handling of the above exception, another exception occurred:",
            "The above exception was the direct cause of the following exception:",
        ];
        match self {
            Self::Chained if is_traceback(line) => Some(Self::Traceback),
            Self::Traceback if is_python_error(line) => Some(Self::Error),
            Self::Frames if is_python_syntax_error(line) => Some(Self::Error),
            _ if CHAINS.contains(&line) => Some(Self::Chained),
            _ => None,
        }
    }
}

/// Also the first line of an exception group's, which is indented.
fn is_traceback(line: &str) -> bool {
    const START: &str = "Traceback (most recent call last)";
    line.starts_with(START) || line.starts_with("  + Exception Group Traceback (most recent call last)")
}

fn is_python_frame(trimmed: &str) -> bool {
    trimmed.starts_with("File \"") && trimmed.contains("\", line ")
}

/// `KeyError: 'port'`, `shop.errors.Unhappy`; not the `INFO: …` of another thread.
fn is_python_error(line: &str) -> bool {
    const LEVELS: [&str; 7] = ["DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"];
    let name = line.split_once(": ").map_or(line, |(name, _)| name);
    let is_name = |c: char| c.is_alphanumeric() || "_.<>".contains(c);
    let is_class = name.contains('.') || name.starts_with(|c: char| c.is_uppercase() || c == '_');
    is_class && name.chars().all(is_name) && !LEVELS.contains(&name)
}

fn is_python_syntax_error(line: &str) -> bool {
    ["SyntaxError: ", "IndentationError: ", "TabError: "].iter().any(|start| line.starts_with(start))
}

/// It follows what the program said about it, like a traceback.
fn is_goroutine(line: &str) -> bool {
    line.starts_with("goroutine ") && line.ends_with("]:")
}

/// What stands between the indented frames of goroutines, and behind them.
fn is_of_go(entry: &str, line: &str) -> bool {
    const STARTS: [&str; 8] = [
        "[signal ",
        "[originating from goroutine ",
        "runtime: ",
        "runtime stack:",
        "created by ",
        "...additional frames elided",
        "PC=0x",
        "exit status ",
    ];
    let is_overflow = entry.starts_with("runtime: ") && line.starts_with("fatal error: ");
    STARTS.iter().any(|start| line.starts_with(start)) || is_go_call(line) || is_register(line) || is_overflow
}

/// `main.(*shop).sell(0x1, {0x2, 0x3})`, `panic({…})`.
fn is_go_call(line: &str) -> bool {
    let Some((name, arguments)) = line.split_once('(') else {
        return false;
    };
    let is_name = |c: char| c.is_alphanumeric() || "_./-~%".contains(c);
    let is_function = name == "panic" || name.contains('.') && name.chars().all(is_name);
    is_function && arguments.ends_with(')')
}

/// `rax    0xca`.
fn is_register(line: &str) -> bool {
    let Some((name, value)) = line.split_once(' ') else {
        return false;
    };
    let digits = value.trim_ascii_start().strip_prefix("0x");
    name.len() <= 6 && digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Node {
    fn next(self, entry: &str, line: &str) -> Option<Trace> {
        let next = match self {
            Self::Place if is_node_place(line) => return None,
            Self::Place => Self::Code,
            Self::Code if is_mark(line) => Self::Thrown { lines: 0 },
            _ if line.starts_with("Node.js v") => return Some(Trace::Nothing),
            _ if line.starts_with("    at ") || is_node_remark(line) => Self::Frames,
            Self::Thrown { lines: THROWN_LINES_MAX } => return None,
            Self::Thrown { lines } => Self::Thrown { lines: lines + 1 },
            Self::Frames if line == "}" && !entry.ends_with("\n}") => Self::Frames,
            _ => return None,
        };
        Some(Trace::Node(next))
    }
}

fn is_node_remark(line: &str) -> bool {
    line.starts_with("(Use `node --trace-uncaught") || line == "Thrown at:"
}

/// `/app/x.js:3`, `node:internal/process/promises:394`: a whole line that Node prints above an error it did not catch.
fn is_node_place(line: &str) -> bool {
    const ENDS: [&str; 6] = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];
    let file = line.trim_end_matches(|c: char| c.is_ascii_digit());
    let Some(file) = file.strip_suffix(':').filter(|_| file.len() < line.len()) else {
        return false;
    };
    let is_file = file.starts_with("node:") || ENDS.iter().any(|end| file.ends_with(end));
    is_file && !file.contains(' ')
}

/// What points at a place in the line of code above.
fn is_mark(line: &str) -> bool {
    let mark = line.trim_ascii();
    !mark.is_empty() && mark.bytes().all(|byte| byte == b'^' || byte == b'~')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Ruby {
    fn next(self, entry: &str, line: &str) -> Option<Self> {
        match self {
            _ if line.starts_with("\tfrom ") || line.starts_with("Did you mean?") => Some(Self::Frames),
            Self::Error if line.is_empty() && points_at_code(entry) => Some(Self::Blank),
            Self::Blank if !is_ruby_error(line) => Some(Self::Code),
            Self::Code if is_mark(line) => Some(Self::Frames),
            Self::Frames if is_ruby_error(line) && has_cause(entry, line) => Some(Self::Frames),
            _ => None,
        }
    }
}

/// Whether an error with this line is what caused the entry's. It has the same form, so another one must have been raised
/// while one was rescued, and not be the same once more: that is a program that was started again.
fn has_cause(entry: &str, line: &str) -> bool {
    entry.contains("rescue in ") && !entry.starts_with(line)
}

/// For these, Ruby shows the place in the code.
fn points_at_code(error: &str) -> bool {
    ["NameError)", "NoMethodError)", "TypeError)", "ArgumentError)"].iter().any(|end| error.ends_with(end))
}

/// `x.rb:3:in 'f': message (Unhappy)`; older ones open the quotes with a backtick.
fn is_ruby_error(line: &str) -> bool {
    // The end first: nearly every line is judged by it alone.
    let Some((place, message)) = line.ends_with(')').then(|| line.split_once(":in ")).flatten() else {
        return false;
    };
    let has_line = place.rsplit_once(':').is_some_and(|(file, number)| is_number(number) && !file.is_empty());
    has_line && message.starts_with(['`', '\'']) && message.contains("': ")
}

impl Rust {
    fn next(self, line: &str) -> Option<Self> {
        const STARTS: [&str; 6] = [
            "note: ",
            "stack backtrace:",
            "fatal runtime error: ",
            "thread panicked while ",
            "thread caused non-unwinding panic",
            "query stack during panic:",
        ];
        let is_brackets = !line.is_empty() && line.bytes().all(|byte| b"}])>,".contains(&byte));
        match self {
            Self::Place => Some(Self::Message),
            Self::Message if is_brackets || STARTS.iter().any(|start| line.starts_with(start)) => Some(Self::Message),
            Self::Message => None,
        }
    }
}

/// `thread 'main' (7) panicked at src/main.rs:3:5:`, or with the message on the same line as before Rust 1.73.
fn rust_panic(line: &str) -> Option<Rust> {
    let thread = line.strip_prefix("thread '")?;
    if thread.contains(" panicked at ") {
        return Some(if line.ends_with(':') { Rust::Place } else { Rust::Message });
    }
    thread.ends_with(" has overflowed its stack").then_some(Rust::Message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How the lines fall into entries.
    fn entries(lines: &[&str]) -> Vec<Vec<String>> {
        let mut entries: Vec<Vec<String>> = Vec::new();
        let mut trace = Trace::Nothing;
        for line in lines {
            match entries.last_mut() {
                Some(entry) if trace.accept(&entry.join("\n"), line) => entry.push((*line).to_owned()),
                _ => {
                    trace = Trace::begin(line);
                    entries.push(vec![(*line).to_owned()]);
                }
            }
        }
        entries
    }

    #[track_caller]
    fn check(expected: &[&[&str]]) {
        assert_eq!(entries(&expected.concat()), expected.iter().map(|entry| entry.to_vec()).collect::<Vec<_>>());
    }

    #[track_caller]
    fn apart(lines: &[&str]) {
        check(&lines.iter().map(std::slice::from_ref).collect::<Vec<_>>());
    }

    #[test]
    fn the_contract() {
        check(&[&["a", " b", "\tc", "", "  "], &["d"]]);
        check(&[&["ERROR oops", "Traceback (most recent call last):", "File \"x.py\", line 1"], &["next"]]);
        check(&[&["  nothing before it"], &["a"]]);
        check(&[&[""], &["a"]]);
    }

    #[test]
    fn lines_that_look_like_errors_stay_apart() {
        apart(&["started", "ValueError: x", "KeyError: 'y'", "java.lang.IllegalStateException: z", "Error: q"]);
        apart(&[
            "a",
            "panic: x",
            "fatal error: x",
            "thread 'x' panicked at 'y', z.rs:1:2",
            "x.rb:1:in `f': y (Z)",
            "b",
        ]);
        apart(&["x.rb:1:in `f': a (A)", "x.rb:2:in `f': b (B)", "note: n", "stack backtrace:", "}", "Node.js v20"]);
        apart(&["/app/x.js:3", "/app/y.js:4", "node:fs:5"]);
        apart(&["created by main.main", "main.main()", "exit status 2", "[signal SIGSEGV]", "rax 0x1"]);
    }

    #[test]
    fn a_traceback_ends_with_its_error() {
        let trace = ["Traceback (most recent call last):", "  File \"x.py\", line 1, in f", "    f()", "shop.Unhappy"];
        check(&[&trace, &["KeyError: 'another'"]]);
        check(&[&trace, &trace]);
        check(&[&trace[..3], &["INFO:     another thread's"], &["KeyError: 'late'"]]);
        check(&[&trace[..3], &["listening on port 80"]]);
        check(&[&trace[..3], &trace]);
        check(&[&["  File \"x.py\", line 1, in f", "    print_stack()"], &["Ready: yes"]]);
        check(&[&["During handling of the above exception, another exception occurred:"], &["x"]]);
    }

    #[test]
    fn a_group_follows_what_it_is_chained_to() {
        let group =
            ["  + Exception Group Traceback (most recent call last):", "  | ExceptionGroup: x (1 sub-exception)"];
        let chain = "The above exception was the direct cause of the following exception:";
        check(&[&group, &group]);
        check(&[&[&group[..], &["", chain, ""], &group].concat()]);
    }

    #[test]
    fn java_and_dotnet() {
        check(&[&["java.lang.E: x", "\tat a.B.c(B.java:1)", "Caused by: java.lang.F: y", "\t... 12 more"], &["next"]]);
        check(&[
            &[
                "Unhandled exception. System.InvalidOperationException: outer",
                " ---> System.ArgumentException: inner",
                "   at P.F() in /x.cs:line 3",
                "   --- End of inner exception stack trace ---",
                "   at P.G() in /x.cs:line 4",
                "--- End of stack trace from previous location ---",
                "   at P.Main() in /x.cs:line 9",
            ],
            &["next"],
        ]);
    }

    #[test]
    fn go() {
        check(&[
            &[
                "http: panic serving 10.0.0.1:5: boom",
                "goroutine 7 [running]:",
                "net/http.(*conn).serve.func1()",
                "\tx",
            ],
            &["GET (x)"],
        ]);
        let dump =
            ["SIGQUIT: quit", "PC=0x46c m=0 sigcode=0", "", "goroutine 1 [select, 2 minutes]:", "main.main()", "\tx"];
        check(&[&[&dump[..], &["created by main.f[...]", "\tx", "", "rax    0xca"]].concat(), &["panic: next"]]);
        let overflow = ["runtime: goroutine stack exceeds 1000000000-byte limit", "fatal error: stack overflow", ""];
        check(&[&[&overflow[..], &["runtime stack:", "...additional frames elided..."]].concat(), &["next (x)"]]);
    }

    #[test]
    fn node() {
        let death =
            ["/app/x.js:3", "throw e", "^", "Error: two", "lines", "    at f (/app/x.js:3:9)", "", "Node.js v22.1.0"];
        check(&[&death, &death, &["next"]]);
        check(&[&["Error: x", "    at f (/app/x.js:3:9) {", "  code: 1", "}"], &["}"]]);
        check(&[&["/app/x.js:3", "f()"], &["next"]]);
    }

    #[test]
    fn ruby() {
        let error = ["x.rb:4:in `rescue in f': outer (A)", "\tfrom x.rb:9:in `<main>'"];
        let cause = ["x.rb:2:in `f': inner (B)", "\tfrom x.rb:9:in `<main>'"];
        check(&[&[error, cause].concat(), &[error, cause].concat(), &["next"]]);
        check(&[&cause, &["y.rb:2:in 'Object#f': another (C)", "\tfrom y.rb:9:in '<main>'"]]);
        check(&[&["x.rb:1:in 'f': undefined (NameError)", "", "nmae", "^^^^", "Did you mean?  name"], &["next"]]);
        check(&[&["x.rb:1:in 'f': other (Unhappy)", ""], &["next"]]);
    }

    #[test]
    fn rust() {
        check(&[
            &[
                "",
                "thread 'main' (7) panicked at src/main.rs:1:2:",
                "no port: Unhappy {",
                "    a: 1,",
                "}",
                "note: run with",
            ],
            &["next"],
        ]);
        check(&[&["thread 'main' panicked at 'old', x.rs:1:2", "note: run with"], &["next"]]);
        check(&[&["thread 'main' has overflowed its stack", "fatal runtime error: stack overflow"], &["next"]]);
    }

    #[test]
    fn colours_do_not_matter() {
        check(&[&["\x1b[31mpanic: x\x1b[0m", "\x1b[2m\tat\x1b[0m", "\x1b[1mgoroutine 1 [running]:\x1b[0m"], &["next"]]);
    }

    proptest! {
        /// Whatever went before: ordinary lines are never joined to anything but an open report.
        #[test]
        fn ordinary_lines_stay_apart(lines in prop::collection::vec("([A-Z][a-z]+(Error|Exception)|[a-z]+): [a-z ]{0,9}", 0..9)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(entries(&lines).len(), lines.len());
        }
    }
}
