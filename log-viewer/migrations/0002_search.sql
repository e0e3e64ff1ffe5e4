-- The original's index of words, kept in step by triggers.
-- IF NOT EXISTS from here to step 4: in which order the original took these steps does not matter.
CREATE VIRTUAL TABLE IF NOT EXISTS log_entries_fts USING fts5 (message, content = 'log_entries', content_rowid = 'id');

CREATE TRIGGER IF NOT EXISTS log_entries_ai AFTER INSERT ON log_entries BEGIN
    INSERT INTO log_entries_fts (rowid, message) VALUES (new.id, new.message);
END;

CREATE TRIGGER IF NOT EXISTS log_entries_ad AFTER DELETE ON log_entries BEGIN
    INSERT INTO log_entries_fts (log_entries_fts, rowid, message) VALUES ('delete', old.id, old.message);
END;

CREATE TRIGGER IF NOT EXISTS log_entries_au AFTER UPDATE ON log_entries BEGIN
    INSERT INTO log_entries_fts (log_entries_fts, rowid, message) VALUES ('delete', old.id, old.message);
    INSERT INTO log_entries_fts (rowid, message) VALUES (new.id, new.message);
END;
