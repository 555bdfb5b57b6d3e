-- Per-person counts are made under this lock, which serializes them. Take it before locks of other rows.
SELECT 1 AS locked FROM persons WHERE id = %(id)s FOR NO KEY UPDATE
