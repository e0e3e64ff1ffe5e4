-- The original's indexes.
CREATE INDEX idx_dsn_public_key ON dsn_keys (public_key);
CREATE INDEX idx_source_map_lookup ON source_maps (project, release, file_url);
