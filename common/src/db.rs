//! Opens the database file: lock, pragmas, migrations, backup, readers. The only read-write connection goes to the
//! [writer](crate::writer); everybody else gets a [`Reader`].

use std::fmt;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::ErrorKind;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::prometheus::Page;

/// How long SQLite waits for another process's lock (an operator's shell, a backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the writer does: everybody who writes waits with it.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest a reader's query may run: a long read holds the write-ahead log open and a worker busy.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(5);
/// SQLite asks whether to go on after so many steps of its virtual machine. A row takes ten or so; few enough that rows of
/// 256 KB, each searched through, do not put the question off.
const STEPS_BETWEEN_CHECKS: i32 = 500;
/// The writer's page cache, KiB: it holds the hot index pages.
const WRITER_CACHE_KIB: u32 = 2048;
/// A reader's page cache, KiB: lists and searches stream through it, a larger one gains nothing (the kernel caches too).
const READER_CACHE_KIB: u32 = 256;
/// All that SQLite may hold in this process; beyond it a query fails instead of the process being killed.
const HEAP_BYTES_MAX: u64 = 12 << 20;
/// The write-ahead log is copied into the file after so many pages (15 MB): hot pages are then written once, not often. With
/// a batch behind them they are as a rule still fewer than [`LOG_PAGES_KEPT`].
const CHECKPOINT_PAGES: u32 = 3600;
/// What the log's file is cut back to after it was longer: the pages that the first 32 KB of its index (`-shm`) know
/// (<https://sqlite.org/walformat.html>). So it is the log that a full disk has no room for, never more of the index: a write
/// would fail when its pages are in the log already, and there would be no start without the rest of the index.
const LOG_PAGES_KEPT: u64 = 4062;
/// The log's own head, and before each page the page's.
const LOG_BYTES_KEPT: u64 = 32 + LOG_PAGES_KEPT * (24 + PAGE_BYTES);
/// SQLite's default, also the original's.
const PAGE_BYTES: u64 = 4096;

/// Prepared statements kept per connection: all that a service has.
const STATEMENTS_KEPT: usize = 64;

/// One step of the schema. Applied in order, never edited after a release.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The number that `_meta.schema_version` holds once the step is done.
    pub version: u32,
    /// What it does, for the log.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Why the database cannot be used. Its text says what to do.
#[derive(Debug)]
pub struct OpenError(String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

/// An open database: where it is, and the lock that keeps a second process out.
pub struct Database {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    _lock: File,
}

impl Database {
    /// Takes the file for this process, brings its schema up to date, and returns it with the writer's connection.
    ///
    /// # Errors
    /// The folder is missing or not writable, another process has the file, the file is not this service's or of a newer version,
    /// or a migration fails (the file is then as it was before).
    pub fn open(path: &Path, service: &str, migrations: &[Migration]) -> Result<(Self, Connection), OpenError> {
        let folder = folder_of(path);
        check_folder(folder)?;
        check_files(path)?;
        let lock = take_lock(path)?;
        let about = |error: rusqlite::Error| OpenError(format!("database {}: {error}", path.display()));
        let mut conn = open_file(path).map_err(about)?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(about)?;
        // Before anything is changed: a file that is refused stays as it is.
        check_service(&conn, path, service)?;
        let current = check_version(&conn, path, migrations)?;
        prepare_file(&conn, folder).map_err(about)?;
        migrate(&mut conn, path, current, migrations)?;
        mark_service(&conn, service).map_err(about)?;
        shrink_if_original(&conn);
        conn.busy_timeout(WRITER_BUSY_TIMEOUT).map_err(about)?;
        Ok((Self { path: path.to_owned(), ending: Arc::default(), _lock: lock }, conn))
    }

    /// A read-only connection.
    pub fn reader(&self) -> rusqlite::Result<Reader> {
        Reader::open(&self.path, Arc::clone(&self.ending))
    }

    /// Breaks off all queries that have a time limit, for good: nobody waits for them any longer.
    pub fn end_queries(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Appends the sizes of the database file and of its write-ahead log.
    pub fn render(&self, page: &mut Page) {
        let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
        page.gauge("monlight_database_bytes", "Size of the database file.", size(&self.path));
        let log = with_suffix(&self.path, "-wal");
        page.gauge("monlight_database_wal_bytes", "Size of its write-ahead log.", size(&log));
    }
}

/// A read-only connection whose queries end after [`QUERY_TIME_MAX`].
pub struct Reader {
    conn: Connection,
    deadline: Arc<AtomicU64>,
}

/// Deadlines are milliseconds since the first one was set.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The deadline of a query that may take as long as it does.
const NO_LIMIT: u64 = u64::MAX;

impl Reader {
    fn open(path: &Path, ending: Arc<AtomicBool>) -> rusqlite::Result<Self> {
        let mut conn =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        keep_plans(&conn)?;
        conn.execute_batch(&format!("PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE_KIB};"))?;
        let deadline = Arc::new(AtomicU64::new(NO_LIMIT));
        let seen = Arc::clone(&deadline);
        let is_over = move || {
            let deadline = seen.load(Ordering::Relaxed);
            deadline != NO_LIMIT && (ending.load(Ordering::Relaxed) || EPOCH.elapsed().as_millis() as u64 > deadline)
        };
        conn.progress_handler(STEPS_BETWEEN_CHECKS, Some(is_over))?;
        Ok(Self { conn, deadline })
    }

    /// Gives the queries up to the next call of this [`QUERY_TIME_MAX`] together. A worker calls it once per request.
    pub fn restart_time_limit(&self) {
        let deadline = (EPOCH.elapsed() + QUERY_TIME_MAX).as_millis() as u64;
        self.deadline.store(deadline, Ordering::Relaxed);
    }
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.conn
    }
}

/// Copies a database, consistent at one moment, while its service runs. The target appears under its name only when it
/// is complete, checked and on disk.
pub fn backup(source: &Path, target: &Path) -> Result<(), OpenError> {
    let about = |error: &dyn fmt::Display| OpenError(format!("backup to {}: {error}", target.display()));
    if !source.is_file() {
        return Err(OpenError(format!("database {}: no such file", source.display())));
    }
    if belongs_to(source, target).map_err(|error| about(&error))? {
        return Err(about(&format!("that file belongs to the database {}", source.display())));
    }
    let unfinished = with_suffix(target, ".unfinished");
    let copied = copy_database(source, &unfinished).and_then(|()| {
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, target)?;
        File::open(folder_of(target))?.sync_all()?;
        Ok(())
    });
    copied.map_err(|error| {
        // Best effort: what is left behind does not look like a backup.
        let _ = fs::remove_file(&unfinished);
        about(&error)
    })
}

/// Whether `target` is the database or one of the files beside it, which a copy would destroy.
fn belongs_to(source: &Path, target: &Path) -> std::io::Result<bool> {
    let source = fs::canonicalize(source)?;
    let target = fs::canonicalize(folder_of(target))?.join(target.file_name().unwrap_or_default());
    Ok(["", "-wal", "-shm", "-journal", ".lock", ".sock"].iter().any(|suffix| with_suffix(&source, suffix) == target))
}

fn copy_database(source: &Path, target: &Path) -> Result<(), Box<dyn std::error::Error>> {
    if target.exists() {
        fs::remove_file(target)?;
    }
    let source = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(BUSY_TIMEOUT)?;
    let mut copy = open_file(target)?;
    let outcome = Backup::new(&source, &mut copy)?.step(-1)?;
    if outcome != StepResult::Done {
        return Err(format!("the copy did not finish: {outcome:?}").into());
    }
    // The copy is one plain file: no log beside it.
    copy.execute_batch("PRAGMA journal_mode = DELETE;")?;
    let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(format!("integrity check: {verdict}").into());
    }
    Ok(())
}

/// Gives up to `pages` free pages back to the file system; how many are left. Part of a job on the writer.
pub fn give_back_pages(tx: &Connection, pages: u32) -> rusqlite::Result<u32> {
    let mut statement = tx.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    tx.query_row("PRAGMA freelist_count", [], |row| row.get(0))
}

#[expect(clippy::disallowed_methods, reason = "the one place that opens files for writing")]
fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open(path)
}

fn check_folder(folder: &Path) -> Result<(), OpenError> {
    let meta = fs::metadata(folder)
        .map_err(|error| OpenError(format!("database folder {}: {error}; create it first", folder.display())))?;
    let probe = folder.join(".monlight-write-probe");
    match File::create(&probe) {
        // A leftover probe is harmless.
        Ok(_) => drop(fs::remove_file(&probe)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(of_another_user("folder", folder, &meta, folder));
        }
        // A full disk is no reason not to start: what is stored can still be read, and writing resumes by itself.
        Err(error) if error.kind() == ErrorKind::StorageFull => {}
        Err(error) => return Err(OpenError(format!("database folder {}: {error}", folder.display()))),
    }
    Ok(())
}

/// A folder made for this user may hold files that another one left, such as root, whom all files of the original belong to.
fn check_files(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = with_suffix(path, suffix);
        let Ok(meta) = fs::metadata(&file) else { continue };
        if File::options().write(true).open(&file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            return Err(of_another_user("file", &file, &meta, folder_of(path)));
        }
    }
    Ok(())
}

/// Says what helps; `deploy/upgrade.sh` reads it and does it.
fn of_another_user(kind: &str, path: &Path, meta: &Metadata, folder: &Path) -> OpenError {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    OpenError(format!(
        "database {kind} {} belongs to user {} and cannot be written by user {uid}; run: chown -R {uid}:{gid} {}",
        path.display(),
        meta.uid(),
        folder.display(),
    ))
}

fn take_lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = with_suffix(path, ".lock");
    let about = |error: std::io::Error| OpenError(format!("lock file {}: {error}", lock_path.display()));
    let lock = File::options().create(true).write(true).truncate(false).open(&lock_path).map_err(about)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(OpenError(format!("database {}: another process is using it", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(about(error)),
    }
}

/// Lets a cached statement keep its plan whatever is bound to it. By default SQLite may look at bound values while planning,
/// and then parses and plans again at every execution with others (CPU of a repeated report: 154 µs with that, 122 without).
fn keep_plans(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Pragmas of the writer's connection and of the file. `auto_vacuum` must come before the first table and before WAL.
fn prepare_file(conn: &Connection, folder: &Path) -> rusqlite::Result<()> {
    keep_plans(conn)?;
    // Scratch files go beside the database: a read-only image has no other place.
    conn.pragma_update(None, "temp_store_directory", folder.to_string_lossy())?;
    // To set it writes, even what is set already, and a start must not fail on a full disk.
    if auto_vacuum(conn)? != INCREMENTAL {
        conn.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    conn.execute_batch(&format!(
        "PRAGMA hard_heap_limit = {HEAP_BYTES_MAX};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = FILE;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES_KEPT};"
    ))
}

/// Files of two services have the same numbers, but not the same tables. The original put no name into its own.
fn check_service(conn: &Connection, path: &Path, service: &str) -> Result<(), OpenError> {
    let sql = "SELECT value FROM _meta WHERE key = 'service'";
    // Without the table it is new, or refused for want of it.
    let owner: Option<String> = conn.query_row(sql, [], |row| row.get(0)).optional().unwrap_or(None);
    match owner.filter(|owner| owner != service) {
        None => Ok(()),
        Some(owner) => {
            Err(OpenError(format!("database {}: expected a file of {service}, this is one of {owner}", path.display())))
        }
    }
}

fn mark_service(conn: &Connection, service: &str) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS _meta (key TEXT PRIMARY KEY, value TEXT)")?;
    conn.execute("INSERT OR IGNORE INTO _meta (key, value) VALUES ('service', ?1)", [service]).map(drop)
}

/// The schema version of the file, if we can work with it.
fn check_version(conn: &Connection, path: &Path, migrations: &[Migration]) -> Result<u32, OpenError> {
    let about = |error: &dyn fmt::Display| OpenError(format!("database {}: {error}", path.display()));
    let newest = newest(migrations);
    let current = schema_version(conn).map_err(|error| about(&error))?;
    if current > newest {
        return Err(about(&format!(
            "schema version {current} is newer than this program's {newest}; use a newer program"
        )));
    }
    Ok(current)
}

fn newest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |last| last.version)
}

/// Applies what is missing in one transaction, with a copy of the file as it was beside it.
fn migrate(conn: &mut Connection, path: &Path, current: u32, migrations: &[Migration]) -> Result<(), OpenError> {
    let newest = newest(migrations);
    if current == newest {
        return Ok(());
    }
    if current > 0 {
        let copy = with_suffix(path, &format!(".before-schema-{newest}"));
        backup(path, &copy)?;
        log::info!("the database as it was is kept in {}", copy.display());
    }
    apply(conn, current, newest, migrations).map_err(|error| {
        OpenError(format!("database {}: migration: {}; nothing was changed", path.display(), reason(error)))
    })
}

/// What went wrong, without the statements of a whole step.
fn reason(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        other => other.to_string(),
    }
}

pub(crate) fn apply(
    conn: &mut Connection,
    current: u32,
    newest: u32,
    migrations: &[Migration],
) -> rusqlite::Result<()> {
    // Dropping a table would otherwise delete the rows that refer to it. Has no effect inside a transaction.
    conn.pragma_update(None, "foreign_keys", false)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS _meta (key TEXT PRIMARY KEY, value TEXT)")?;
    for migration in migrations.iter().filter(|migration| migration.version > current) {
        tx.execute_batch(migration.sql)?;
        log::info!("schema {}: {}", migration.version, migration.name);
    }
    let broken = tx.query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0)).optional()?;
    if let Some(table) = broken {
        return Err(rusqlite::Error::InvalidParameterName(format!("a row of {table} refers to nothing")));
    }
    tx.execute("INSERT OR REPLACE INTO _meta (key, value) VALUES ('schema_version', ?1)", [newest.to_string()])?;
    tx.commit()?;
    conn.pragma_update(None, "foreign_keys", true)
}

/// 0 for a new file. A file with tables but without our mark belongs to something else.
fn schema_version(conn: &Connection) -> Result<u32, Box<dyn std::error::Error>> {
    let tables: u32 =
        conn.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let version: Option<String> = conn
        .query_row("SELECT value FROM _meta WHERE key = 'schema_version'", [], |row| row.get(0))
        .optional()
        .map_err(|_| "not a Monlight database (it has tables, but no _meta)")?;
    let version = version.ok_or("not a Monlight database (no schema_version in _meta)")?;
    Ok(version.trim().parse().map_err(|_| format!("schema_version: expected a number, got {version:?}"))?)
}

/// The value of `auto_vacuum` that gives space back when asked.
const INCREMENTAL: u32 = 2;

fn auto_vacuum(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
}

/// A file of the original gives no space back until it is rewritten once. That needs as much room again, so it is tried
/// at every start until it works.
fn shrink_if_original(conn: &Connection) {
    match auto_vacuum(conn) {
        Ok(INCREMENTAL) => {}
        Ok(_) => match conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM;") {
            Ok(()) => log::info!("the database file was rewritten once, so that it can shrink from now on"),
            Err(error) => log::warn!("the database file cannot shrink yet, the next start tries again: {error}"),
        },
        Err(error) => log::warn!("auto_vacuum cannot be read: {error}"),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `errors.db` and `-wal` make `errors.db-wal`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    const SERVICE: &str = "a-service";

    use std::thread;

    use rusqlite::ErrorCode;
    use rusqlite::functions::{Context, FunctionFlags};

    use super::*;
    use crate::testing::TempDir;

    const FIRST: Migration =
        Migration { version: 1, name: "first", sql: "CREATE TABLE parents (id INTEGER PRIMARY KEY)" };
    const SECOND: Migration = Migration {
        version: 2,
        name: "second",
        sql: "CREATE TABLE children (parent REFERENCES parents (id)); INSERT INTO parents VALUES (7)",
    };

    /// A closed database of version 1 in a folder of its own.
    fn closed() -> (TempDir, PathBuf) {
        let folder = TempDir::new();
        let path = folder.path().join("x.db");
        drop(Database::open(&path, SERVICE, &[FIRST]).expect("a database"));
        (folder, path)
    }

    #[track_caller]
    fn refusal(path: &Path, migrations: &[Migration]) -> String {
        Database::open(path, SERVICE, migrations).err().expect("a refusal").to_string()
    }

    fn one<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
        conn.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).expect("the folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_has_our_pragmas() {
        let folder = TempDir::new();
        let path = folder.path().join("x.db");
        let (database, conn) = Database::open(&path, SERVICE, &[FIRST, SECOND]).expect("a database");
        assert_eq!(one::<String>(&conn, "SELECT value FROM _meta WHERE key = 'schema_version'"), "2");
        assert_eq!(one::<String>(&conn, "PRAGMA journal_mode"), "wal");
        assert_eq!(one::<u32>(&conn, "PRAGMA auto_vacuum"), 2);
        assert_eq!(one::<u32>(&conn, "PRAGMA synchronous"), 2);
        assert_eq!(one::<u32>(&conn, "PRAGMA foreign_keys"), 1);
        drop((conn, database));
        drop(Database::open(&path, SERVICE, &[FIRST, SECOND]).expect("the same file again"));
        assert_eq!(names(&folder), ["x.db", "x.db.lock"], "a new file needs no copy");
    }

    #[test]
    fn a_migration_keeps_a_copy() {
        let (folder, path) = closed();
        let (_database, conn) = Database::open(&path, SERVICE, &[FIRST, SECOND]).expect("migrated");
        assert_eq!(one::<u32>(&conn, "SELECT id FROM parents"), 7);
        assert_eq!(one::<u32>(&conn, "PRAGMA foreign_keys"), 1);
        let copy = Reader::open(&folder.path().join("x.db.before-schema-2"), Arc::default()).expect("the copy");
        assert_eq!(one::<String>(&copy, "SELECT value FROM _meta WHERE key = 'schema_version'"), "1");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let (_folder, path) = closed();
        let typo = Migration { sql: "INSERT INTO parents VALUES (1); CREATE TABEL x (y)", ..SECOND };
        let orphan = Migration { version: 3, name: "orphan", sql: "INSERT INTO children VALUES (99)" };
        for (migrations, reason) in [
            (&[FIRST, typo][..], "migration: near \"TABEL\": syntax error; "),
            (&[FIRST, SECOND, orphan], "a row of children refers to nothing"),
        ] {
            let words = refusal(&path, migrations);
            assert!(words.contains(reason) && words.ends_with("nothing was changed"), "{words}");
            let (_database, conn) = Database::open(&path, SERVICE, &[FIRST]).expect("the file is still of version 1");
            assert_eq!(one::<u32>(&conn, "SELECT count(*) FROM parents"), 0);
            assert_eq!(one::<u32>(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'children'"), 0);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_and_stays_as_it_is() {
        let check = |path: &Path, reason: &str| {
            let before = fs::read(path).expect("the file");
            let words = refusal(path, &[FIRST]);
            assert!(words.contains(reason), "{words}");
            assert!(fs::read(path).expect("the file") == before, "the file was changed");
        };
        let (folder, path) = closed();
        drop(Database::open(&path, SERVICE, &[FIRST, SECOND]).expect("migrated"));
        check(&path, "schema version 2 is newer than this program's 1");

        let foreign = folder.path().join("foreign.db");
        open_file(&foreign).and_then(|conn| conn.execute_batch("CREATE TABLE theirs (x)")).expect("a foreign file");
        check(&foreign, "not a Monlight database");
        let text = folder.path().join("text.db");
        fs::write(&text, "just words, many of them\n".repeat(100)).expect("a file");
        check(&text, "file is not a database");
        let absent = folder.path().join("absent/x.db");
        assert!(refusal(&absent, &[FIRST]).contains("create it first"));
    }

    #[test]
    fn one_process_at_a_time() {
        let (_folder, path) = closed();
        let open = Database::open(&path, SERVICE, &[FIRST]).expect("the first");
        assert!(refusal(&path, &[FIRST]).contains("another process is using it"));
        drop(open);
        Database::open(&path, SERVICE, &[FIRST]).expect("the next");
    }

    #[test]
    fn a_reader_cannot_write_and_has_a_time_limit() {
        let (_folder, path) = closed();
        let (database, _conn) = Database::open(&path, SERVICE, &[FIRST]).expect("a database");
        let reader = database.reader().expect("a reader");
        let error = reader.execute("INSERT INTO parents VALUES (1)", []).expect_err("a refusal");
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));

        let endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
        reader.deadline.store(0, Ordering::Relaxed);
        let error = reader.query_row(endless, [], |_| Ok(())).expect_err("too slow");
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted));
        reader.restart_time_limit();
        assert_eq!(one::<u32>(&reader, "SELECT count(*) FROM parents"), 0);
    }

    #[test]
    fn a_backup_appears_whole_or_not_at_all() {
        let (folder, path) = closed();
        let (_database, conn) = Database::open(&path, SERVICE, &[FIRST]).expect("a database");
        conn.execute_batch("INSERT INTO parents VALUES (1); BEGIN; INSERT INTO parents VALUES (2)").expect("rows");
        let target = folder.path().join("copy.db");
        fs::write(&target, "an older backup").expect("a file");
        let text = folder.path().join("text.db");
        fs::write(&text, "no database").expect("a file");
        backup(&text, &target).expect_err("not a database");
        backup(&folder.path().join("absent.db"), &target).expect_err("no such file");
        backup(&path, &folder.path().join("absent/copy.db")).expect_err("no such folder");
        assert_eq!(fs::read_to_string(&target).expect("the older backup"), "an older backup");

        backup(&path, &target).expect("a backup");
        let copy = Reader::open(&target, Arc::default()).expect("the copy");
        assert_eq!(one::<u32>(&copy, "SELECT count(*) FROM parents"), 1, "what was committed");
        assert!(!names(&folder).iter().any(|name| name.contains("unfinished")), "{:?}", names(&folder));
    }

    #[test]
    fn a_database_is_no_backup_of_itself() {
        let (folder, path) = closed();
        let same = folder.path().join("./x.db");
        for target in [&path, &same, &with_suffix(&path, "-wal"), &with_suffix(&path, ".lock")] {
            let words = backup(&path, target).expect_err("a refusal").to_string();
            assert!(words.contains("belongs to the database"), "{words}");
        }
        Database::open(&path, SERVICE, &[FIRST]).expect("still there");
    }

    #[test]
    fn free_pages_go_back() {
        let (_folder, path) = closed();
        let (_database, conn) = Database::open(&path, SERVICE, &[FIRST]).expect("a database");
        conn.execute_batch("CREATE TABLE fat (x); INSERT INTO fat VALUES (zeroblob(1000000)); DELETE FROM fat")
            .expect("free pages");
        let before: u32 = one(&conn, "PRAGMA page_count");
        let left = give_back_pages(&conn, 10).expect("some pages");
        assert!(left > 100, "{left}");
        assert_eq!(give_back_pages(&conn, left).expect("the rest"), 0);
        let after: u32 = one(&conn, "PRAGMA page_count");
        assert!(after + 200 < before, "{before} pages, then {after}");
    }

    #[test]
    fn a_file_that_could_not_shrink_is_rewritten_once() {
        let folder = TempDir::new();
        let path = folder.path().join("x.db");
        open_file(&path)
            .and_then(|conn| {
                conn.execute_batch("CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)")?;
                conn.execute_batch("INSERT INTO _meta VALUES ('schema_version', '1')")?;
                conn.execute_batch(FIRST.sql)
            })
            .expect("a file of another program");
        let (_database, conn) = Database::open(&path, SERVICE, &[FIRST]).expect("a database");
        assert_eq!(one::<u32>(&conn, "PRAGMA auto_vacuum"), 2);
    }

    #[test]
    fn the_time_limit_holds_though_each_row_takes_long() {
        let folder = TempDir::new();
        let (database, _) = Database::open(&folder.path().join("x.db"), SERVICE, &[]).expect("a database");
        let reader = database.reader().expect("a reader");
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let slow = move |_: &Context<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            Ok(1)
        };
        reader.create_scalar_function("slow", 0, FunctionFlags::SQLITE_UTF8, slow).expect("a function");
        let deadline = EPOCH.elapsed() + Duration::from_millis(10);
        reader.deadline.store(deadline.as_millis() as u64, Ordering::Relaxed);
        let rows =
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 5000) SELECT sum(slow()) FROM n";
        let outcome = reader.query_row(rows, [], |row| row.get::<_, i64>(0));
        let error = outcome.expect_err("it takes 5 s");
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted));
        // How long each row takes here is the machine's affair.
        let calls = calls.load(Ordering::Relaxed);
        assert!(calls < 500, "it was broken off after {calls} rows of 5000");
    }

    #[test]
    fn a_file_of_another_service_is_refused() {
        let folder = TempDir::new();
        let path = folder.path().join("x.db");
        drop(Database::open(&path, SERVICE, &[FIRST]).expect("a database"));
        let refused = Database::open(&path, "another", &[FIRST]).err().expect("a refusal").to_string();
        assert!(refused.contains("expected a file of another, this is one of a-service"), "{refused}");
        drop(Database::open(&path, SERVICE, &[FIRST]).expect("still there"));
    }
}
