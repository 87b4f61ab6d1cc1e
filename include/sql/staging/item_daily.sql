-- What happened to a listing on a day, as it became known on ds. clickers: who was shown it in a list and opened it, both
-- known on ds and of one day; a person counts once a day. expected_clickers: how many would have, had each done so at the
-- rate of all that was shown at the same place, as known on ds.
-- grain: item_id, event_date
-- partition: ds
-- cluster: item_id
-- upstream: staging.user_item_daily, staging.events
WITH bids AS (
    SELECT
        item_id,
        event_date,
        SUM(amount) AS bid_amount,
        MAX(amount) AS top_bid
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type = 'bid'
    GROUP BY item_id, event_date
),

places AS (
    SELECT
        first_position,
        COUNTIF(clicks > 0) / COUNT(*) AS click_rate
    FROM staging.user_item_daily
    WHERE
        ds = @ds
        AND impressions > 0
        AND first_position IS NOT NULL
    GROUP BY first_position
),

totals AS (
    SELECT
        days.item_id,
        days.event_date,
        SUM(days.impressions) AS impressions,
        SUM(days.clicks) AS clicks,
        SUM(days.views) AS views,
        SUM(days.likes) AS likes,
        SUM(days.offers) AS offers,
        SUM(days.carts) AS carts,
        SUM(days.bids) AS bids,
        SUM(days.purchases) AS purchases,
        SUM(days.cancels) AS cancels,
        SUM(days.quantity) AS quantity,
        SUM(days.revenue) AS revenue,
        SUM(days.cancelled_revenue) AS cancelled_revenue,
        COUNTIF(days.views > 0) AS viewers,
        COUNTIF(days.purchases > 0) AS buyers,
        COUNTIF(days.clicks > 0 AND places.click_rate IS NOT NULL) AS clickers,
        COALESCE(SUM(CAST(places.click_rate AS NUMERIC)), 0) AS expected_clickers
    FROM staging.user_item_daily AS days
    LEFT JOIN places ON days.first_position = places.first_position AND days.impressions > 0
    WHERE days.ds = @ds
    GROUP BY days.item_id, days.event_date
)

SELECT
    totals.item_id,
    totals.event_date,
    totals.impressions,
    totals.clicks,
    totals.views,
    totals.likes,
    totals.offers,
    totals.carts,
    totals.bids,
    totals.purchases,
    totals.cancels,
    totals.quantity,
    totals.revenue,
    totals.cancelled_revenue,
    totals.viewers,
    totals.buyers,
    COALESCE(bids.bid_amount, 0) AS bid_amount,
    bids.top_bid,
    @ds AS ds,
    totals.clickers,
    totals.expected_clickers
FROM totals
LEFT JOIN bids
    ON totals.item_id = bids.item_id AND totals.event_date = bids.event_date
