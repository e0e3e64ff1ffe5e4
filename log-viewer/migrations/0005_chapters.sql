-- A ring in chapters (docs/decisions/0006-search-chapters.md). Times are nanoseconds since 1970, UTC.

CREATE TABLE containers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- How many of its entries the ring has spared: those with an id up to `trimmed_to`.
    spared INTEGER NOT NULL DEFAULT 0
);

-- Narrow, so that filters and trimming read little; what was said lies in `messages`. No references are declared: the
-- single writer keeps them, and checking them would cost each line.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    container_id INTEGER NOT NULL,
    -- 0 DEBUG, 1 INFO, 2 WARNING, 3 ERROR, 4 CRITICAL
    level INTEGER NOT NULL,
    -- 0 stdout, 1 stderr
    stream INTEGER NOT NULL,
    time INTEGER NOT NULL
);

CREATE TABLE messages (id INTEGER PRIMARY KEY, message TEXT NOT NULL);

-- How many entries there are, in all and by hour (of 1970), so that a total needs no scan.
CREATE TABLE counts (
    container_id INTEGER NOT NULL,
    level INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (container_id, level)
) WITHOUT ROWID;

CREATE TABLE hours (
    container_id INTEGER NOT NULL,
    level INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (container_id, level, hour)
) WITHOUT ROWID;

CREATE TABLE ring (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Ids are never given twice, also when everything was deleted.
    next_id INTEGER NOT NULL,
    -- Every entry with a higher id is there. Of the others only those that were spared.
    trimmed_to INTEGER NOT NULL
);

-- The index of the messages, in chapters of consecutive ids: one that is trimmed as a whole is emptied at once, and
-- nothing is ever deleted from inside.
CREATE TABLE chapters (
    -- The number of its table.
    slot INTEGER PRIMARY KEY,
    -- It reaches up to the next one's.
    first_id INTEGER NOT NULL UNIQUE
);

CREATE VIRTUAL TABLE search_0 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_1 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_2 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_3 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_4 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_5 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_6 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_7 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_8 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_9 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_10 USING fts5 (message, content = '', columnsize = 0);
CREATE VIRTUAL TABLE search_11 USING fts5 (message, content = '', columnsize = 0);
-- Merging later than by default costs searches little and saves half of the merging.
INSERT INTO search_0 (search_0, rank) VALUES ('automerge', 8);
INSERT INTO search_1 (search_1, rank) VALUES ('automerge', 8);
INSERT INTO search_2 (search_2, rank) VALUES ('automerge', 8);
INSERT INTO search_3 (search_3, rank) VALUES ('automerge', 8);
INSERT INTO search_4 (search_4, rank) VALUES ('automerge', 8);
INSERT INTO search_5 (search_5, rank) VALUES ('automerge', 8);
INSERT INTO search_6 (search_6, rank) VALUES ('automerge', 8);
INSERT INTO search_7 (search_7, rank) VALUES ('automerge', 8);
INSERT INTO search_8 (search_8, rank) VALUES ('automerge', 8);
INSERT INTO search_9 (search_9, rank) VALUES ('automerge', 8);
INSERT INTO search_10 (search_10, rank) VALUES ('automerge', 8);
INSERT INTO search_11 (search_11, rank) VALUES ('automerge', 8);

-- The spared entries with ids below the first chapter's.
CREATE VIRTUAL TABLE search_spared USING fts5 (message, content = '', contentless_delete = 1);

CREATE TABLE log_cursors (
    container_id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    inode INTEGER NOT NULL,
    -- NULL until a file of the original was seen again.
    first_record INTEGER,
    stdout INTEGER NOT NULL,
    stderr INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO containers (name) SELECT DISTINCT CAST(container AS TEXT) FROM log_entries ORDER BY 1;

-- A time that cannot be read becomes 1970: wrong, but kept and visible. Nanoseconds reach from 1677 to 2262.
INSERT INTO entries
SELECT
    l.id,
    c.id,
    CASE upper(l.level) WHEN 'DEBUG' THEN 0 WHEN 'WARNING' THEN 2 WHEN 'ERROR' THEN 3 WHEN 'CRITICAL' THEN 4 ELSE 1 END,
    CASE l.stream WHEN 'stderr' THEN 1 ELSE 0 END,
    max(-9223372036000, min(9223372035000, coalesce(CAST(round(unixepoch(l.timestamp, 'subsec') * 1000) AS INTEGER), 0))) * 1000000
FROM log_entries l
JOIN containers c ON c.name = CAST(l.container AS TEXT);

INSERT INTO messages SELECT id, CAST(message AS TEXT) FROM log_entries;
INSERT INTO search_0 (rowid, message) SELECT id, message FROM messages;

CREATE INDEX entries_by_time ON entries (time);
CREATE INDEX entries_by_group ON entries (container_id, level, time);

INSERT INTO counts SELECT container_id, level, count(*) FROM entries GROUP BY 1, 2;
-- Dividing rounds towards zero, hours go down.
INSERT INTO hours
SELECT
    container_id,
    level,
    (time - ((time % 3600000000000) + 3600000000000) % 3600000000000) / 3600000000000,
    count(*)
FROM entries
GROUP BY 1, 2, 3;

INSERT INTO ring
SELECT
    1,
    1 + max(
        coalesce((SELECT max(id) FROM entries), 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log_entries'), 0)
    ),
    coalesce((SELECT min(id) FROM entries), 1) - 1;
INSERT INTO chapters SELECT 0, trimmed_to + 1 FROM ring;

-- The original's cursors have the container's name as their key; its id is in the name of the file. A version of it that
-- has none yet gets an empty table here.
CREATE TABLE IF NOT EXISTS cursors (container_id, file_path, position, inode, updated_at);
INSERT OR REPLACE INTO log_cursors
SELECT
    substr(name, 1, length(name) - length('-json.log')),
    file_path,
    inode,
    NULL,
    max(0, position),
    max(0, position),
    coalesce(unixepoch(updated_at), 0) * 1000000000
FROM (SELECT *, substr(file_path, length(rtrim(file_path, replace(file_path, '/', ''))) + 1) AS name FROM cursors)
WHERE name LIKE '_%-json.log';

DROP TABLE IF EXISTS log_entries_fts;
DROP TABLE log_entries;
DROP TABLE cursors;

-- The original's names and columns, for whoever asks the file with SQL.
CREATE VIEW log_entries AS
SELECT
    e.id,
    strftime('%Y-%m-%dT%H:%M:%S', (e.time - ((e.time % 1000000000) + 1000000000) % 1000000000) / 1000000000, 'unixepoch')
    || printf('.%09dZ', ((e.time % 1000000000) + 1000000000) % 1000000000) AS timestamp,
    c.name AS container,
    CASE e.stream WHEN 0 THEN 'stdout' ELSE 'stderr' END AS stream,
    CASE e.level WHEN 0 THEN 'DEBUG' WHEN 1 THEN 'INFO' WHEN 2 THEN 'WARNING' WHEN 3 THEN 'ERROR' ELSE 'CRITICAL' END AS level,
    m.message,
    NULL AS raw
FROM entries e
JOIN containers c ON c.id = e.container_id
JOIN messages m ON m.id = e.id;

CREATE VIEW log_entries_fts AS SELECT id AS rowid, message FROM messages;

CREATE VIEW cursors AS
SELECT
    row_number() OVER (ORDER BY container_id) AS id,
    container_id,
    path AS file_path,
    min(stdout, stderr) AS position,
    inode,
    strftime('%Y-%m-%dT%H:%M:%SZ', updated_at / 1000000000, 'unixepoch') AS updated_at
FROM log_cursors;
