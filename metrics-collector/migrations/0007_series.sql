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

-- What the original has stored, moved. Its labels are any JSON text; ours are objects of scalars with sorted names. What is
-- nested becomes text, what is no object at all becomes the label `labels`, so that nothing is lost.
CREATE TEMP TABLE moved_labels AS
SELECT
    given,
    CASE
        WHEN given = '' THEN '{}'
        WHEN json_valid(given) AND json_type(given) = 'object' THEN (
            SELECT json_group_object(
                key, CASE type WHEN 'true' THEN json('true') WHEN 'false' THEN json('false') ELSE value END ORDER BY key)
            FROM json_each(given) WHERE type <> 'null' AND key <> 'session_id')
        ELSE json_object('labels', given)
    END AS labels,
    CASE WHEN json_valid(given) AND json_type(given) = 'object' AND json_extract(given, '$.session_id') IS NOT NULL
         THEN json_object('session_id', json_extract(given, '$.session_id')) END AS dropped
FROM (SELECT DISTINCT coalesce(labels, '') AS given FROM original_raw
      UNION SELECT DISTINCT coalesce(labels, '') FROM original_aggregated);

CREATE UNIQUE INDEX temp.moved_labels_by_given ON moved_labels (given);

-- A time must be one that a point's id can hold. What is a number would be read as a day of the Julian calendar.
CREATE TEMP TABLE moved_raw AS
SELECT r.id, r.name, r.type, coalesce(r.project, '') AS project, l.labels, l.dropped, r.value,
       CASE WHEN r.timestamp GLOB '[0-9][0-9][0-9][0-9]-*' AND unixepoch(r.timestamp) BETWEEN 0 AND 4102444800
            THEN CAST(round(unixepoch(r.timestamp, 'subsec') * 1000) AS INTEGER) END AS millis
FROM original_raw r JOIN temp.moved_labels l ON l.given = coalesce(r.labels, '');

-- What the single values tell about their names and buckets.
CREATE TEMP TABLE moved_types AS
SELECT name, type = 'histogram' AS has_percentiles, min(type) AS type FROM temp.moved_raw GROUP BY 1, 2;

CREATE UNIQUE INDEX temp.moved_types_by_name ON moved_types (name, has_percentiles);

CREATE TEMP TABLE moved_buckets AS
SELECT name, type, labels, resolution, millis / 1000 / seconds * seconds AS bucket,
       count(*) AS count, min(project) AS project, max(project) AS last_project
FROM temp.moved_raw, (SELECT 'minute' AS resolution, 60 AS seconds UNION ALL SELECT 'hour', 3600)
WHERE millis IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;

CREATE UNIQUE INDEX temp.moved_buckets_by_all ON moved_buckets (name, type, labels, resolution, bucket);

-- Rollups of the original have no type: that of the single values of the same name, else what the row looks like. Where it
-- rolled up a bucket several times, the row with the most values has seen most.
CREATE TEMP TABLE moved_rollups AS
SELECT a.name, coalesce(t.type,
           CASE WHEN a.p50 IS NOT NULL THEN 'histogram'
                WHEN a.name GLOB '*_total' OR a.name GLOB '*_count' THEN 'counter' ELSE 'gauge' END) AS type,
       coalesce(a.project, '') AS project, l.labels, a.resolution,
       CASE WHEN a.bucket GLOB '[0-9][0-9][0-9][0-9]-*' THEN unixepoch(a.bucket) END AS bucket,
       max(a.count) AS count, a.sum, a.min, a.max, a.p50, a.p95, a.p99
FROM original_aggregated a JOIN temp.moved_labels l ON l.given = coalesce(a.labels, '')
LEFT JOIN temp.moved_types t ON t.name = a.name AND t.has_percentiles = (a.p50 IS NOT NULL)
WHERE a.count > 0
GROUP BY a.name, 2, 3, l.given, a.resolution, a.bucket;

-- They have no project either: that of the bucket's single values, if those are of one. Where these are of several and as
-- many as were rolled up, they will be rolled up anew, each for its project, and the row would count them twice.
DELETE FROM temp.moved_rollups AS a WHERE project = '' AND EXISTS (
    SELECT 1 FROM temp.moved_buckets b
    WHERE b.name = a.name AND b.type = a.type AND b.labels = a.labels AND b.resolution = a.resolution AND b.bucket = a.bucket
      AND b.project <> b.last_project AND b.count >= (
          SELECT sum(count) FROM temp.moved_rollups
          WHERE name = a.name AND type = a.type AND labels = a.labels AND resolution = a.resolution AND bucket = a.bucket));

UPDATE temp.moved_rollups AS a SET project = b.project FROM temp.moved_buckets b
WHERE a.project = '' AND b.project = b.last_project
  AND b.name = a.name AND b.type = a.type AND b.labels = a.labels AND b.resolution = a.resolution AND b.bucket = a.bucket;

-- Rows that differed in a session only become one. Its percentiles are those of the rows' percentiles, each as often as the
-- row has values, which is exact where a session had one.
CREATE TEMP TABLE moved_aggregated AS
SELECT name, type, project, labels, resolution, bucket,
       sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
       min(CASE WHEN to50 * 100 >= total * 50 THEN p50 END) AS p50,
       min(CASE WHEN to95 * 100 >= total * 95 THEN p95 END) AS p95,
       min(CASE WHEN to99 * 100 >= total * 99 THEN p99 END) AS p99
FROM (
    SELECT *, sum(count) OVER one AS total,
           sum(count) OVER (one ORDER BY p50 ROWS UNBOUNDED PRECEDING) AS to50,
           sum(count) OVER (one ORDER BY p95 ROWS UNBOUNDED PRECEDING) AS to95,
           sum(count) OVER (one ORDER BY p99 ROWS UNBOUNDED PRECEDING) AS to99
    FROM temp.moved_rollups
    WINDOW one AS (PARTITION BY name, type, project, labels, resolution, bucket))
GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO series (name, type, project, labels, last_hour)
SELECT name, type, project, labels, max(second) / 3600 * 3600
FROM (SELECT name, type, project, labels, millis / 1000 AS second FROM temp.moved_raw WHERE millis IS NOT NULL
      UNION ALL SELECT name, type, project, labels, bucket FROM temp.moved_aggregated WHERE bucket IS NOT NULL)
GROUP BY name, type, project, labels;

-- Ids of rows within a millisecond are far less than 2^21 apart.
INSERT OR IGNORE INTO points (id, series, value, dropped)
SELECT (r.millis << 21) | (r.id & 2097151), s.id, r.value, r.dropped
FROM temp.moved_raw r JOIN series s USING (name, type, project, labels)
WHERE r.millis IS NOT NULL;

INSERT OR IGNORE INTO minutes
SELECT a.bucket, s.id, a.count, a.sum, a.min, a.max, a.p50, a.p95, a.p99
FROM temp.moved_aggregated a JOIN series s USING (name, type, project, labels)
WHERE a.bucket IS NOT NULL AND a.resolution = 'minute';

INSERT OR IGNORE INTO hours
SELECT a.bucket, s.id, a.count, a.sum, a.min, a.max, a.p50, a.p95, a.p99
FROM temp.moved_aggregated a JOIN series s USING (name, type, project, labels)
WHERE a.bucket IS NOT NULL AND a.resolution = 'hour';

-- Up to where the original has rolled up. Minutes before it that have single values are rolled up once more, since some came
-- too late for the original; and so are hours that have minutes, since it may have stopped before it came to them.
INSERT OR REPLACE INTO _meta (key, value)
SELECT 'minutes_closed_until', CAST(max(until) AS TEXT)
FROM (SELECT max(bucket) + 60 AS until FROM minutes UNION ALL SELECT max(bucket) + 3600 FROM hours)
HAVING max(until) IS NOT NULL;

INSERT INTO pending (seconds, bucket, changes)
SELECT DISTINCT 60, (id >> 21) / 60000 * 60, 1 FROM points
WHERE id < (SELECT CAST(value AS INTEGER) * 1000 << 21 FROM _meta WHERE key = 'minutes_closed_until')
UNION ALL
SELECT DISTINCT 3600, bucket / 3600 * 3600, 1 FROM minutes;

-- Values whose time cannot be read can be shown nowhere; they are kept.
CREATE TABLE unreadable_raw AS
SELECT * FROM original_raw WHERE id IN (SELECT id FROM temp.moved_raw WHERE millis IS NULL);

DROP TABLE temp.moved_aggregated;
DROP TABLE temp.moved_rollups;
DROP TABLE temp.moved_buckets;
DROP TABLE temp.moved_types;
DROP TABLE temp.moved_raw;
DROP TABLE temp.moved_labels;
DROP TABLE original_raw;
DROP TABLE original_aggregated;

-- The original's tables, for queries by hand.
CREATE VIEW metrics_raw AS
SELECT p.id, strftime('%Y-%m-%dT%H:%M:%fZ', (p.id >> 21) / 1000.0, 'unixepoch') AS timestamp, s.name,
       nullif(CASE WHEN p.dropped IS NULL THEN s.labels ELSE json_patch(s.labels, p.dropped) END, '{}') AS labels,
       p.value, s.type, nullif(s.project, '') AS project
FROM points p JOIN series s ON s.id = p.series;

CREATE VIEW metrics_aggregated AS
SELECT r.bucket * 1000000 + r.series AS id, strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket, 'unixepoch') AS bucket,
       r.resolution, s.name, nullif(s.labels, '{}') AS labels, r.count, r.sum, r.min, r.max, r.sum / r.count AS avg,
       r.p50, r.p95, r.p99, nullif(s.project, '') AS project
FROM (SELECT 'minute' AS resolution, * FROM minutes UNION ALL SELECT 'hour', * FROM hours) r
JOIN series s ON s.id = r.series;
