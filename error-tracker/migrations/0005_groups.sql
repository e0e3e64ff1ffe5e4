-- Narrow groups, tracebacks stored once (docs/decisions/0003-narrow-groups.md). Times are milliseconds since 1970, UTC.

-- AUTOINCREMENT: an id that went out in a mail is never given to another error.
CREATE TABLE groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 16 bytes. Not unique: an original's file may hold several; the single writer adds none.
    fingerprint BLOB NOT NULL,
    project TEXT NOT NULL,
    exception_type TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    -- NULL while it is open.
    resolved_at INTEGER,
    -- 'browser' once any occurrence came from one, else 'server'.
    source TEXT NOT NULL,
    -- A JSON array of names, in the order seen.
    environments TEXT NOT NULL
);

CREATE TABLE group_tracebacks (
    group_id INTEGER PRIMARY KEY REFERENCES groups (id) ON DELETE CASCADE,
    traceback TEXT NOT NULL
);

CREATE TABLE occurrences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    timestamp INTEGER NOT NULL,
    environment TEXT NOT NULL,
    request_url TEXT,
    request_method TEXT,
    request_headers TEXT,
    user_id TEXT,
    extra TEXT,
    session_id TEXT,
    -- NULL when it is the same as the group's.
    traceback TEXT
);

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL for a test. No reference: what became of an alert outlives its group.
    group_id INTEGER,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    last_error TEXT
);

CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    -- A hash of the body that came with it.
    body BLOB NOT NULL,
    group_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

-- Files of version 4 have lost it long ago; then it is the original's default.
CREATE TABLE IF NOT EXISTS original_environments (id INTEGER, environment TEXT);
CREATE UNIQUE INDEX original_environments_by_id ON original_environments (id);

-- A time that cannot be read becomes the Unix epoch: wrong, but kept and visible.
INSERT INTO groups
SELECT
    e.id,
    coalesce(unhex(e.fingerprint), CAST(e.fingerprint AS BLOB)),
    e.project,
    e.exception_type,
    e.message,
    e.count,
    coalesce(unixepoch(e.first_seen), 0) * 1000,
    coalesce(unixepoch(e.last_seen), 0) * 1000,
    -- Of this one the original never deletes what it cannot read: so it counts from now.
    CASE WHEN e.resolved THEN coalesce(unixepoch(e.resolved_at), unixepoch()) * 1000 END,
    CASE
        WHEN EXISTS (SELECT 1 FROM error_occurrences o WHERE o.error_id = e.id AND o.request_method = 'BROWSER') THEN 'browser'
        ELSE 'server'
    END,
    json_array(coalesce(nullif(v.environment, ''), 'prod'))
FROM errors e
LEFT JOIN original_environments v ON v.id = e.id;

INSERT INTO group_tracebacks SELECT id, traceback FROM errors;

INSERT INTO occurrences
SELECT
    o.id,
    o.error_id,
    coalesce(unixepoch(o.timestamp), 0) * 1000,
    coalesce(nullif(v.environment, ''), 'prod'),
    o.request_url,
    o.request_method,
    o.request_headers,
    o.user_id,
    o.extra,
    CASE WHEN json_valid(o.extra) AND json_type(o.extra, '$.session_id') = 'text' THEN o.extra ->> '$.session_id' END,
    nullif(o.traceback, e.traceback)
FROM error_occurrences o
JOIN errors e ON e.id = o.error_id
LEFT JOIN original_environments v ON v.id = e.id;

-- Ids that were deleted long ago are not given away again either.
DELETE FROM sqlite_sequence WHERE name IN ('groups', 'occurrences');
INSERT INTO sqlite_sequence (name, seq) SELECT 'groups', seq FROM sqlite_sequence WHERE name = 'errors';
INSERT INTO sqlite_sequence (name, seq) SELECT 'occurrences', seq FROM sqlite_sequence WHERE name = 'error_occurrences';

DROP TABLE error_occurrences;
DROP TABLE errors;
DROP TABLE original_environments;

CREATE INDEX groups_by_fingerprint ON groups (fingerprint);
-- Lists, counts and their filters run from these two alone; each report changes them, so there are no more.
CREATE INDEX groups_by_last_seen ON groups (last_seen, resolved_at, source, environments);
CREATE INDEX groups_by_project ON groups (project, last_seen, resolved_at, source, environments);
CREATE INDEX groups_by_resolved_at ON groups (resolved_at) WHERE resolved_at IS NOT NULL;
-- With the time, so that the last five are found without sorting.
CREATE INDEX occurrences_by_group ON occurrences (group_id, timestamp);
CREATE INDEX occurrences_by_session ON occurrences (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX alerts_pending ON alerts (id) WHERE state = 'pending';
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (at);

-- The original's names and columns, for whoever asks the file with SQL.
CREATE VIEW errors AS
SELECT
    g.id,
    lower(hex(g.fingerprint)) AS fingerprint,
    g.project,
    g.exception_type,
    g.message,
    t.traceback,
    g.count,
    strftime('%Y-%m-%dT%H:%M:%SZ', g.first_seen / 1000, 'unixepoch') AS first_seen,
    strftime('%Y-%m-%dT%H:%M:%SZ', g.last_seen / 1000, 'unixepoch') AS last_seen,
    g.resolved_at IS NOT NULL AS resolved,
    strftime('%Y-%m-%dT%H:%M:%SZ', g.resolved_at / 1000, 'unixepoch') AS resolved_at
FROM groups g
JOIN group_tracebacks t ON t.group_id = g.id;

CREATE VIEW error_occurrences AS
SELECT
    o.id,
    o.group_id AS error_id,
    strftime('%Y-%m-%dT%H:%M:%SZ', o.timestamp / 1000, 'unixepoch') AS timestamp,
    o.request_url,
    o.request_method,
    o.request_headers,
    o.user_id,
    o.extra,
    coalesce(o.traceback, t.traceback) AS traceback
FROM occurrences o
JOIN group_tracebacks t ON t.group_id = o.group_id;
