-- The original's rollups.
CREATE TABLE metrics_aggregated (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket DATETIME NOT NULL,
    resolution VARCHAR(10) NOT NULL,
    name VARCHAR(200) NOT NULL,
    labels TEXT,
    count INTEGER NOT NULL DEFAULT 0,
    sum REAL NOT NULL DEFAULT 0,
    min REAL NOT NULL DEFAULT 0,
    max REAL NOT NULL DEFAULT 0,
    avg REAL NOT NULL DEFAULT 0,
    p50 REAL,
    p95 REAL,
    p99 REAL
);
