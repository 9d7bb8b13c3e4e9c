-- Which elements of a key that is several rows were rejected, so that a row of another one that was lost can be told: the first 128
-- bits of the SHA-256 of each, one behind the other. NULL: from before, or the key as a whole.
ALTER TABLE redis2pg.rejects ADD COLUMN elements bytea;
