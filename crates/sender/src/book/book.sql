-- Amounts are decimal texts: SQLite's numbers are too small for them.
CREATE TABLE owner (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    chain_id      INTEGER NOT NULL,
    contract      TEXT NOT NULL,
    sender        TEXT NOT NULL,
    -- The hash of the chain's first block: a development chain that begins anew has the same id.
    genesis       TEXT NOT NULL,
    -- The last block whose events have been looked at.
    scanned_to    INTEGER NOT NULL
) STRICT;

CREATE TABLE channels (
    receiver          TEXT NOT NULL,
    open_block        INTEGER NOT NULL,
    deposit           TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('open', 'settling', 'closed')),
    -- The block of what is known of it on chain.
    seen              INTEGER NOT NULL,
    -- The highest balance that was ever signed.
    signed_balance    TEXT,
    signature         TEXT,
    position          TEXT NOT NULL,
    credit            TEXT NOT NULL,
    refund            TEXT NOT NULL,
    served            TEXT NOT NULL,
    -- Lines of balance:amount, for proofs that were sent and not answered.
    unanswered        TEXT NOT NULL,
    synced            INTEGER NOT NULL,
    -- The receiver's signature for a close.
    agreed_balance    TEXT,
    agreed_signature  TEXT,
    -- Where it pays.
    server            TEXT,
    PRIMARY KEY (receiver, open_block)
) STRICT, WITHOUT ROWID;
