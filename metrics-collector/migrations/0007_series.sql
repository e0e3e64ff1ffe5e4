-- A series is stored once, points and rollups refer to it (docs/decisions/0008-metrics-layout.md).

-- The original's tables; what they hold is moved at the end.
DROP INDEX idx_raw_timestamp;
DROP INDEX idx_raw_name;
DROP INDEX idx_raw_name_timestamp;
DROP INDEX idx_raw_project;
DROP INDEX idx_agg_bucket;
DROP INDEX idx_agg_name_resolution;
DROP INDEX idx_agg_name_resolution_bucket;
DROP INDEX idx_agg_project;
ALTER TABLE metrics_raw RENAME TO original_raw;
ALTER TABLE metrics_aggregated RENAME TO original_aggregated;

-- AUTOINCREMENT: an id that was forgotten is never given to another series.
CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- counter, histogram, gauge
    type TEXT NOT NULL,
    -- '' for none.
    project TEXT NOT NULL,
    -- A JSON object, compact, its keys sorted; '{}' for none. Without those of ROLLUP_DROP_LABELS.
    labels TEXT NOT NULL,
    -- The start of the newest hour in which it had points, in seconds since 1970.
    last_hour INTEGER NOT NULL
);

CREATE UNIQUE INDEX series_identity ON series (name, type, project, labels);

-- In the order of their times, so that a minute, and what is to be deleted, is one stretch of the table.
CREATE TABLE points (
    -- Milliseconds since 1970, times 2,097,152 (2^21), plus a number that keeps points of one millisecond apart.
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    value REAL NOT NULL,
    -- The labels of ROLLUP_DROP_LABELS, as in series; NULL for none.
    dropped TEXT
);

-- `bucket` is the first second since 1970. The percentiles of minutes are exact, those of hours come from sketches;
-- counters and gauges have none.
CREATE TABLE minutes (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    p50 REAL,
    p95 REAL,
    p99 REAL,
    PRIMARY KEY (bucket, series)
) WITHOUT ROWID;

CREATE TABLE hours (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    p50 REAL,
    p95 REAL,
    p99 REAL,
    PRIMARY KEY (bucket, series)
) WITHOUT ROWID;

-- Quantile sketches of histograms (src/sketch.rs), apart from the rows that most questions need.
CREATE TABLE minute_sketches (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (bucket, series)
) WITHOUT ROWID;

CREATE TABLE hour_sketches (
    bucket INTEGER NOT NULL,
    series INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (bucket, series)
) WITHOUT ROWID;

-- Closed minutes and hours that are to be rolled up, or once more because points came late.
CREATE TABLE pending (
    -- 60 or 3600
    seconds INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    -- Grows with each late batch: a rollup during which it grew is not the last one.
    changes INTEGER NOT NULL,
    PRIMARY KEY (seconds, bucket)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    -- A hash of the body that came with it.
    body BLOB NOT NULL,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
