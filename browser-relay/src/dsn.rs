//! DSN keys: public words that tell which project a page belongs to. All active ones are in memory, so that a wrong key costs
//! no disk, however often it is tried.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use common::json::Invalid;
use common::query::Query;

use crate::cors::Origins;

/// Active keys at a time; some 300 bytes of memory each.
pub(crate) const KEYS_MAX: usize = 10_000;
/// Bytes of all active keys with their projects and origins: a key may have 8 KB of origins, but not all of them.
pub(crate) const KEYS_BYTES_MAX: usize = 2 << 20;
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
    /// Deactivated before they were added: what one commit holds is told in any order.
    removed_early: HashSet<i64>,
}

impl Keys {
    /// Adds a key that is in the database, unless it was deactivated meanwhile.
    pub(crate) fn add(&self, key: String, dsn: Dsn) {
        let mut maps = self.write();
        if !maps.removed_early.remove(&dsn.id) {
            let dsn = Arc::new(dsn);
            maps.by_id.insert(dsn.id, Arc::clone(&dsn));
            maps.by_key.insert(key, dsn);
        }
    }

    /// Forgets a key that has just been deactivated.
    pub(crate) fn remove(&self, id: i64) {
        let mut maps = self.write();
        if maps.by_id.remove(&id).is_none() {
            maps.removed_early.insert(id);
        }
        maps.by_key.retain(|_, dsn| dsn.id != id);
    }

    /// The key's project and origins.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Dsn>> {
        self.read().by_key.get(key).cloned()
    }

    /// The same by its id.
    pub(crate) fn find_id(&self, id: i64) -> Option<Arc<Dsn>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Whether any key has origins of its own that allow this one.
    pub(crate) fn any_allows(&self, origin: &str) -> bool {
        self.read().by_id.values().any(|dsn| dsn.origins.as_ref().is_some_and(|origins| origins.allow(origin)))
    }

    fn read(&self) -> RwLockReadGuard<'_, Maps> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Maps> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request offers as its key: the header, else the parameter `key`.
pub(crate) fn candidate<'a>(header: Option<&'a str>, query: Option<&'a Query>) -> Option<&'a str> {
    header.or_else(|| query?.text("key"))
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
        keys.add("one".into(), Dsn { id: 1, project: "web".into(), origins: None });
        keys.add("two".into(), Dsn { id: 2, project: "shop".into(), origins: Some(origins) });
        assert_eq!(keys.find("one").map(|dsn| dsn.project.clone()), Some("web".into()));
        assert_eq!(keys.find("One"), None);
        assert!(keys.any_allows("https://a.example"));
        assert!(!keys.any_allows("https://b.example"));
        keys.remove(2);
        assert!(keys.find("two").is_none() && keys.find_id(2).is_none() && !keys.any_allows("https://a.example"));
        assert!(keys.find("one").is_some());
    }

    #[test]
    fn a_key_deactivated_in_the_commit_that_made_it_lets_nobody_in() {
        let keys = Keys::default();
        let dsn = Dsn { id: 7, project: "web".into(), origins: None };
        keys.remove(7);
        keys.add("seven".into(), dsn);
        assert!(keys.find("seven").is_none() && keys.find_id(7).is_none());
        assert!(keys.read().removed_early.is_empty());
    }

    #[test]
    fn the_header_comes_before_the_parameter() {
        let query = Query::parse("key=a%20b").expect("a query");
        assert_eq!(candidate(Some("h"), Some(&query)), Some("h"));
        assert_eq!(candidate(Some(""), Some(&query)), Some(""));
        assert_eq!(candidate(None, Some(&query)), Some("a b"));
        assert_eq!(candidate(None, None), None);
    }
}
