-- Reports by the hour of the last day (src/activity.rs); NULL until the next one comes.
ALTER TABLE groups ADD COLUMN activity BLOB;
