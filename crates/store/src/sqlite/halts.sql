-- Version 3: tasks that wait for a block, withdrawals, and what stops the selling.
CREATE TABLE new_tasks (
    sender           BLOB NOT NULL CHECK (length(sender) = 20),
    receiver         BLOB NOT NULL CHECK (length(receiver) = 20),
    open_block       INTEGER NOT NULL CHECK (open_block BETWEEN 0 AND 4294967295),
    kind             TEXT NOT NULL CHECK (kind IN ('dispute', 'close', 'withdraw')),
    transaction_hash BLOB CHECK (length(transaction_hash) = 32),
    not_before       INTEGER NOT NULL CHECK (not_before >= 0),

    PRIMARY KEY (sender, receiver, open_block, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO new_tasks SELECT sender, receiver, open_block, kind, transaction_hash, 0 FROM tasks;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;

-- The operator has to say that selling may go on.
CREATE TABLE halts (
    kind  TEXT PRIMARY KEY CHECK (kind IN ('reorganised', 'restored')),
    block INTEGER CHECK (block >= 0)
) STRICT, WITHOUT ROWID;
