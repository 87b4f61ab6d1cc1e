-- Measures of features.user_seller: one row, which the suite features.user_seller.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.user_seller
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

flagged AS (
    SELECT
        CONCAT(user_id, ' / ', seller_id) AS row_key,
        weight < 0 OR views < 0 OR likes < 0 OR purchases < 0 OR follows < 0 AS negative_counts,
        first_date > last_date
        OR last_date > @ds
        OR COALESCE(followed_on NOT BETWEEN first_date AND last_date, FALSE)
        OR COALESCE(first_purchase_date NOT BETWEEN first_date AND last_date, FALSE)
        OR (followed_on IS NULL) != (follows = 0)
        OR (first_purchase_date IS NULL) != (purchases = 0) AS odd_dates,
        user_id = seller_id AS own_customers
    FROM features.user_seller
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
    COUNTIF(own_customers) AS own_customers,
    MIN(IF(own_customers, row_key, NULL)) AS own_customers_example,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
