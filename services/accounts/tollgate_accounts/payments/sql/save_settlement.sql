-- Records what has been posted, in the transaction of the events to the ledger.
UPDATE payments
SET refunded_nano = %(refunded_nano)s, disputed_nano = %(disputed_nano)s, credited_nano = %(credited_nano)s,
    granted = true
WHERE id = %(id)s
