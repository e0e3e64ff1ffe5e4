-- The original's third step.
CREATE INDEX idx_fingerprint_resolved ON errors (fingerprint, resolved);
CREATE INDEX idx_project_env ON errors (project, environment);
CREATE INDEX idx_last_seen ON errors (last_seen);
CREATE INDEX idx_resolved ON errors (resolved);
CREATE INDEX idx_occurrence_error_id ON error_occurrences (error_id);
