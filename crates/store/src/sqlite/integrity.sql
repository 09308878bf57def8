-- Version 4: what tells a whole state from a damaged one. The program writes the checksums.
ALTER TABLE accounts ADD COLUMN line_checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN rest_checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE halts ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;

CREATE TABLE integrity (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    -- Every checksum begins with it.
    file_id INTEGER NOT NULL,
    -- From a start to an orderly end: so long, what was stored last may be in the log alone.
    in_use  INTEGER NOT NULL CHECK (in_use IN (0, 1))
) STRICT;

INSERT INTO integrity VALUES (1, random(), 0);
