-- The original's fourth and last step. What it drops is kept aside for the next one.
CREATE TABLE original_environments AS SELECT id, environment FROM errors;
DROP INDEX idx_project_env;
ALTER TABLE errors DROP COLUMN environment;
CREATE INDEX idx_project ON errors (project);
