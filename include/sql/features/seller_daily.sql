-- A seller as the end of ds knows them. Ratings are drawn towards the market's mean as if ten buyers had rated at it, so
-- a seller without ratings is neutral. cancel_rate = cancels per sale over 90 days, a Beta posterior whose prior, worth
-- 20 sales, is the rate of the categories the seller sells in. sell_through = sold per closed listing over 90 days,
-- drawn towards the market's as if ten listings had closed at it. appeal: log of who opened the seller's listings out
-- of any page, sold ones too, over 90 days, over those expected at their places in their categories, as if twenty had come
-- and been expected.
-- grain: seller_id
-- partition: ds
-- cluster: seller_id
-- upstream: staging.sellers, staging.items, staging.item_daily, staging.item_shown_daily
-- params: timezone
WITH shelf AS (
    SELECT
        item_id,
        seller_id,
        category_id,
        is_live,
        COALESCE(DATE(closed_at, @timezone) > DATE_SUB(@ds, INTERVAL 90 DAY), FALSE) AS is_closed_90d,
        COALESCE(close_reason = 'sold', FALSE) AS is_sold
    FROM staging.items
    WHERE ds = @ds
),

listings AS (
    SELECT
        seller_id,
        COUNTIF(is_live) AS live_listings,
        COUNTIF(is_closed_90d) AS closed_90d,
        COUNTIF(is_closed_90d AND is_sold) AS sold_90d
    FROM shelf
    GROUP BY seller_id
),

outcomes AS (
    SELECT
        shelf.seller_id,
        shelf.category_id,
        SUM(days.purchases) AS purchases,
        SUM(days.cancels) AS cancels
    FROM staging.item_daily AS days
    INNER JOIN shelf ON days.item_id = shelf.item_id
    WHERE
        days.ds BETWEEN DATE_SUB(@ds, INTERVAL 89 DAY) AND @ds
        AND days.event_date >= DATE_SUB(@ds, INTERVAL 89 DAY)
    GROUP BY shelf.seller_id, shelf.category_id
),

market AS (
    SELECT LEAST(COALESCE(SAFE_DIVIDE(SUM(cancels), SUM(purchases)), 0), 1) AS cancel_rate
    FROM outcomes
),

category_rates AS (
    SELECT
        outcomes.category_id,
        LEAST(
            (SUM(outcomes.cancels) + 20 * MAX(market.cancel_rate)) / (SUM(outcomes.purchases) + 20), 1
        ) AS cancel_rate
    FROM outcomes
    CROSS JOIN market
    GROUP BY outcomes.category_id
),

records AS (
    SELECT
        outcomes.seller_id,
        SUM(outcomes.purchases) AS purchases,
        SUM(outcomes.cancels) AS cancels,
        SAFE_DIVIDE(SUM(outcomes.purchases * category_rates.cancel_rate), SUM(outcomes.purchases)) AS prior_rate
    FROM outcomes
    INNER JOIN category_rates ON outcomes.category_id = category_rates.category_id
    GROUP BY outcomes.seller_id
),

received AS (
    SELECT
        shelf.seller_id,
        shelf.category_id,
        SUM(days.clickers) AS clickers,
        SUM(days.expected_clickers) AS expected_clickers
    FROM staging.item_shown_daily AS days
    INNER JOIN shelf ON days.item_id = shelf.item_id
    WHERE
        days.ds BETWEEN DATE_SUB(@ds, INTERVAL 89 DAY) AND @ds
        AND days.event_date >= DATE_SUB(@ds, INTERVAL 89 DAY)
    GROUP BY shelf.seller_id, shelf.category_id
),

levels AS (
    SELECT
        category_id,
        (SUM(clickers) + 10) / (CAST(SUM(expected_clickers) AS FLOAT64) + 10) AS click_level
    FROM received
    GROUP BY category_id
),

appeals AS (
    SELECT
        received.seller_id,
        LN(
            (SUM(received.clickers) + 20)
            / (
                CAST(
                    SUM(CAST(CAST(received.expected_clickers AS FLOAT64) * levels.click_level AS NUMERIC)) AS FLOAT64
                ) + 20
            )
        ) AS appeal
    FROM received
    INNER JOIN levels ON received.category_id = levels.category_id
    GROUP BY received.seller_id
),

ratings AS (
    SELECT
        COALESCE(SAFE_DIVIDE(SUM(rating * rating_count), SUM(IF(rating IS NULL, 0, rating_count))), 0) AS rating,
        COALESCE(AVG(ships_within_days), 0) AS ships_within_days
    FROM staging.sellers
    WHERE ds = @ds
),

closings AS (
    SELECT COALESCE(SAFE_DIVIDE(SUM(sold_90d), SUM(closed_90d)), 0) AS sell_through
    FROM listings
)

SELECT
    sellers.seller_id,
    (
        COALESCE(sellers.rating * sellers.rating_count, 0) + 10 * ratings.rating
    ) / (IF(sellers.rating IS NULL, 0, COALESCE(sellers.rating_count, 0)) + 10) AS rating,
    LEAST(
        (COALESCE(records.cancels, 0) + 20 * COALESCE(records.prior_rate, market.cancel_rate))
        / (COALESCE(records.purchases, 0) + 20),
        1
    ) AS cancel_rate,
    COALESCE(CAST(sellers.ships_within_days AS FLOAT64), ratings.ships_within_days) AS ships_within_days,
    COALESCE(sellers.is_verified, FALSE) AS is_verified,
    DATE_DIFF(@ds, DATE(sellers.registered_at, @timezone), DAY) AS tenure_days,
    COALESCE(listings.live_listings, 0) AS live_listings,
    COALESCE(listings.closed_90d, 0) AS closed_90d,
    COALESCE(listings.sold_90d, 0) AS sold_90d,
    (COALESCE(listings.sold_90d, 0) + 10 * closings.sell_through)
    / (COALESCE(listings.closed_90d, 0) + 10) AS sell_through,
    @ds AS ds,
    COALESCE(appeals.appeal, 0) AS appeal
FROM staging.sellers AS sellers
CROSS JOIN market
CROSS JOIN ratings
CROSS JOIN closings
LEFT JOIN listings ON sellers.seller_id = listings.seller_id
LEFT JOIN records ON sellers.seller_id = records.seller_id
LEFT JOIN appeals ON sellers.seller_id = appeals.seller_id
WHERE sellers.ds = @ds
