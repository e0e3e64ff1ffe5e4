-- The original's indexes.
CREATE INDEX idx_raw_timestamp ON metrics_raw (timestamp);
CREATE INDEX idx_raw_name ON metrics_raw (name);
CREATE INDEX idx_raw_name_timestamp ON metrics_raw (name, timestamp);
CREATE INDEX idx_agg_bucket ON metrics_aggregated (bucket);
CREATE INDEX idx_agg_name_resolution ON metrics_aggregated (name, resolution);
CREATE INDEX idx_agg_name_resolution_bucket ON metrics_aggregated (name, resolution, bucket);
