-- Measures of marketplace.users: one row, which the suite marketplace.users.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        user_id AS row_key,
        user_id = '' AS empty_keys,
        birth_year NOT BETWEEN EXTRACT(YEAR FROM @ds) - 120 AND EXTRACT(YEAR FROM @ds) - 5 AS odd_birth_years
    FROM marketplace.users
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key
    HAVING COUNT(*) > 1
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS duplicate_keys,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(empty_keys) AS empty_keys,
    MIN(IF(empty_keys, row_key, NULL)) AS empty_keys_example,
    COUNTIF(odd_birth_years) AS odd_birth_years,
    SAFE_DIVIDE(COUNTIF(odd_birth_years), COUNT(*)) AS odd_birth_years_share,
    MIN(IF(odd_birth_years, row_key, NULL)) AS odd_birth_years_example
FROM flagged
