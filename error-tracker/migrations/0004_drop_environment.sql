-- The original's fourth and last step.
DROP INDEX idx_project_env;
ALTER TABLE errors DROP COLUMN environment;
CREATE INDEX idx_project ON errors (project);
