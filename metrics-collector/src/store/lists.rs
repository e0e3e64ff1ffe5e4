//! Names, projects, and the series of a metric.

use rusqlite::{Connection, Row, params};

use crate::series::{SeriesId, Type};

/// A series and what tells it from others of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: SeriesId,
    pub(crate) kind: Type,
    pub(crate) labels: String,
}

/// A series with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: SeriesId,
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) labels: String,
}

/// All names with their types, ascending; of a project, or of all.
pub(crate) fn names(conn: &Connection, project: Option<&str>) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT DISTINCT name, type FROM series WHERE ?1 IS NULL OR project = ?1 ORDER BY name, type";
    conn.prepare_cached(sql)?.query_map([project], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// All projects, ascending.
pub(crate) fn projects(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT DISTINCT project FROM series WHERE project <> '' ORDER BY project";
    conn.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The series of a name, by id; of one project and one type only, if these are given.
pub(crate) fn members(
    conn: &Connection,
    name: &str,
    project: Option<&str>,
    kind: Option<Type>,
) -> rusqlite::Result<Vec<Member>> {
    let sql = "SELECT id, type, labels FROM series
               WHERE name = ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR type = ?3) ORDER BY id";
    let member = |row: &Row<'_>| Ok(Member { id: row.get(0)?, kind: kind_of(row, 1)?, labels: row.get(2)? });
    conn.prepare_cached(sql)?.query_map(params![name, project, kind.map(Type::name)], member)?.collect()
}

/// Calls `each` with all series, by id; of one project only, if that is given.
pub(crate) fn for_each_series(
    conn: &Connection,
    project: Option<&str>,
    each: &mut dyn FnMut(Named),
) -> rusqlite::Result<()> {
    let sql = "SELECT id, name, type, labels FROM series WHERE ?1 IS NULL OR project = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([project])?;
    while let Some(row) = rows.next()? {
        each(Named { id: row.get(0)?, name: row.get(1)?, kind: kind_of(row, 2)?, labels: row.get(3)? });
    }
    Ok(())
}

/// Nothing but our words is stored; a file edited by hand may hold others, which count as gauges: they promise the least.
fn kind_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Type> {
    Ok(Type::parse(row.get_ref(column)?.as_str()?).unwrap_or(Type::Gauge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    #[test]
    fn lists_are_distinct_and_ascending() {
        let conn = database();
        for (name, kind, project, labels) in [
            ("b", "gauge", "", "{}"),
            ("a", "histogram", "web", "{}"),
            ("a", "counter", "web", "{}"),
            ("a", "counter", "app", r#"{"x":1}"#),
        ] {
            let sql = "INSERT INTO series (name, type, project, labels, last_hour) VALUES (?1, ?2, ?3, ?4, 0)";
            conn.execute(sql, [name, kind, project, labels]).expect("a series");
        }
        let pair = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        assert_eq!(names(&conn, None), Ok(vec![pair("a", "counter"), pair("a", "histogram"), pair("b", "gauge")]));
        assert_eq!(names(&conn, Some("app")), Ok(vec![pair("a", "counter")]));
        assert_eq!(projects(&conn), Ok(vec!["app".into(), "web".into()]));
        let ids = |project, kind| -> Vec<SeriesId> {
            members(&conn, "a", project, kind).expect("series").into_iter().map(|member| member.id).collect()
        };
        assert_eq!(ids(None, None), [2, 3, 4]);
        assert_eq!(ids(Some("web"), Some(Type::Counter)), [3]);
        let mut all = Vec::new();
        for_each_series(&conn, Some("web"), &mut |series| all.push(series.id)).expect("series");
        assert_eq!(all, [2, 3]);
    }
}
