//! Which containers are watched: names, in which `*` stands for any run of characters.

/// Watched containers, as `CONTAINERS` names them. None named: all.
#[derive(Debug, Default)]
pub(crate) struct Patterns(Vec<String>);

impl Patterns {
    pub(crate) const fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Walks both once; at a mismatch the last `*` takes one character more. Its time is bounded by the product of both
/// lengths, whatever the pattern.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            (p, n) = (star + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], name: &str, expected: bool) {
        let patterns = Patterns::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect());
        assert_eq!(patterns.matches(name), expected, "{patterns:?} {name}");
    }

    #[test]
    fn names_and_stars() {
        check(&[], "anything", true);
        check(&["web"], "web", true);
        check(&["web"], "web-1", false);
        check(&["web"], "Web", false);
        check(&["web*"], "web", true);
        check(&["*-db"], "shop-db", true);
        check(&["*-db"], "shop-db-1", false);
        check(&["m*p*b"], "myapp_db", true);
        check(&["m*p*b"], "myapp_dc", false);
        check(&["*a*b*a*"], "xaxbxxax", true);
        check(&["db", "web-*"], "web-7", true);
        check(&["**"], "", true);
        check(&["a*"], "", false);
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches("*a".repeat(60).as_bytes(), "a".repeat(59).as_bytes()));
        assert!(!matches(("*a".repeat(40) + "b").as_bytes(), "a".repeat(10_000).as_bytes()));
    }
}
