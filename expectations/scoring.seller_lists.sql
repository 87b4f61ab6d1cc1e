-- Measures of scoring.seller_lists: one row, which the suite scoring.seller_lists.json judges.
-- For each rule: how many rows break it, and one of them.
-- The lists of @ds are shown on the day after, so a seller has to have a listing that is live at the end of @ds.
WITH live_sellers AS (
    SELECT DISTINCT seller_id
    FROM staging.items
    WHERE ds = @ds AND is_live
),

known AS (
    SELECT
        user_id,
        seller_id
    FROM features.user_seller
    WHERE ds = @ds AND purchases + follows > 0
),

active_users AS (
    SELECT COUNT(*) AS users
    FROM features.user_daily
    WHERE ds = @ds
),

flagged AS (
    SELECT
        CONCAT(lists.user_id, ' / ', lists.seller_id) AS row_key,
        lists.user_id,
        lists.rank AS list_rank,
        live_sellers.seller_id IS NULL OR lists.live_listings < 1 AS not_live,
        lists.seller_id = lists.user_id AS own_shops,
        known.seller_id IS NOT NULL AS known_sellers,
        ABS(
            lists.score - lists.by_category - lists.by_brand - lists.by_content - lists.by_circle - lists.by_seen
            - lists.by_popular - lists.by_price - lists.by_rating - lists.by_reliable
        ) > 0.000001 * (1 + ABS(lists.score)) AS unexplained_scores,
        lists.reason = '' AS without_reason
    FROM scoring.seller_lists AS lists
    LEFT JOIN live_sellers ON lists.seller_id = live_sellers.seller_id
    LEFT JOIN known ON lists.user_id = known.user_id AND lists.seller_id = known.seller_id
    WHERE lists.ds = @ds
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key
    HAVING COUNT(*) > 1
),

users AS (
    SELECT
        user_id,
        MIN(list_rank) <> 1 OR MAX(list_rank) <> COUNT(*) OR COUNT(DISTINCT list_rank) <> COUNT(*) AS has_gap
    FROM flagged
    GROUP BY user_id
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS repeated_sellers,
    (SELECT MIN(repeated.row_key) FROM repeated) AS repeated_sellers_example,
    COUNTIF(not_live) AS not_live,
    MIN(IF(not_live, row_key, NULL)) AS not_live_example,
    COUNTIF(own_shops) AS own_shops,
    MIN(IF(own_shops, row_key, NULL)) AS own_shops_example,
    COUNTIF(known_sellers) AS known_sellers,
    MIN(IF(known_sellers, row_key, NULL)) AS known_sellers_example,
    COUNTIF(unexplained_scores) AS unexplained_scores,
    MIN(IF(unexplained_scores, row_key, NULL)) AS unexplained_scores_example,
    COUNTIF(without_reason) AS without_reason,
    MIN(IF(without_reason, row_key, NULL)) AS without_reason_example,
    SAFE_DIVIDE(
        (SELECT COUNT(*) FROM users), (SELECT active_users.users FROM active_users)
    ) AS users_share,
    (SELECT COUNTIF(users.has_gap) FROM users) AS rank_gaps,
    (SELECT MIN(IF(users.has_gap, users.user_id, NULL)) FROM users) AS rank_gaps_example
FROM flagged
