-- Users as they were known at the end of ds. The source keeps no history, so the day's snapshot is kept for good.
-- grain: user_id
-- partition: ds
-- cluster: user_id
-- upstream: marketplace.users
-- params: timezone
-- snapshot: once
SELECT
    user_id,
    registered_at,
    birth_year,
    gender,
    region,
    @ds AS ds
FROM marketplace.users
WHERE registered_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
