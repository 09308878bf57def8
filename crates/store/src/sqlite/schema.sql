-- Amounts are decimal text of 58 digits, zeros in front: exact up to 2^192 - 1, and in order when
-- compared as text. Lists have one entry per line. Block numbers and counters are integers.

-- What the state belongs to; one row, written when the file is made.
CREATE TABLE binding (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    chain_id INTEGER NOT NULL,
    contract BLOB NOT NULL CHECK (length(contract) = 20),
    receiver BLOB NOT NULL CHECK (length(receiver) = 20)
) STRICT;

CREATE TABLE accounts (
    sender              BLOB NOT NULL CHECK (length(sender) = 20),
    receiver            BLOB NOT NULL CHECK (length(receiver) = 20),
    open_block          INTEGER NOT NULL CHECK (open_block BETWEEN 0 AND 4294967295),

    balance             TEXT NOT NULL CHECK (length(balance) = 58 AND balance NOT GLOB '*[^0-9]*'),
    -- balance - unspent - refund; kept so that it can be read and is checked again.
    spent               TEXT NOT NULL CHECK (length(spent) = 58 AND spent NOT GLOB '*[^0-9]*'),
    refund              TEXT NOT NULL CHECK (length(refund) = 58 AND refund NOT GLOB '*[^0-9]*'),
    -- Intervals of units: 3-7,9-9
    unspent             TEXT NOT NULL CHECK (unspent NOT GLOB '*[^0-9,-]*'),
    -- Lines of balance:0xsignature
    proofs              TEXT NOT NULL,
    spends              INTEGER NOT NULL CHECK (spends >= 0),

    -- Closing signatures of ours that exist.
    closing_at          TEXT CHECK (length(closing_at) = 58 AND closing_at NOT GLOB '*[^0-9]*'),
    closing_signature   TEXT CHECK (length(closing_signature) = 132),
    dispute_at          TEXT CHECK (length(dispute_at) = 58 AND dispute_at NOT GLOB '*[^0-9]*'),
    -- Lines of balances.
    sent_withdrawals    TEXT NOT NULL,

    -- What the chain says.
    -- Not a list: for each row written, SQLite would build a table of a list.
    phase               TEXT NOT NULL
        CHECK (phase = 'pending' OR phase = 'open' OR phase = 'challenged' OR phase = 'settled'),
    requested_at        INTEGER CHECK (requested_at >= 0),
    settle_block        INTEGER CHECK (settle_block >= requested_at),
    closing_balance     TEXT CHECK (length(closing_balance) = 58 AND closing_balance NOT GLOB '*[^0-9]*'),
    settled_at          INTEGER CHECK (settled_at >= 0),
    deposit             TEXT NOT NULL CHECK (length(deposit) = 58 AND deposit NOT GLOB '*[^0-9]*'),
    unconfirmed_deposit TEXT NOT NULL
        CHECK (length(unconfirmed_deposit) = 58 AND unconfirmed_deposit NOT GLOB '*[^0-9]*'),
    -- Lines of deposits, and of balances.
    lower_deposits      TEXT NOT NULL,
    withdrawals         TEXT NOT NULL,

    version             INTEGER NOT NULL CHECK (version > 0),
    -- Who wrote the version; the instance's 64 bits as a signed integer.
    writer_instance     INTEGER NOT NULL,
    writer_sequence     INTEGER NOT NULL CHECK (writer_sequence >= 0),

    PRIMARY KEY (sender, receiver, open_block),
    CHECK (spent <= balance),
    CHECK (refund <= balance),
    CHECK (closing_at <= balance),
    CHECK (dispute_at <= balance),
    CHECK (closing_signature IS NULL OR closing_at IS NOT NULL),
    CHECK ((phase = 'challenged') = (requested_at IS NOT NULL)),
    CHECK ((phase = 'challenged') = (settle_block IS NOT NULL)),
    CHECK ((phase = 'challenged') = (closing_balance IS NOT NULL)),
    CHECK ((phase = 'settled') = (settled_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The newest canonical blocks.
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY CHECK (number >= 0),
    hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- All canonical events.
CREATE TABLE events (
    block           INTEGER NOT NULL CHECK (block >= 0),
    log_index       INTEGER NOT NULL CHECK (log_index >= 0),
    sender          BLOB NOT NULL CHECK (length(sender) = 20),
    receiver        BLOB NOT NULL CHECK (length(receiver) = 20),
    open_block      INTEGER NOT NULL CHECK (open_block BETWEEN 0 AND 4294967295),
    kind            TEXT NOT NULL
        CHECK (kind IN ('created', 'topped_up', 'close_requested', 'withdrawn', 'settled')),
    amount          TEXT NOT NULL CHECK (length(amount) = 58 AND amount NOT GLOB '*[^0-9]*'),
    receiver_tokens TEXT CHECK (length(receiver_tokens) = 58 AND receiver_tokens NOT GLOB '*[^0-9]*'),

    PRIMARY KEY (block, log_index),
    CHECK ((kind = 'settled') = (receiver_tokens IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- What is to be done on the chain.
CREATE TABLE tasks (
    sender           BLOB NOT NULL CHECK (length(sender) = 20),
    receiver         BLOB NOT NULL CHECK (length(receiver) = 20),
    open_block       INTEGER NOT NULL CHECK (open_block BETWEEN 0 AND 4294967295),
    kind             TEXT NOT NULL CHECK (kind IN ('dispute')),
    transaction_hash BLOB CHECK (length(transaction_hash) = 32),

    PRIMARY KEY (sender, receiver, open_block, kind)
) STRICT, WITHOUT ROWID;
