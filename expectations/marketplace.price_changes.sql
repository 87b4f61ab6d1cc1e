-- Measures of marketplace.price_changes: one row, which the suite marketplace.price_changes.json judges.
-- For each rule: how many rows break it, and one of them. What is judged is what staging reads: @archive_days.
WITH known_items AS (
    SELECT DISTINCT item_id
    FROM marketplace.items
    WHERE
        closed_at IS NULL
        OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
),

flagged AS (
    SELECT
        changes.item_id AS row_key,
        changes.changed_at,
        changes.price < 0 AS negative_prices,
        changes.price > 1000000000 AS absurd_prices,
        known_items.item_id IS NULL AS unknown_items
    FROM marketplace.price_changes AS changes
    LEFT JOIN known_items ON changes.item_id = known_items.item_id
    WHERE changes.changed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key, changed_at
    HAVING COUNT(*) > 1
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS duplicate_keys,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(negative_prices) AS negative_prices,
    MIN(IF(negative_prices, row_key, NULL)) AS negative_prices_example,
    COUNTIF(absurd_prices) AS absurd_prices,
    MIN(IF(absurd_prices, row_key, NULL)) AS absurd_prices_example,
    COUNTIF(unknown_items) AS unknown_items,
    MIN(IF(unknown_items, row_key, NULL)) AS unknown_items_example
FROM flagged
