-- Measures of features.user_category_affinity: one row, which the suite features.user_category_affinity.json judges.
-- For each rule: how many rows break it, and one of them.
WITH users AS (
    SELECT
        user_id,
        SUM(share) AS share
    FROM features.user_category_affinity
    WHERE ds = @ds
    GROUP BY user_id
),

flagged AS (
    SELECT
        CONCAT(user_id, ' / ', category_id) AS row_key,
        share NOT BETWEEN 0 AND 1.000001 OR affinity < 0 AS odd_shares,
        last_date > @ds AS dates_after_ds
    FROM features.user_category_affinity
    WHERE ds = @ds
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
    COUNTIF(odd_shares) AS odd_shares,
    MIN(IF(odd_shares, row_key, NULL)) AS odd_shares_example,
    COUNTIF(dates_after_ds) AS dates_after_ds,
    MIN(IF(dates_after_ds, row_key, NULL)) AS dates_after_ds_example,
    (SELECT COUNTIF(ABS(users.share - 1) > 0.001) FROM users) AS shares_not_one,
    (SELECT MIN(IF(ABS(users.share - 1) > 0.001, users.user_id, NULL)) FROM users) AS shares_not_one_example
FROM flagged
