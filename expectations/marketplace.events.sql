-- Measures of marketplace.events: one row, which the suite marketplace.events.json judges.
-- For each rule: how many rows break it, and one of them.
-- Staging quarantines each broken event; what is judged here is how many of the day's events they are. The usual day is
-- the mean of this weekday in the last four weeks, taken from staging: raw events of other days are never read.
WITH known_users AS (
    SELECT DISTINCT user_id FROM marketplace.users
),

known_items AS (
    SELECT DISTINCT item_id
    FROM marketplace.items
    WHERE
        closed_at IS NULL
        OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
),

counted AS (
    SELECT
        COUNTIF(event_type = 'view' AND item_id IS NOT NULL) AS views,
        COUNTIF(event_type = 'like' AND item_id IS NOT NULL) AS likes,
        COUNTIF(event_type = 'offer' AND item_id IS NOT NULL) AS offers,
        COUNTIF(event_type = 'cart' AND item_id IS NOT NULL) AS carts,
        COUNTIF(event_type = 'bid' AND item_id IS NOT NULL) AS bids,
        COUNTIF(event_type = 'purchase' AND item_id IS NOT NULL) AS purchases,
        COUNTIF(event_type = 'cancel' AND item_id IS NOT NULL) AS cancels
    FROM marketplace.events
    WHERE event_date = @ds
),

past_days AS (
    SELECT
        ds,
        SUM(views) AS views,
        SUM(likes) AS likes,
        SUM(offers) AS offers,
        SUM(carts) AS carts,
        SUM(bids) AS bids,
        SUM(purchases) AS purchases,
        SUM(cancels) AS cancels
    FROM staging.item_daily
    WHERE ds < @ds AND ds >= DATE_SUB(@ds, INTERVAL 28 DAY) AND MOD(DATE_DIFF(@ds, ds, DAY), 7) = 0
    GROUP BY ds
),

averaged AS (
    SELECT
        AVG(views) AS views,
        AVG(likes) AS likes,
        AVG(offers) AS offers,
        AVG(carts) AS carts,
        AVG(bids) AS bids,
        AVG(purchases) AS purchases,
        AVG(cancels) AS cancels
    FROM past_days
),

today AS (
    SELECT
        *,
        NULLIF(views + likes + offers + carts + bids + purchases + cancels, 0) AS total
    FROM counted
),

usual AS (
    SELECT
        *,
        NULLIF(views + likes + offers + carts + bids + purchases + cancels, 0) AS total
    FROM averaged
),

compared AS (
    SELECT
        COALESCE(today.total, 0) / usual.total AS volume_against_usual,
        (
            ABS(today.views / today.total - usual.views / usual.total)
            + ABS(today.likes / today.total - usual.likes / usual.total)
            + ABS(today.offers / today.total - usual.offers / usual.total)
            + ABS(today.carts / today.total - usual.carts / usual.total)
            + ABS(today.bids / today.total - usual.bids / usual.total)
            + ABS(today.purchases / today.total - usual.purchases / usual.total)
            + ABS(today.cancels / today.total - usual.cancels / usual.total)
        ) / 2 AS mix_distance
    FROM today
    CROSS JOIN usual
),

flagged AS (
    SELECT
        events.event_id AS row_key,
        events.event_ts,
        events.event_type,
        DATE(events.event_ts, @timezone) <> events.event_date AS wrong_days,
        events.event_ts > events.ingested_at AS from_the_future,
        events.event_type NOT IN (
            'impression', 'view', 'search', 'like', 'offer', 'cart', 'bid', 'purchase', 'cancel', 'follow'
        ) AS unknown_types,
        events.user_id IS NOT NULL AND known_users.user_id IS NULL AS unknown_users,
        events.item_id IS NOT NULL AND known_items.item_id IS NULL AS unknown_items,
        events.event_type IN ('purchase', 'cancel', 'bid', 'offer') AND COALESCE(events.amount, -1) < 0 AS bad_amounts
    FROM marketplace.events AS events
    LEFT JOIN known_users ON events.user_id = known_users.user_id
    LEFT JOIN known_items ON events.item_id = known_items.item_id
    WHERE events.event_date = @ds
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
    SAFE_DIVIDE((SELECT COUNT(*) FROM repeated), COUNT(*)) AS duplicate_keys_share,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(wrong_days) AS wrong_days,
    MIN(IF(wrong_days, row_key, NULL)) AS wrong_days_example,
    COUNTIF(from_the_future) AS from_the_future,
    SAFE_DIVIDE(COUNTIF(from_the_future), COUNT(*)) AS from_the_future_share,
    MIN(IF(from_the_future, row_key, NULL)) AS from_the_future_example,
    COUNTIF(unknown_types) AS unknown_types,
    SAFE_DIVIDE(COUNTIF(unknown_types), COUNT(*)) AS unknown_types_share,
    MIN(IF(unknown_types, row_key, NULL)) AS unknown_types_example,
    COUNTIF(unknown_users) AS unknown_users,
    SAFE_DIVIDE(COUNTIF(unknown_users), COUNT(*)) AS unknown_users_share,
    MIN(IF(unknown_users, row_key, NULL)) AS unknown_users_example,
    COUNTIF(unknown_items) AS unknown_items,
    SAFE_DIVIDE(COUNTIF(unknown_items), COUNT(*)) AS unknown_items_share,
    MIN(IF(unknown_items, row_key, NULL)) AS unknown_items_example,
    COUNTIF(bad_amounts) AS bad_amounts,
    SAFE_DIVIDE(COUNTIF(bad_amounts), COUNT(*)) AS bad_amounts_share,
    MIN(IF(bad_amounts, row_key, NULL)) AS bad_amounts_example,
    COUNTIF(event_type = 'purchase') AS purchases,
    TIMESTAMP_DIFF(TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), MAX(event_ts), MINUTE) / 60 AS silent_hours,
    (SELECT compared.volume_against_usual FROM compared) AS volume_against_usual,
    (SELECT compared.mix_distance FROM compared) AS mix_distance
FROM flagged
