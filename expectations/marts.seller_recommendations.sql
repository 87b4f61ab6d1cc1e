-- Measures of marts.seller_recommendations: one row, which the suite marts.seller_recommendations.json judges.
-- For each rule: how many rows break it, and one of them.
-- What is published has to be what was checked: the rows of scoring.seller_lists, no more and no less.
WITH published AS (
    SELECT
        user_id,
        rank,
        seller_id
    FROM marts.seller_recommendations
    WHERE ds = @ds
),

checked AS (
    SELECT
        user_id,
        rank,
        seller_id
    FROM scoring.seller_lists
    WHERE ds = @ds
),

flagged AS (
    SELECT
        CONCAT(
            COALESCE(published.user_id, checked.user_id), ' / ',
            CAST(COALESCE(published.rank, checked.rank) AS STRING)
        ) AS row_key,
        COALESCE(published.user_id, checked.user_id) AS user_id,
        published.user_id IS NULL AS unpublished,
        checked.user_id IS NULL AS unchecked
    FROM published
    FULL JOIN checked
        ON
            published.user_id = checked.user_id
            AND published.rank = checked.rank
            AND published.seller_id = checked.seller_id
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
    COUNTIF(unpublished) AS unpublished,
    MIN(IF(unpublished, row_key, NULL)) AS unpublished_example,
    COUNTIF(unchecked) AS unchecked,
    MIN(IF(unchecked, row_key, NULL)) AS unchecked_example,
    COUNT(DISTINCT user_id) AS users
FROM flagged
