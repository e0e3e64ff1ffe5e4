-- The original's project of a rollup, which it never filled.
ALTER TABLE metrics_aggregated ADD COLUMN project VARCHAR(100);
