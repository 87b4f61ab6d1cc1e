-- The good events that became known on ds: each once, of a known user on a known listing, in time and sane.
-- grain: event_id
-- partition: ds
-- cluster: event_type, user_id
-- upstream: staging.arrivals
SELECT
    event_id,
    event_ts,
    event_date,
    ingested_at,
    user_id,
    session_id,
    event_type,
    item_id,
    seller_id,
    query,
    amount,
    quantity,
    surface,
    device,
    request_id,
    position,
    propensity,
    ds
FROM staging.arrivals
WHERE
    ds = @ds
    AND reason IS NULL
