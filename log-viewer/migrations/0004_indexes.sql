-- The original's indexes.
CREATE INDEX IF NOT EXISTS idx_timestamp ON log_entries (timestamp);
CREATE INDEX IF NOT EXISTS idx_container ON log_entries (container);
CREATE INDEX IF NOT EXISTS idx_level ON log_entries (level);
CREATE INDEX IF NOT EXISTS idx_container_timestamp ON log_entries (container, timestamp);
