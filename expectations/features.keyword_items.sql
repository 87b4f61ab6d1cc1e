-- Measures of features.keyword_items: one row, which the suite features.keyword_items.json judges.
-- For each rule: how many rows break it, and one of them.
WITH shelf AS (
    SELECT COUNTIF(items.is_live) AS live
    FROM staging.items AS items
    WHERE items.ds = @ds
),

flagged AS (
    SELECT
        item_id AS row_key,
        is_live,
        views_30d < 0 OR likes_30d < 0 OR purchases_30d < 0 OR impressions_30d < 0 OR live_in_category < 0 AS negative_counts,
        age_days < 0 AS listed_after_ds,
        is_live AND COALESCE(title, '') = '' AS untitled,
        is_live AND live_in_category = 0 AS uncounted
    FROM features.keyword_items
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
    COUNTIF(listed_after_ds) AS listed_after_ds,
    MIN(IF(listed_after_ds, row_key, NULL)) AS listed_after_ds_example,
    COUNTIF(untitled) AS untitled,
    MIN(IF(untitled, row_key, NULL)) AS untitled_example,
    COUNTIF(uncounted) AS uncounted,
    MIN(IF(uncounted, row_key, NULL)) AS uncounted_example,
    (SELECT shelf.live FROM shelf) - COUNTIF(is_live) AS missing_live_items,
    SAFE_DIVIDE(COUNTIF(untitled), COUNTIF(is_live)) AS untitled_share
FROM flagged
