-- Measures of scoring.lists: one row, which the suite scoring.lists.json judges.
-- For each rule: how many rows break it, and one of them.
-- The lists of @ds are shown on the day after, so an item has to be live at the end of @ds. Items that a user bought
-- may come again where the shop restocks (@item_unit is 'item').
WITH live_items AS (
    SELECT item_id
    FROM staging.items
    WHERE ds = @ds AND is_live
),

bought AS (
    SELECT DISTINCT
        user_id,
        item_id
    FROM staging.user_item_daily
    WHERE
        @item_unit = 'group'
        AND purchases > 0
        AND ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
),

active_users AS (
    SELECT COUNT(*) AS users
    FROM features.user_daily
    WHERE ds = @ds
),

flagged AS (
    SELECT
        CONCAT(lists.user_id, ' / ', lists.item_id) AS row_key,
        lists.user_id,
        lists.rank AS list_rank,
        lists.is_reserve,
        live_items.item_id IS NULL AS not_live,
        lists.seller_id = lists.user_id AS own_listings,
        bought.item_id IS NOT NULL AS bought_items,
        lists.p_purchase NOT BETWEEN 0 AND 1
        OR lists.p_cancel NOT BETWEEN 0 AND 1
        OR lists.take_rate NOT BETWEEN 0 AND 1
        OR COALESCE(lists.p_click, 0) NOT BETWEEN 0 AND 1
        OR COALESCE(lists.p_available, 1) NOT BETWEEN 0 AND 1
        OR (@item_unit = 'group' AND lists.price_capped > lists.price) AS odd_factors,
        lists.propensity <= 0
        OR lists.propensity > 1
        OR (lists.propensity < 1 AND COALESCE(lists.slot, 'explored') NOT IN ('explored', 'reserve'))
            AS odd_propensities,
        ABS(
            lists.expected_revenue
            - lists.p_purchase * CAST(lists.price_capped AS FLOAT64) * lists.take_rate * (1 - lists.p_cancel)
            * COALESCE(lists.p_available, 1)
        ) > 0.000001 * (1 + ABS(lists.expected_revenue)) AS unexplained_revenues
    FROM scoring.lists AS lists
    LEFT JOIN live_items ON lists.item_id = live_items.item_id
    LEFT JOIN bought ON lists.user_id = bought.user_id AND lists.item_id = bought.item_id
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
        MIN(list_rank) <> 1 OR MAX(list_rank) <> COUNT(*) OR COUNT(DISTINCT list_rank) <> COUNT(*) AS has_gap,
        COUNTIF(NOT is_reserve) < LEAST(@list_size, (SELECT COUNT(*) FROM live_items)) AS is_short
    FROM flagged
    GROUP BY user_id
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS repeated_items,
    (SELECT MIN(repeated.row_key) FROM repeated) AS repeated_items_example,
    COUNTIF(not_live) AS not_live,
    MIN(IF(not_live, row_key, NULL)) AS not_live_example,
    COUNTIF(own_listings) AS own_listings,
    MIN(IF(own_listings, row_key, NULL)) AS own_listings_example,
    COUNTIF(bought_items) AS bought_items,
    MIN(IF(bought_items, row_key, NULL)) AS bought_items_example,
    COUNTIF(odd_factors) AS odd_factors,
    MIN(IF(odd_factors, row_key, NULL)) AS odd_factors_example,
    COUNTIF(odd_propensities) AS odd_propensities,
    MIN(IF(odd_propensities, row_key, NULL)) AS odd_propensities_example,
    COUNTIF(unexplained_revenues) AS unexplained_revenues,
    MIN(IF(unexplained_revenues, row_key, NULL)) AS unexplained_revenues_example,
    (SELECT COUNT(*) FROM users) AS users,
    SAFE_DIVIDE((SELECT COUNT(*) FROM users), (SELECT active_users.users FROM active_users)) AS users_share,
    (SELECT COUNTIF(users.has_gap) FROM users) AS rank_gaps,
    (SELECT MIN(IF(users.has_gap, users.user_id, NULL)) FROM users) AS rank_gaps_example,
    (SELECT SAFE_DIVIDE(COUNTIF(users.is_short), COUNT(*)) FROM users) AS short_lists_share
FROM flagged
