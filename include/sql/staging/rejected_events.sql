-- The events that became known on ds and cannot be used, each with the reason. What is not here is in staging.events; only
-- an event that happened more than @quarantine_days before it arrived is in neither (see staging.arrivals).
-- grain: event_id, arrival
-- partition: ds
-- cluster: reason
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
    arrival,
    reason,
    ds
FROM staging.arrivals
WHERE
    ds = @ds
    AND reason IS NOT NULL
