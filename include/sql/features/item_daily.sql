-- A live listing as the end of ds knows it: age, decayed popularity, shrunk rates, price position, auction state.
-- Popularity: view 1, like 3, offer, cart or bid 4, purchase 8, halved every 1, 7 or 30 days, over @history_days.
-- click_rate = clicks per impression, purchase_rate = purchases per view, each drawn towards its category's rate (as if
-- 50 impressions, 20 views had been seen at it), which is itself drawn towards the market's. price_percentile = share of
-- the live listings of its group that are cheaper, ties counting half. is_new: listed within two days, or never viewed
-- nor shown. listing_amount: the top bid of an auction that has one, else the price.
-- appeal: log of who opened it out of any page over those expected at its places in its category, as if ten had come and
-- been expected.
-- p_available: chance that the listing is live at a moment drawn from the day after ds, which is when lists are seen.
-- With q the chance to close within a day, at a steady rate: -q / LN(1 - q). q = closings per listing and day over the
-- last seven days, of what was live at the start of the day, by category and by points on the day before (none, below 4,
-- below 16, more), drawn towards the rate of those points in all categories as if 50 listing-days had been seen at it, and
-- that one towards the market's. An auction ends when it ends: the part of the day that it lasts.
-- grain: item_id
-- partition: ds
-- cluster: category_id, item_id
-- upstream: staging.items, features.item_group, staging.item_daily, staging.item_shown_daily
-- params: timezone, history_days
WITH shelf AS (
    SELECT
        items.item_id,
        groups_.group_id,
        items.seller_id,
        items.category_id,
        items.price,
        items.take_rate,
        items.sale_type = 'auction' AS is_auction,
        TIMESTAMP_DIFF(TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), items.listed_at, SECOND)
        / 86400 AS age_days,
        TIMESTAMP_DIFF(items.auction_ends_at, TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), SECOND)
        / 3600 AS hours_left
    FROM staging.items AS items
    INNER JOIN features.item_group AS groups_
        ON items.item_id = groups_.item_id AND groups_.ds = @ds
    WHERE
        items.ds = @ds
        AND items.is_live
),

days AS (
    SELECT
        item_id,
        DATE_DIFF(@ds, event_date, DAY) AS age,
        impressions,
        clicks,
        views,
        likes,
        purchases,
        GREATEST(views, purchases) AS chances,
        bids,
        bid_amount,
        top_bid,
        views + 3 * likes + 4 * (offers + carts + bids) + 8 * purchases AS points
    FROM staging.item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
),

totals AS (
    SELECT
        item_id,
        SUM(points * POW(0.5, age)) AS popularity_1d,
        SUM(points * POW(0.5, age / 7)) AS popularity_7d,
        SUM(points * POW(0.5, age / 30)) AS popularity_30d,
        SUM(IF(age < 30, impressions, 0)) AS impressions_30d,
        SUM(IF(age < 30, views, 0)) AS views_30d,
        SUM(IF(age < 30, likes, 0)) AS likes_30d,
        SUM(IF(age < 30, purchases, 0)) AS purchases_30d,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(views) AS views,
        SUM(chances) AS chances,
        SUM(purchases) AS purchases,
        SUM(bids) AS bid_count,
        SUM(bid_amount) AS bid_amount,
        MAX(top_bid) AS top_bid
    FROM days
    GROUP BY item_id
),

categories AS (
    -- Sold listings count too, or the rates would be those of what nobody wanted.
    SELECT
        groups_.category_id,
        SUM(totals.impressions) AS impressions,
        SUM(totals.clicks) AS clicks,
        SUM(totals.chances) AS chances,
        SUM(totals.purchases) AS purchases
    FROM totals
    INNER JOIN features.item_group AS groups_
        ON totals.item_id = groups_.item_id AND groups_.ds = @ds
    GROUP BY groups_.category_id
),

received AS (
    SELECT
        item_id,
        SUM(clickers) AS clickers,
        SUM(expected_clickers) AS expected_clickers
    FROM staging.item_shown_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
    GROUP BY item_id
),

levels AS (
    SELECT
        groups_.category_id,
        (SUM(received.clickers) + 10) / (CAST(SUM(received.expected_clickers) AS FLOAT64) + 10) AS click_level
    FROM received
    INNER JOIN features.item_group AS groups_
        ON received.item_id = groups_.item_id AND groups_.ds = @ds
    GROUP BY groups_.category_id
),

market AS (
    SELECT
        COALESCE(SAFE_DIVIDE(SUM(clicks), SUM(impressions)), 0) AS click_rate,
        COALESCE(SAFE_DIVIDE(SUM(purchases), SUM(chances)), 0) AS purchase_rate
    FROM categories
),

heat AS (
    SELECT
        item_id,
        age,
        CASE WHEN SUM(points) = 0 THEN 0 WHEN SUM(points) < 4 THEN 1 WHEN SUM(points) < 16 THEN 2 ELSE 3 END AS band
    FROM days
    WHERE age < 8
    GROUP BY item_id, age
),

at_risk AS (
    SELECT
        items.category_id,
        COALESCE(heat.band, 0) AS heat_band,
        COALESCE(DATE(items.closed_at, @timezone) = risk_date, FALSE) AS is_closed
    FROM staging.items AS items
    CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(DATE_SUB(@ds, INTERVAL 6 DAY), @ds)) AS risk_date
    LEFT JOIN heat ON items.item_id = heat.item_id AND heat.age = DATE_DIFF(@ds, risk_date, DAY) + 1
    WHERE
        items.ds = @ds
        AND items.sale_type <> 'auction'
        AND (items.is_live OR items.closed_at IS NOT NULL)
        AND DATE(items.listed_at, @timezone) < risk_date
        AND COALESCE(DATE(items.closed_at, @timezone) >= risk_date, TRUE)
),

closings AS (
    SELECT
        category_id,
        heat_band,
        COUNT(*) AS listing_days,
        COUNTIF(is_closed) AS closed
    FROM at_risk
    GROUP BY category_id, heat_band
),

market_closings AS (
    SELECT COALESCE(SAFE_DIVIDE(SUM(closed), SUM(listing_days)), 0) AS rate
    FROM closings
),

band_closings AS (
    SELECT
        closings.heat_band,
        (SUM(closings.closed) + 50 * MAX(market_closings.rate)) / (SUM(closings.listing_days) + 50) AS rate
    FROM closings
    CROSS JOIN market_closings
    GROUP BY closings.heat_band
),

hazards AS (
    SELECT
        shelf.item_id,
        (COALESCE(closings.closed, 0) + 50 * COALESCE(band_closings.rate, market_closings.rate))
        / (COALESCE(closings.listing_days, 0) + 50) AS daily
    FROM shelf
    CROSS JOIN market_closings
    LEFT JOIN heat ON shelf.item_id = heat.item_id AND heat.age = 0
    LEFT JOIN band_closings
        ON band_closings.heat_band = COALESCE(heat.band, 0)
    LEFT JOIN closings
        ON
            shelf.category_id = closings.category_id
            AND closings.heat_band = COALESCE(heat.band, 0)
),

priors AS (
    SELECT
        categories.category_id,
        (categories.clicks + 50 * market.click_rate) / (categories.impressions + 50) AS click_rate,
        (categories.purchases + 20 * market.purchase_rate) / (categories.chances + 20) AS purchase_rate
    FROM categories
    CROSS JOIN market
)

SELECT
    shelf.item_id,
    shelf.group_id,
    shelf.seller_id,
    shelf.category_id,
    shelf.price,
    shelf.take_rate,
    shelf.age_days,
    shelf.age_days <= 2 OR COALESCE(totals.views + totals.impressions, 0) = 0 AS is_new,
    COALESCE(totals.popularity_1d, 0) AS popularity_1d,
    COALESCE(totals.popularity_7d, 0) AS popularity_7d,
    COALESCE(totals.popularity_30d, 0) AS popularity_30d,
    COALESCE(totals.impressions_30d, 0) AS impressions_30d,
    COALESCE(totals.views_30d, 0) AS views_30d,
    COALESCE(totals.likes_30d, 0) AS likes_30d,
    COALESCE(totals.purchases_30d, 0) AS purchases_30d,
    (COALESCE(totals.clicks, 0) + 50 * COALESCE(priors.click_rate, market.click_rate))
    / (GREATEST(COALESCE(totals.impressions, 0), COALESCE(totals.clicks, 0)) + 50) AS click_rate,
    (COALESCE(totals.purchases, 0) + 20 * COALESCE(priors.purchase_rate, market.purchase_rate))
    / (COALESCE(totals.chances, 0) + 20) AS purchase_rate,
    (
        (RANK() OVER (PARTITION BY shelf.group_id ORDER BY shelf.price) - 1)
        / COUNT(*) OVER (PARTITION BY shelf.group_id)
        + CUME_DIST() OVER (PARTITION BY shelf.group_id ORDER BY shelf.price)
    ) / 2 AS price_percentile,
    shelf.is_auction,
    IF(shelf.is_auction, COALESCE(totals.top_bid, shelf.price), shelf.price) AS listing_amount,
    COALESCE(totals.bid_count, 0) AS bid_count,
    COALESCE(totals.bid_amount, 0) AS bid_amount,
    IF(shelf.is_auction, shelf.hours_left, NULL) AS hours_left,
    @ds AS ds,
    CASE
        WHEN shelf.is_auction THEN LEAST(GREATEST(COALESCE(shelf.hours_left, 24) / 24, 0), 1)
        WHEN hazards.daily < 0.000001 THEN 1
        ELSE -LEAST(hazards.daily, 0.999999) / LN(1 - LEAST(hazards.daily, 0.999999))
    END AS p_available,
    LN(
        (COALESCE(received.clickers, 0) + 10)
        / (COALESCE(CAST(received.expected_clickers AS FLOAT64), 0) * COALESCE(levels.click_level, 1) + 10)
    ) AS appeal
FROM shelf
CROSS JOIN market
INNER JOIN hazards ON shelf.item_id = hazards.item_id
LEFT JOIN totals ON shelf.item_id = totals.item_id
LEFT JOIN priors ON shelf.category_id = priors.category_id
LEFT JOIN received ON shelf.item_id = received.item_id
LEFT JOIN levels ON shelf.category_id = levels.category_id
