//! DSN keys: public words that tell which project a page belongs to. All active ones are in memory, so that a wrong key costs
//! no disk, however often it is tried.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use common::json::Invalid;
use common::query::Query;

use crate::cors::Origins;

/// Active keys at a time; some 200 bytes of memory each.
pub(crate) const KEYS_MAX: usize = 10_000;
/// The longest key; ours have 32.
pub(crate) const KEY_BYTES_MAX: usize = 64;
/// The longest name of a project.
pub(crate) const PROJECT_BYTES_MAX: usize = 100;

/// An active key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dsn {
    pub(crate) id: i64,
    pub(crate) project: String,
    /// The pages that may use it; none of its own means those of `CORS_ORIGINS`.
    pub(crate) origins: Option<Origins>,
}

/// All active keys.
#[derive(Debug, Default)]
pub(crate) struct Keys(RwLock<Maps>);

#[derive(Debug, Default)]
struct Maps {
    by_key: HashMap<String, Arc<Dsn>>,
    by_id: HashMap<i64, Arc<Dsn>>,
}

impl Keys {
    /// Replaces all keys.
    pub(crate) fn set(&self, keys: impl IntoIterator<Item = (String, Dsn)>) {
        let mut maps = Maps::default();
        for (key, dsn) in keys {
            let dsn = Arc::new(dsn);
            maps.by_id.insert(dsn.id, Arc::clone(&dsn));
            maps.by_key.insert(key, dsn);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = maps;
    }

    /// The key's project and origins.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Dsn>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
    }

    /// The same by its id.
    pub(crate) fn find_id(&self, id: i64) -> Option<Arc<Dsn>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// Whether any key has origins of its own that allow this one.
    pub(crate) fn any_allows(&self, origin: &str) -> bool {
        let maps = self.0.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_key.values().any(|dsn| dsn.origins.as_ref().is_some_and(|origins| origins.allow(origin)))
    }
}

/// What a request offers as its key: the header, else the parameter `key`.
pub(crate) fn candidate<'a>(header: Option<&'a str>, query: &'a Query) -> Option<&'a str> {
    header.or_else(|| query.text("key"))
}

/// A new key: 32 hexadecimal digits of the system's randomness.
pub(crate) fn new_key() -> std::io::Result<String> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// Reads an entry of `DSN_KEYS`, `project:key`.
pub(crate) fn parse_seed(entry: &str) -> Result<(String, String), String> {
    // A project may hold a colon, a key does not.
    let (project, key) = entry.rsplit_once(':').ok_or("expected project:key")?;
    let (project, key) = (project.trim(), key.trim());
    check_project(project).map_err(|invalid| invalid.detail)?;
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("expected a key of 1 to {KEY_BYTES_MAX} visible ASCII characters"));
    }
    Ok((project.into(), key.into()))
}

/// Refuses a name that is empty or too long.
pub(crate) fn check_project(project: &str) -> Result<(), Invalid> {
    if (1..=PROJECT_BYTES_MAX).contains(&project.len()) {
        return Ok(());
    }
    Err(Invalid::new(format!("Field 'project' must be 1-{PROJECT_BYTES_MAX} characters"))
        .because(format!("it has {} bytes", project.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_project_and_a_key() {
        let seed = |project: &str, key: &str| Ok((project.to_owned(), key.to_owned()));
        assert_eq!(parse_seed(" web : abc "), seed("web", "abc"));
        assert_eq!(parse_seed("team:web:abc"), seed("team:web", "abc"));
        for bad in ["web", "web:", ":abc", "web:a b", "web:é"] {
            assert!(parse_seed(bad).is_err(), "{bad}");
        }
        assert!(parse_seed(&format!("{}:k", "x".repeat(101))).is_err());
        assert!(parse_seed(&format!("p:{}", "x".repeat(65))).is_err());
    }

    #[test]
    fn new_keys_are_32_hexadecimal_digits() {
        let (a, b) = (new_key().expect("randomness"), new_key().expect("randomness"));
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{a}");
    }

    #[test]
    fn keys_are_found_and_tell_their_origins() {
        let keys = Keys::default();
        let origins = Origins::parse(&["https://a.example"]).expect("an origin");
        keys.set([
            ("one".to_owned(), Dsn { id: 1, project: "web".into(), origins: None }),
            ("two".to_owned(), Dsn { id: 2, project: "shop".into(), origins: Some(origins) }),
        ]);
        assert_eq!(keys.find("one").map(|dsn| dsn.project.clone()), Some("web".into()));
        assert_eq!(keys.find("One"), None);
        assert!(keys.any_allows("https://a.example"));
        assert!(!keys.any_allows("https://b.example"));
    }

    #[test]
    fn the_header_comes_before_the_parameter() {
        let query = Query::parse("key=a%20b").expect("a query");
        assert_eq!(candidate(Some("h"), &query), Some("h"));
        assert_eq!(candidate(Some(""), &query), Some(""));
        assert_eq!(candidate(None, &query), Some("a b"));
    }
}
