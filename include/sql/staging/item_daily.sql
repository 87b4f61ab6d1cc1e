-- What happened to a listing on a day, as it became known on ds.
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

totals AS (
    SELECT
        item_id,
        event_date,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(views) AS views,
        SUM(likes) AS likes,
        SUM(offers) AS offers,
        SUM(carts) AS carts,
        SUM(bids) AS bids,
        SUM(purchases) AS purchases,
        SUM(cancels) AS cancels,
        SUM(quantity) AS quantity,
        SUM(revenue) AS revenue,
        SUM(cancelled_revenue) AS cancelled_revenue,
        COUNTIF(views > 0) AS viewers,
        COUNTIF(purchases > 0) AS buyers
    FROM staging.user_item_daily
    WHERE ds = @ds
    GROUP BY item_id, event_date
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
    @ds AS ds
FROM totals
LEFT JOIN bids
    ON totals.item_id = bids.item_id AND totals.event_date = bids.event_date
