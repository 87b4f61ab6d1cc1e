-- Measures of features.user_daily: one row, which the suite features.user_daily.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.user_daily
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

flagged AS (
    SELECT
        user_id AS row_key,
        views_7d > views_30d OR views_30d > views_90d
        OR likes_7d > likes_30d OR likes_30d > likes_90d
        OR purchases_7d > purchases_30d OR purchases_30d > purchases_90d
        OR spend_7d > spend_30d OR spend_30d > spend_90d AS shrinking_windows,
        views_7d < 0 OR likes_7d < 0 OR purchases_7d < 0 OR spend_7d < 0 OR cancels_90d < 0
        OR tenure_days < 0 AS negative_counts,
        top_hour NOT BETWEEN 0 AND 23
        OR top_weekday NOT BETWEEN 1 AND 7
        OR weekend_share NOT BETWEEN 0 AND 1 AS odd_habits,
        purchase_power < 0 AS odd_purchase_powers
    FROM features.user_daily
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
    COUNTIF(shrinking_windows) AS shrinking_windows,
    MIN(IF(shrinking_windows, row_key, NULL)) AS shrinking_windows_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(odd_habits) AS odd_habits,
    MIN(IF(odd_habits, row_key, NULL)) AS odd_habits_example,
    COUNTIF(odd_purchase_powers) AS odd_purchase_powers,
    MIN(IF(odd_purchase_powers, row_key, NULL)) AS odd_purchase_powers_example,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
