-- Measures of scoring.keyword_variants: one row, which the suite scoring.keyword_variants.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        raw AS row_key,
        keyword IS NOT NULL AS kept,
        keyword IS NULL AND reason IS NULL AS without_reason,
        keyword IS NOT NULL AND reason IS NOT NULL AS kept_with_reason
    FROM scoring.keyword_variants
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
    COUNTIF(without_reason) AS without_reason,
    MIN(IF(without_reason, row_key, NULL)) AS without_reason_example,
    COUNTIF(kept_with_reason) AS kept_with_reason,
    MIN(IF(kept_with_reason, row_key, NULL)) AS kept_with_reason_example,
    1 - SAFE_DIVIDE(COUNTIF(kept), COUNT(*)) AS refused_share
FROM flagged
