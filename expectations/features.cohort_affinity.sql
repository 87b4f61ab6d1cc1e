-- Measures of features.cohort_affinity: one row, which the suite features.cohort_affinity.json judges.
-- For each rule: how many rows break it, and one of them.
WITH cohorts AS (
    SELECT
        cohort,
        SUM(share) AS share
    FROM features.cohort_affinity
    WHERE ds = @ds
    GROUP BY cohort
),

sums AS (
    SELECT
        cohort,
        share > 1.001 OR (cohort = 'everybody' AND share < 0.999) AS shares_not_one
    FROM cohorts
),

flagged AS (
    SELECT
        CONCAT(cohort, ' / ', category_id) AS row_key,
        share NOT BETWEEN 0 AND 1.000001 OR drawn NOT BETWEEN 0 AND 1 OR points < 0 AS odd_shares
    FROM features.cohort_affinity
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
    (SELECT COUNTIF(sums.shares_not_one) FROM sums) AS shares_not_one,
    (SELECT MIN(IF(sums.shares_not_one, sums.cohort, NULL)) FROM sums) AS shares_not_one_example
FROM flagged
