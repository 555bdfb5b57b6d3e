-- A key's last token was signed when its successor began, and is dead by now.
DELETE FROM signing_keys AS dead WHERE EXISTS (
    SELECT FROM signing_keys AS successor
    WHERE successor.signs_from > dead.signs_from AND successor.signs_from <= now() - %(kept_for)s
)
