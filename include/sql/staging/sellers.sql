-- Sellers as they were known at the end of ds: rating and shipping promise change without a trace in the source,
-- so the day's snapshot is kept for good.
-- grain: seller_id
-- partition: ds
-- cluster: seller_id
-- upstream: marketplace.sellers
-- params: timezone
-- snapshot: once
SELECT
    seller_id,
    registered_at,
    rating,
    rating_count,
    is_verified,
    ships_within_days,
    @ds AS ds
FROM marketplace.sellers
WHERE registered_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
