-- The original's cursors, one per container name.
CREATE TABLE IF NOT EXISTS cursors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    container_id VARCHAR(200) NOT NULL UNIQUE,
    file_path TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    inode INTEGER NOT NULL DEFAULT 0,
    updated_at DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
