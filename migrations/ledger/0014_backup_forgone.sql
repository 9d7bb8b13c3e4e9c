-- A backup that is not at its end is told by every cleanup after it. Where the file is not there any more, that is said once more, by a
-- cleanup that comes to its end, and no longer waited for.

ALTER TABLE redis2pg.cleanups
    ADD COLUMN backup_forgone boolean NOT NULL DEFAULT false; -- its file was not there, not at its end, and that has been said
-- For each backup the cleanups that wrote it are looked for.
CREATE INDEX cleanups_backup ON redis2pg.cleanups (backup_id) WHERE backup_id IS NOT NULL;
