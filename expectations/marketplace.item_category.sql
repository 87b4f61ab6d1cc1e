-- Measures of marketplace.item_category: one row, which the suite marketplace.item_category.json judges.
-- For each rule: how many rows break it, and one of them.
-- A category that no root leads to hangs in a cycle, or under a parent that does not exist.
WITH RECURSIVE reached AS (
    SELECT
        category_id,
        1 AS depth
    FROM marketplace.item_category
    WHERE parent_id IS NULL
    UNION ALL
    SELECT
        children.category_id,
        reached.depth + 1 AS depth
    FROM marketplace.item_category AS children
    INNER JOIN reached ON children.parent_id = reached.category_id
    WHERE reached.depth < 50
),

depths AS (
    SELECT
        category_id,
        MIN(depth) AS depth
    FROM reached
    GROUP BY category_id
),

flagged AS (
    SELECT
        categories.category_id AS row_key,
        depths.depth IS NULL AS unrooted,
        categories.level <> depths.depth AS wrong_levels
    FROM marketplace.item_category AS categories
    LEFT JOIN depths ON categories.category_id = depths.category_id
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
    COUNTIF(unrooted) AS unrooted,
    MIN(IF(unrooted, row_key, NULL)) AS unrooted_example,
    COUNTIF(wrong_levels) AS wrong_levels,
    MIN(IF(wrong_levels, row_key, NULL)) AS wrong_levels_example
FROM flagged
