//! What metrics-collector repeats: closed minutes and hours are rolled up, and what is old goes.
