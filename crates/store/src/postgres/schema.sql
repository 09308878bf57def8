-- Lists have one entry per line. Block numbers and counters are integers.

CREATE DOMAIN uint192 AS numeric(58)
    CHECK (VALUE BETWEEN 0 AND 6277101735386680763835789423207666416102355444464034512895);
CREATE DOMAIN address AS bytea CHECK (octet_length(VALUE) = 20);
CREATE DOMAIN hash AS bytea CHECK (octet_length(VALUE) = 32);
-- What the contract keeps 32 bits of.
CREATE DOMAIN open_block AS bigint CHECK (VALUE BETWEEN 0 AND 4294967295);
CREATE DOMAIN counter AS bigint CHECK (VALUE >= 0);

-- What the state belongs to; one row.
CREATE TABLE binding (
    id             integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    schema_version integer NOT NULL,
    chain_id       counter NOT NULL,
    contract       address NOT NULL,
    receiver       address NOT NULL,
    -- Where the state was moved to: nothing may be sold by this copy of it any more.
    moved_to       text,
    -- Where the state is being moved from: nothing may be sold by this copy of it yet.
    moved_from     text,
    -- The table of accounts that the state was last known to be in. One made of a dump is another.
    accounts_table oid NOT NULL,

    CHECK (moved_to IS NULL OR moved_from IS NULL)
);

CREATE TABLE accounts (
    sender              address NOT NULL,
    receiver            address NOT NULL,
    open_block          open_block NOT NULL,

    balance             uint192 NOT NULL,
    -- balance - unspent - refund; kept so that it can be read and is checked again.
    spent               uint192 NOT NULL,
    refund              uint192 NOT NULL,
    -- Intervals of units: 3-7,9-9
    unspent             text NOT NULL CHECK (unspent !~ '[^0-9,-]'),
    -- Lines of balance:0xsignature
    proofs              text NOT NULL,
    spends              counter NOT NULL,

    -- Closing signatures of ours that exist.
    closing_at          uint192,
    closing_signature   bytea CHECK (octet_length(closing_signature) = 65),
    dispute_at          uint192,
    -- Lines of balances.
    sent_withdrawals    text NOT NULL CHECK (sent_withdrawals !~ '[^0-9\n]'),

    -- What the chain says.
    phase               text NOT NULL CHECK (phase IN ('pending', 'open', 'challenged', 'settled')),
    requested_at        counter,
    settle_block        counter CHECK (settle_block >= requested_at),
    closing_balance     uint192,
    settled_at          counter,
    deposit             uint192 NOT NULL,
    unconfirmed_deposit uint192 NOT NULL,
    -- Lines of deposits, and of balances.
    lower_deposits      text NOT NULL CHECK (lower_deposits !~ '[^0-9\n]'),
    withdrawals         text NOT NULL CHECK (withdrawals !~ '[^0-9\n]'),

    version             bigint NOT NULL CHECK (version > 0),
    -- Who wrote the version; the instance's 64 bits as a signed integer.
    writer_instance     bigint NOT NULL,
    writer_sequence     counter NOT NULL,

    -- The transaction that wrote the row: what is new is found by it.
    changed             xid8 NOT NULL DEFAULT pg_current_xact_id(),

    PRIMARY KEY (sender, receiver, open_block),
    CHECK (spent + refund <= balance),
    CHECK ((proofs = '') = (balance = 0)),
    CHECK (closing_at BETWEEN spent AND balance),
    CHECK (dispute_at BETWEEN 1 AND balance),
    CHECK (closing_signature IS NULL OR closing_at IS NOT NULL),
    CHECK ((phase = 'challenged') = (requested_at IS NOT NULL)),
    CHECK ((phase = 'challenged') = (settle_block IS NOT NULL)),
    CHECK ((phase = 'challenged') = (closing_balance IS NOT NULL)),
    CHECK ((phase = 'settled') = (settled_at IS NOT NULL))
);

CREATE INDEX accounts_changed ON accounts (changed);

-- The newest canonical blocks.
CREATE TABLE blocks (
    number counter PRIMARY KEY,
    hash   hash NOT NULL
);

-- All canonical events.
CREATE TABLE events (
    block           counter NOT NULL,
    log_index       counter NOT NULL,
    sender          address NOT NULL,
    receiver        address NOT NULL,
    open_block      open_block NOT NULL,
    kind            text NOT NULL
        CHECK (kind IN ('created', 'topped_up', 'close_requested', 'withdrawn', 'settled')),
    amount          uint192 NOT NULL,
    receiver_tokens uint192,

    PRIMARY KEY (block, log_index),
    CHECK ((kind = 'settled') = (receiver_tokens IS NOT NULL))
);

-- What is to be done on the chain.
CREATE TABLE tasks (
    sender           address NOT NULL,
    receiver         address NOT NULL,
    open_block       open_block NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('dispute', 'close', 'withdraw')),
    transaction_hash hash,
    not_before       counter NOT NULL,

    PRIMARY KEY (sender, receiver, open_block, kind)
);

-- The operator has to say that selling may go on.
CREATE TABLE halts (
    kind  text PRIMARY KEY CHECK (kind IN ('reorganised', 'restored')),
    block counter
);

-- Counts the changes of tasks and halts; one row.
CREATE TABLE generation (
    id     integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    number counter NOT NULL
);

INSERT INTO generation (number) VALUES (0);

-- Who leads, and what it says of the chain; one row.
--
-- The fence is the key, so that whoever locks the key keeps others from taking the lead over, and the leader
-- not from renewing it.
CREATE TABLE lease (
    fence     counter PRIMARY KEY,
    only_row  boolean NOT NULL DEFAULT true UNIQUE CHECK (only_row),
    -- The leading store's random number; null when nobody leads.
    holder    bigint,
    expires   timestamptz NOT NULL,
    head      counter,
    head_time counter,
    -- When the chain was read up to the node's newest block.
    node_seen timestamptz,
    gas_short boolean,

    CHECK ((head IS NULL) = (head_time IS NULL)),
    CHECK ((head IS NULL) = (gas_short IS NULL))
);

INSERT INTO lease (fence, expires) VALUES (0, '-infinity');
