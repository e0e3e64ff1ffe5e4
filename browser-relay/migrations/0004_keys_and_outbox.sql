-- Origins of a key, and what waits for a back end that is away.

-- Entries separated by commas, as in CORS_ORIGINS; NULL for none of its own.
ALTER TABLE dsn_keys ADD COLUMN origins TEXT;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- errors, metrics
    target TEXT NOT NULL,
    -- What the back end knows a repeat by.
    idempotency_key TEXT NOT NULL,
    -- The browser's address.
    client TEXT NOT NULL,
    body BLOB NOT NULL,
    -- Milliseconds since 1970.
    at INTEGER NOT NULL
);

CREATE INDEX outbox_by_target ON outbox (target, id);

-- One row: what the outbox holds.
CREATE TABLE outbox_size (
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);

INSERT INTO outbox_size VALUES (0, 0);

CREATE TRIGGER outbox_grows AFTER INSERT ON outbox BEGIN
    UPDATE outbox_size SET rows = rows + 1, bytes = bytes + length(new.body);
END;

CREATE TRIGGER outbox_shrinks AFTER DELETE ON outbox BEGIN
    UPDATE outbox_size SET rows = rows - 1, bytes = bytes - length(old.body);
END;
