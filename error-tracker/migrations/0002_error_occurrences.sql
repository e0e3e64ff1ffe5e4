-- The original's second step.
CREATE TABLE error_occurrences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    error_id INTEGER NOT NULL REFERENCES errors (id) ON DELETE CASCADE,
    timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    request_url VARCHAR(500),
    request_method VARCHAR(10),
    request_headers TEXT,
    user_id VARCHAR(100),
    extra TEXT,
    traceback TEXT NOT NULL
);
