-- The original's source maps.
CREATE TABLE source_maps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project VARCHAR(100) NOT NULL,
    release VARCHAR(100) NOT NULL,
    file_url VARCHAR(500) NOT NULL,
    map_content TEXT NOT NULL,
    uploaded_at DATETIME NOT NULL DEFAULT (datetime('now')),
    UNIQUE (project, release, file_url)
);
