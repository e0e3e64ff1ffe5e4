//! Names, projects, and the series of a metric.

use rusqlite::{Connection, Row, params};

use crate::series::{SeriesId, Type};

/// A series, as long as it is looked at: the labels of all of them may be more than there is memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named<'r> {
    pub(crate) id: SeriesId,
    pub(crate) name: &'r str,
    pub(crate) kind: Type,
    pub(crate) labels: &'r str,
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

/// Calls `each` with the series of a name, by id; of one project and one type only, if these are given.
pub(crate) fn for_each_member<E: From<rusqlite::Error>>(
    conn: &Connection,
    name: &str,
    project: Option<&str>,
    kind: Option<Type>,
    each: &mut dyn FnMut(&Named<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT id, name, type, labels FROM series
               WHERE name = ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR type = ?3) ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![name, project, kind.map(Type::name)])?;
    while let Some(row) = rows.next()? {
        each(&named(row)?)?;
    }
    Ok(())
}

/// Calls `each` with all series, by id; of one project only, if that is given.
pub(crate) fn for_each_series(
    conn: &Connection,
    project: Option<&str>,
    each: &mut dyn FnMut(&Named<'_>),
) -> rusqlite::Result<()> {
    let sql = "SELECT id, name, type, labels FROM series WHERE ?1 IS NULL OR project = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([project])?;
    while let Some(row) = rows.next()? {
        each(&named(row)?);
    }
    Ok(())
}

fn named<'r>(row: &'r Row<'_>) -> rusqlite::Result<Named<'r>> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
    Ok(Named { id: row.get(0)?, name: text(1)?, kind: kind_of(row, 2)?, labels: text(3)? })
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
            let mut ids = Vec::new();
            let mut each = |member: &Named<'_>| {
                ids.push(member.id);
                Ok(())
            };
            for_each_member::<rusqlite::Error>(&conn, "a", project, kind, &mut each).expect("series");
            ids
        };
        assert_eq!(ids(None, None), [2, 3, 4]);
        assert_eq!(ids(Some("web"), Some(Type::Counter)), [3]);
        let mut all = Vec::new();
        for_each_series(&conn, Some("web"), &mut |series| all.push(series.id)).expect("series");
        assert_eq!(all, [2, 3]);
    }
}
