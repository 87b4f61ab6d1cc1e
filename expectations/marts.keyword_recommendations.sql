-- Measures of marts.keyword_recommendations: one row, which the suite marts.keyword_recommendations.json judges.
-- For each rule: how many rows break it, and one of them.
-- What is published has to be what was checked: the rows of scoring.keyword_lists, no more and no less, but for sellers
-- whom an experiment assigns to an arm without keywords, who get none.
WITH published AS (
    SELECT
        item_id,
        rank,
        keyword
    FROM marts.keyword_recommendations
    WHERE ds = @ds
),

withheld AS (
    SELECT DISTINCT unit_id
    FROM experiments.assignments
    WHERE
        ds = @ds
        AND unit = 'seller'
        AND policy = 'no_keywords'
),

checked AS (
    SELECT
        lists.item_id,
        lists.rank,
        lists.keyword
    FROM scoring.keyword_lists AS lists
    LEFT JOIN withheld ON lists.seller_id = withheld.unit_id
    WHERE
        lists.ds = @ds
        AND withheld.unit_id IS NULL
),

flagged AS (
    SELECT
        CONCAT(
            COALESCE(published.item_id, checked.item_id), ' / ',
            CAST(COALESCE(published.rank, checked.rank) AS STRING)
        ) AS row_key,
        published.item_id IS NULL AS unpublished,
        checked.item_id IS NULL AS unchecked
    FROM published
    FULL JOIN checked
        ON
            published.item_id = checked.item_id
            AND published.rank = checked.rank
            AND published.keyword = checked.keyword
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
    MIN(IF(unchecked, row_key, NULL)) AS unchecked_example
FROM flagged
