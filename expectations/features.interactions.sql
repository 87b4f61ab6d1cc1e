-- Measures of features.interactions: one row, which the suite features.interactions.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.interactions
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

flagged AS (
    SELECT
        CONCAT(user_id, ' / ', group_id) AS row_key,
        weight < 0 OR views < 0 OR likes < 0 OR purchases < 0 OR quantity < 0 OR revenue < 0 AS negative_counts,
        first_date > last_date OR last_date > @ds OR last_purchase_date > last_date AS odd_dates
    FROM features.interactions
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
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(odd_dates) AS odd_dates,
    MIN(IF(odd_dates, row_key, NULL)) AS odd_dates_example,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
