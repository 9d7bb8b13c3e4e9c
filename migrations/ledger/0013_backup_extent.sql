-- How far the backup of a cleanup was on disk when keys went by it: a file that was cut since, an older copy of it, or another one in its
-- place is told when it is gone on with.

ALTER TABLE redis2pg.cleanups
    ADD COLUMN backup_id    text,                -- the id in each frame of the file, in hexadecimal; NULL: no file, or from before
    ADD COLUMN backup_whole boolean NOT NULL DEFAULT false; -- its end mark is on disk: it has its name, or is about to get it
ALTER TABLE redis2pg.cleanup_batches
    ADD COLUMN backup_bytes  bigint,             -- bytes of the file that were on disk before the first key went
    ADD COLUMN backup_digest text;               -- over the heads of the frames in them: the first 128 bits of the SHA-256
