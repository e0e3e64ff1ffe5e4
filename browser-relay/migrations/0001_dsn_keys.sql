-- The original's keys.
CREATE TABLE dsn_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    public_key VARCHAR(64) NOT NULL UNIQUE,
    project VARCHAR(100) NOT NULL,
    created_at DATETIME NOT NULL DEFAULT (datetime('now')),
    active BOOLEAN NOT NULL DEFAULT 1
);
