-- The original's indexes by project.
CREATE INDEX idx_raw_project ON metrics_raw (project);
CREATE INDEX idx_agg_project ON metrics_aggregated (project);
