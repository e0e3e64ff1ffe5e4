-- Scaffold.
CREATE TABLE containers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE entries (id INTEGER PRIMARY KEY, container_id INTEGER, time INTEGER, kind INTEGER, message TEXT);
CREATE VIEW log_entries AS SELECT e.id, time AS timestamp, c.name AS container, CASE kind % 2 WHEN 0 THEN 'stdout' ELSE 'stderr' END AS stream, message FROM entries e JOIN containers c ON c.id = container_id;
CREATE TABLE log_cursors (container_id TEXT PRIMARY KEY, path TEXT, inode INTEGER, first_record INTEGER, stdout INTEGER, stderr INTEGER, updated_at INTEGER);
