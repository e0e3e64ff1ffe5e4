-- The original's points.
CREATE TABLE metrics_raw (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp DATETIME NOT NULL,
    name VARCHAR(200) NOT NULL,
    labels TEXT,
    value REAL NOT NULL,
    type VARCHAR(20) NOT NULL
);
