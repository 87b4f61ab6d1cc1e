-- Measures of marketplace.items: one row, which the suite marketplace.items.json judges.
-- For each rule: how many rows break it, and one of them.
-- What is judged is what staging reads: listings that are open, or closed within @history_days.
-- A price is an outlier when it is a thousand times the typical one (the geometric mean). 'forgotten' stands where
-- `recsys forget` took a seller out.
WITH known_sellers AS (
    SELECT DISTINCT seller_id FROM marketplace.sellers
),

known_categories AS (
    SELECT DISTINCT category_id FROM marketplace.item_category
),

typical AS (
    SELECT EXP(AVG(LN(CAST(price AS FLOAT64)))) AS price
    FROM marketplace.items
    WHERE
        price > 0
        AND (
            closed_at IS NULL
            OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
        )
),

flagged AS (
    SELECT
        items.item_id AS row_key,
        items.item_id = '' AS empty_keys,
        items.listed_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
        AND (items.closed_at IS NULL OR items.closed_at >= TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)) AS is_live,
        items.price < 0 AS negative_prices,
        items.price > 1000000000 AS absurd_prices,
        items.price > 1000 * typical.price AS price_outliers,
        items.take_rate NOT BETWEEN 0 AND 1 AS odd_take_rates,
        items.stock < 0 AS negative_stocks,
        items.sale_type NOT IN ('fixed', 'auction') AS unknown_sale_types,
        items.closed_at < items.listed_at AS closed_before_listed,
        known_sellers.seller_id IS NULL AND items.seller_id != 'forgotten' AS unknown_sellers,
        known_categories.category_id IS NULL AS unknown_categories
    FROM marketplace.items AS items
    CROSS JOIN typical
    LEFT JOIN known_sellers ON items.seller_id = known_sellers.seller_id
    LEFT JOIN known_categories ON items.category_id = known_categories.category_id
    WHERE
        items.closed_at IS NULL
        OR items.closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
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
    COUNTIF(negative_prices) AS negative_prices,
    MIN(IF(negative_prices, row_key, NULL)) AS negative_prices_example,
    COUNTIF(absurd_prices) AS absurd_prices,
    MIN(IF(absurd_prices, row_key, NULL)) AS absurd_prices_example,
    COUNTIF(price_outliers) AS price_outliers,
    MIN(IF(price_outliers, row_key, NULL)) AS price_outliers_example,
    COUNTIF(odd_take_rates) AS odd_take_rates,
    MIN(IF(odd_take_rates, row_key, NULL)) AS odd_take_rates_example,
    COUNTIF(negative_stocks) AS negative_stocks,
    MIN(IF(negative_stocks, row_key, NULL)) AS negative_stocks_example,
    COUNTIF(unknown_sale_types) AS unknown_sale_types,
    MIN(IF(unknown_sale_types, row_key, NULL)) AS unknown_sale_types_example,
    COUNTIF(closed_before_listed) AS closed_before_listed,
    MIN(IF(closed_before_listed, row_key, NULL)) AS closed_before_listed_example,
    COUNTIF(unknown_sellers) AS unknown_sellers,
    SAFE_DIVIDE(COUNTIF(unknown_sellers), COUNT(*)) AS unknown_sellers_share,
    MIN(IF(unknown_sellers, row_key, NULL)) AS unknown_sellers_example,
    COUNTIF(unknown_categories) AS unknown_categories,
    SAFE_DIVIDE(COUNTIF(unknown_categories), COUNT(*)) AS unknown_categories_share,
    MIN(IF(unknown_categories, row_key, NULL)) AS unknown_categories_example,
    COUNTIF(is_live) AS live_items
FROM flagged
