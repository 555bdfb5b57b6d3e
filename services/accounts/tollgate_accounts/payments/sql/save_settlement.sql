-- What the payment has become, in the transaction of the messages that tell it.
UPDATE payments
SET refunded_nano = %(refunded_nano)s, disputed_nano = %(disputed_nano)s, credited_nano = %(credited_nano)s,
    granted = true
WHERE id = %(id)s
