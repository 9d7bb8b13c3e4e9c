-- Cleanups: which keys were deleted from Redis once their rows were found equal. What is told here outlives the runs that it
-- speaks of: a row whose key a cleanup deleted must never be taken for one whose key is gone.

CREATE TABLE redis2pg.cleanups (
    id               uuid PRIMARY KEY,
    run_id           uuid NOT NULL,              -- the run whose keys they were
    runs             uuid[] NOT NULL,            -- the runs whose rows counted: that one and those like it
    source           text NOT NULL,              -- as in `runs`
    version          text NOT NULL,
    settings         jsonb NOT NULL,             -- without secrets
    backup           text,                       -- the file that the keys were written to first
    state            text NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed', 'abandoned')),
    lease            uuid NOT NULL,              -- a token of the process that drives it
    lease_expires_at timestamptz NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    exit_code        integer,
    error            text,
    account          jsonb NOT NULL DEFAULT '{}',
    -- With the lease in it: whoever takes it over waits for the transactions that hold FOR KEY SHARE, and a renewal does not.
    UNIQUE (id, lease)
);
CREATE INDEX cleanups_run ON redis2pg.cleanups (run_id);

-- One row for keys that go together; written, and flushed to disk, before the first of them goes.
CREATE TABLE redis2pg.cleanup_batches (
    id         uuid PRIMARY KEY,                 -- made by the client: settles a COMMIT whose answer was lost
    cleanup_id uuid NOT NULL REFERENCES redis2pg.cleanups ON DELETE CASCADE,
    mapping    text NOT NULL,
    redis_db   integer NOT NULL,
    keys       bigint NOT NULL,                  -- how many were about to go
    begun_at   timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,                      -- NULL: nobody knows yet which of them are gone
    deleted    bigint                            -- how many are
);
CREATE INDEX cleanup_batches_cleanup ON redis2pg.cleanup_batches (cleanup_id);
CREATE INDEX cleanup_batches_open ON redis2pg.cleanup_batches (cleanup_id) WHERE settled_at IS NULL;

-- The keys: those that are about to go, and of a settled batch those that are gone. No foreign key: it would be looked up
-- once for each key.
CREATE TABLE redis2pg.cleaned_keys (
    batch_id uuid NOT NULL,
    key_hash bigint NOT NULL,                    -- the first 8 bytes of the key's SHA-256
    key      bytea NOT NULL
);
CREATE INDEX cleaned_keys_hash ON redis2pg.cleaned_keys (key_hash);
