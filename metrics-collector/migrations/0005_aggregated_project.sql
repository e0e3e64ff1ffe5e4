ALTER TABLE metrics_aggregated ADD COLUMN project VARCHAR(100);
