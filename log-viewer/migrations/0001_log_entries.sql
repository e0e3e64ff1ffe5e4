-- The original's first step: entries.
CREATE TABLE log_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp DATETIME NOT NULL,
    container VARCHAR(200) NOT NULL,
    stream VARCHAR(10) NOT NULL DEFAULT 'stdout',
    level VARCHAR(10) NOT NULL DEFAULT 'INFO',
    message TEXT NOT NULL,
    raw TEXT
);
