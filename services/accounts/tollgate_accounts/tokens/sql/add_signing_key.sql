-- Publishes a key now. It signs later, when every verifier has read it.
INSERT INTO signing_keys (kid, public_key, sealed_private_key, signs_from)
VALUES (%(kid)s, %(public_key)s, %(sealed_private_key)s, now() + %(signs_in)s)
