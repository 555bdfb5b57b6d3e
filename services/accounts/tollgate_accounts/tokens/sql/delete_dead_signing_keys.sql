-- A key signs its last token when its successor starts. After the retention that token has expired.
DELETE FROM signing_keys AS dead WHERE EXISTS (
    SELECT FROM signing_keys AS successor
    WHERE successor.signs_from > dead.signs_from AND successor.signs_from <= now() - %(retention)s
)
