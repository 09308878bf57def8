-- Version 2: the operator's closes are tasks too. SQLite cannot change a CHECK, so the table is made
-- again.
CREATE TABLE new_tasks (
    sender           BLOB NOT NULL CHECK (length(sender) = 20),
    receiver         BLOB NOT NULL CHECK (length(receiver) = 20),
    open_block       INTEGER NOT NULL CHECK (open_block BETWEEN 0 AND 4294967295),
    kind             TEXT NOT NULL CHECK (kind IN ('dispute', 'close')),
    transaction_hash BLOB CHECK (length(transaction_hash) = 32),

    PRIMARY KEY (sender, receiver, open_block, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO new_tasks SELECT sender, receiver, open_block, kind, transaction_hash FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
