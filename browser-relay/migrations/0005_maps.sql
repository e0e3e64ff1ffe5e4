-- Source maps in pieces: what a lookup needs of a map of any size is a few kilobytes.

-- The original's maps stay where they are until each was read and cut up (store::convert). An empty text says that this is
-- done, a problem that it cannot be done.
ALTER TABLE source_maps RENAME TO maps;
-- The file's URL without scheme, host and port, as frames are looked up by; NULL until the map was read.
ALTER TABLE maps ADD COLUMN path TEXT;
ALTER TABLE maps ADD COLUMN problem TEXT;
DROP INDEX idx_source_map_lookup;
CREATE INDEX maps_by_path ON maps (project, release, path);
CREATE INDEX maps_by_age ON maps (uploaded_at);
CREATE INDEX maps_to_convert ON maps (id) WHERE path IS NULL AND problem IS NULL;

-- A map, or a section of an index map, which begins at this line and column of the generated code, counted from 0.
CREATE TABLE map_sheets (
    id INTEGER PRIMARY KEY,
    map INTEGER NOT NULL REFERENCES maps (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    column INTEGER NOT NULL,
    -- Its text in map_texts, without sourcesContent.
    first_text INTEGER NOT NULL,
    last_text INTEGER NOT NULL,
    -- Where in that text to start reading (sourcemap::index).
    places BLOB NOT NULL
);
CREATE INDEX map_sheets_by_place ON map_sheets (map, line, column);

-- A sheet's text in pieces of one size, the last one excepted; their numbers follow on one another.
CREATE TABLE map_texts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text BLOB NOT NULL
);

-- sourcesContent: whole lines, compressed (deflate) where that makes them smaller than `bytes`.
CREATE TABLE map_contents (
    sheet INTEGER NOT NULL,
    source INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    lines BLOB NOT NULL,
    PRIMARY KEY (sheet, source, first_line)
) WITHOUT ROWID;

-- The maps as the original has them; sourcesContent is left out. An ORDER BY within group_concat would be a syntax error for every
-- SQLite before 3.44, and with it the whole file, also for a backup; SQLite keeps the order of a subquery here.
CREATE VIEW source_maps AS
SELECT
    id, project, release, file_url,
    iif(map_content <> '', map_content, (
        SELECT iif(
            count(*) = 1 AND max(line) = 0 AND max(column) = 0,
            max(json),
            '{"version":3,"sections":['
            || coalesce(group_concat('{"offset":{"line":' || line || ',"column":' || column || '},"map":' || json || '}', ','), '')
            || ']}'
        )
        FROM (
            SELECT line, column, (
                SELECT group_concat(text, '')
                FROM (SELECT text FROM map_texts WHERE map_texts.id BETWEEN first_text AND last_text ORDER BY map_texts.id)
            ) AS json
            FROM map_sheets WHERE map = maps.id ORDER BY map_sheets.id
        )
    )) AS map_content,
    uploaded_at
FROM maps;
