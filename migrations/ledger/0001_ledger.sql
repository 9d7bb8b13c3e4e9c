-- The ledger: what each run did, kept in the target database, in the same transactions as the rows themselves.
-- It holds personal data (rejected values, before-images): guard the schema as you guard the tables.

CREATE TABLE redis2pg.runs (
    id               uuid PRIMARY KEY,
    state            text NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed', 'abandoned')),
    source           text NOT NULL,              -- host, port and database; never credentials
    mapping_hash     text NOT NULL,
    mappings         jsonb NOT NULL,             -- by name, to say what differs when a resume is refused
    settings         jsonb NOT NULL,             -- without secrets
    version          text NOT NULL,
    lease            uuid NOT NULL,              -- a token of the process that drives the run
    lease_expires_at timestamptz NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    exit_code        integer,
    error            text,
    tally            jsonb NOT NULL DEFAULT '{}'
);
-- One run of a mapping at a time: by lease with expiry, since a session lock does not survive a pooler.
CREATE UNIQUE INDEX runs_one_active ON redis2pg.runs (mapping_hash) WHERE state = 'running';
CREATE INDEX runs_started ON redis2pg.runs (started_at);

CREATE TABLE redis2pg.shards (
    run_id        uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    phase         integer NOT NULL,
    shard         integer NOT NULL,
    lease         uuid NOT NULL,
    epoch         integer NOT NULL DEFAULT 0,    -- a shard whose server changed starts again: the next epoch
    server_run_id text,
    scans         boolean NOT NULL DEFAULT true, -- false: the phase was fed from keys set aside by an earlier one
    watermark     bigint NOT NULL DEFAULT 0,     -- every page below it is settled
    cursor        text NOT NULL DEFAULT '0',     -- the SCAN cursor that asks for page number `watermark`
    unmatched     bigint NOT NULL DEFAULT 0,     -- keys that no mapping took, in the pages below the watermark
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'scanned', 'complete')),
    PRIMARY KEY (run_id, phase, shard),
    -- A key constraint with the lease in it: taking a shard over changes a key, and so waits for the transactions
    -- that hold FOR KEY SHARE on it, while a heartbeat or a new watermark does not.
    UNIQUE (run_id, phase, shard, lease)
);

CREATE TABLE redis2pg.batches (
    id           uuid PRIMARY KEY,               -- made by the client: settles a COMMIT whose answer was lost
    run_id       uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    phase        integer NOT NULL,
    shard        integer NOT NULL,
    epoch        integer NOT NULL,
    mapping      text NOT NULL,
    table_name   text NOT NULL,
    fingerprint  text NOT NULL,                  -- of the mapping, its columns and the version: equal ones make equal rows
    xid          bigint NOT NULL,                -- the whole 64-bit transaction id; a row's xmin is its lower half
    pages        bigint[] NOT NULL,              -- the pages that it settles, or helps to settle
    tally        jsonb NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batches_run ON redis2pg.batches (run_id);
CREATE INDEX batches_xmin ON redis2pg.batches ((xid & 4294967295));

CREATE TABLE redis2pg.rejects (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id      uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    phase       integer NOT NULL,
    mapping     text NOT NULL,
    table_name  text NOT NULL,
    key         bytea NOT NULL,
    key_hash    bytea NOT NULL GENERATED ALWAYS AS (sha256(key)) STORED, -- a key may be longer than an index entry
    redis_type  text NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL,
    path        text,
    column_name text,
    sqlstate    text,
    value       bytea,                           -- as read; NULL where it is larger than the cap
    value_size  bigint,
    value_hash  text,                            -- SHA-256, hexadecimal
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'pending')), -- pending: tried again in this run
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, mapping, key_hash)
);

CREATE TABLE redis2pg.before_images (
    run_id     uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    table_name text NOT NULL,
    row_key    jsonb NOT NULL,
    image      jsonb NOT NULL,                   -- the row before this run first changed it
    row_xmin   bigint NOT NULL,                  -- the transaction that wrote the image
    taken_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, table_name, row_key)
);

-- Lineage of rows whose table has no room for it.
CREATE TABLE redis2pg.loaded (
    table_name text NOT NULL,
    row_key    jsonb NOT NULL,
    run_id     uuid NOT NULL REFERENCES redis2pg.runs ON DELETE CASCADE,
    redis_key  bytea NOT NULL,
    digest     text NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, row_key)
);
