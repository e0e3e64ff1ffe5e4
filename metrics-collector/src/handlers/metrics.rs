//! `/api/metrics`: take values, answer with their rollups.
