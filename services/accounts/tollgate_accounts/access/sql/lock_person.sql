-- What is counted by person is counted under this lock, so that none of it comes between. Taken before other rows' locks.
SELECT 1 AS locked FROM persons WHERE id = %(id)s FOR NO KEY UPDATE
