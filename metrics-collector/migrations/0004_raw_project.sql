-- The original's project of a point.
ALTER TABLE metrics_raw ADD COLUMN project VARCHAR(100);
