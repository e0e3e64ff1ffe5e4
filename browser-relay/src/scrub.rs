//! Takes secrets out of what pages send along. Names decide: what is called a password is replaced, whatever it holds.

use std::borrow::Cow;

/// What stands in the place of a secret.
const REPLACEMENT: &str = "\"[scrubbed]\"";

/// A member whose name contains one of these, in any case and with `-`, `_`, `.` and spaces left out, is a secret.
/// `docs/browser-relay.md` lists them.
const SECRETS: [&str; 15] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "creditcard",
    "cardnumber",
    "cvv",
];

/// Valid JSON without white space between its parts, and with the values of secret members replaced, however deep they are.
pub(crate) fn scrub(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut scrubbed = String::with_capacity(json.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                let text = &json[at..end];
                scrubbed.push_str(text);
                at = skip_space(bytes, end);
                // Only the name of a member is followed by a colon.
                if bytes.get(at) == Some(&b':') {
                    scrubbed.push(':');
                    at = skip_space(bytes, at + 1);
                    if is_secret(text) {
                        scrubbed.push_str(REPLACEMENT);
                        at = value_end(bytes, at);
                    }
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                // Numbers, words and punctuation are ASCII in valid JSON.
                scrubbed.push(char::from(bytes[at]));
                at += 1;
            }
        }
    }
    scrubbed
}

/// Whether a member of this name, a JSON string, is a secret.
fn is_secret(name: &str) -> bool {
    let decoded: Cow<'_, str> = match serde_json::from_str::<String>(name) {
        Ok(decoded) => decoded.into(),
        Err(_) => name.into(),
    };
    let folded: String =
        decoded.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).flat_map(char::to_lowercase).collect();
    SECRETS.iter().any(|secret| folded.contains(secret))
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b'}' | b']' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Where the string that opens at `open` ends, its quotes included.
fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(scrub(json), expected);
    }

    #[test]
    fn secrets_are_replaced_wherever_they_are() {
        check(r#"{"password":"x","user":"u"}"#, r#"{"password":"[scrubbed]","user":"u"}"#);
        check(r#"{ "a" : [ {"apiKey": {"deep": [1, "}"]}, "b": 2} ] }"#, r#"{"a":[{"apiKey":"[scrubbed]","b":2}]}"#);
        check(r#"{"X-Access-Token":null,"n":1.50}"#, r#"{"X-Access-Token":"[scrubbed]","n":1.50}"#);
        check(r#"{"p\u0061ssword":12}"#, r#"{"p\u0061ssword":"[scrubbed]"}"#);
        check(
            r#"{"session_id":"kept","why":"the password is wrong"}"#,
            r#"{"session_id":"kept","why":"the password is wrong"}"#,
        );
        check(r#"["password", {"cvv":true}]"#, r#"["password",{"cvv":"[scrubbed]"}]"#);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("([a-z\"\\\\é]{0,4}|password)", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same, on the parsed value.
    fn scrub_value(value: Value) -> Value {
        match value {
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| {
                    let value = if name == "password" { "[scrubbed]".into() } else { scrub_value(value) };
                    (name, value)
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(items) => items.into_iter().map(scrub_value).collect::<Vec<_>>().into(),
            other => other,
        }
    }

    proptest! {
        #[test]
        fn scrubbing_text_is_scrubbing_the_value(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let scrubbed = scrub(&text.expect("JSON"));
            let scrubbed: Value = serde_json::from_str(&scrubbed).expect("still JSON");
            prop_assert_eq!(scrubbed, scrub_value(value));
        }
    }
}
