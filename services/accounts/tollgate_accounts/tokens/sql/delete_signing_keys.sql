-- For a key that has leaked: no token of any key is worth anything from now on.
DELETE FROM signing_keys
