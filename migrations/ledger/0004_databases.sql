-- Keys of several logical databases in one run. NULL: the database of the run's source, as all were before.

ALTER TABLE redis2pg.rejects ADD COLUMN redis_db integer;
ALTER TABLE redis2pg.rejects DROP CONSTRAINT rejects_run_id_mapping_key_hash_key;
CREATE UNIQUE INDEX rejects_key ON redis2pg.rejects (run_id, mapping, key_hash, (coalesce(redis_db, -1)));

ALTER TABLE redis2pg.loaded ADD COLUMN redis_db integer;
