//! Whether a caller knows the key, found out in a time that tells nothing about it.

use subtle::ConstantTimeEq as _;

use crate::env::Secret;

/// The key that callers must show.
#[derive(Clone, Debug)]
pub struct ApiKey(Secret);

impl ApiKey {
    /// Callers must show `secret`. With an empty one nobody gets in.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Whether `candidate` is the key. The time it takes depends on the candidate's length alone.
    pub fn matches(&self, candidate: &str) -> bool {
        if candidate.is_empty() {
            return false;
        }
        let key = self.0.expose().as_bytes();
        // The key is repeated as often as the candidate is long, so that not even its length shows.
        let same_length = key.len().ct_eq(&candidate.len());
        let same = candidate.bytes().zip(key.iter().cycle()).fold(same_length, |same, (a, b)| same & a.ct_eq(b));
        same.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, candidate: &str, expected: bool) {
        assert_eq!(ApiKey::new(Secret::new(key)).matches(candidate), expected, "{key:?} {candidate:?}");
    }

    #[test]
    fn only_the_key_matches() {
        check("secret", "secret", true);
        check("sécret – \0", "sécret – \0", true);
        check("secret", "Secret", false);
        check("secret", "secreT", false);
        check("secret", "secre", false);
        check("secret", "secrets", false);
        check("secret", "secretsecret", false);
        check("aa", "a", false);
        check("a", "aa", false);
    }

    #[test]
    fn nothing_empty_matches() {
        check("", "", false);
        check("", "x", false);
        check("secret", "", false);
    }

    #[test]
    fn never_prints_the_key() {
        assert_eq!(format!("{:?}", ApiKey::new(Secret::new("secret"))), "ApiKey(***)");
    }
}
