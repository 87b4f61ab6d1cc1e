-- Campaigns as they were known at the end of ds: those that run, or ended within the last @history_days. Sellers change what
-- they pay without a trace in the source, so the day's snapshot is kept for good. An end after ds is not known yet.
-- grain: campaign_id
-- partition: ds
-- cluster: campaign_id
-- upstream: marketplace.campaigns
-- params: timezone, history_days
-- snapshot: once
SELECT
    campaign_id,
    seller_id,
    item_id,
    category_id,
    ad_rate,
    started_at,
    IF(ended_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), ended_at, NULL) AS ended_at,
    @ds AS ds
FROM marketplace.campaigns
WHERE
    started_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
    AND (
        ended_at IS NULL
        OR ended_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
    )
