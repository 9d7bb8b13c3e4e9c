-- Of a key that is there when a cleanup that died is settled it is not known whether it was deleted and made anew. Such keys remain among
-- those that went, and count for the backup that they went by: what the deleted ones held may be in no other place.

ALTER TABLE redis2pg.cleanup_batches
    ADD COLUMN anew bigint NOT NULL DEFAULT 0;   -- how many are there, and may be gone all the same
