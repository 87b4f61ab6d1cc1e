-- Every event that became known on ds, with the reason it is rejected for, if any. The one reader of raw events.
-- An event becomes known on the day of its ingested_at. A copy is judged by what was known on the day it came. The
-- first good copy of an event_id counts, later good ones are duplicates; the search for copies goes back @late_days,
-- which is enough, since whatever comes later than that is late anyway. Partitions of the source are read from
-- @quarantine_days back, so that an event is quarantined as late up to that age, and without an upper end, so that
-- events from the future are seen. A listing is known for @archive_days after it was closed.
-- grain: event_id, arrival
-- partition: ds
-- cluster: event_type, user_id
-- upstream: marketplace.events, marketplace.items, staging.items, staging.users
-- params: timezone, late_days, quarantine_days, archive_days
WITH raw AS (
    SELECT
        event_id,
        event_ts,
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
        DATE(event_ts, @timezone) AS event_date,
        DATE(ingested_at, @timezone) AS known_on
    FROM marketplace.events
    WHERE
        event_date >= DATE_SUB(@ds, INTERVAL @quarantine_days + @late_days + 1 DAY)
        AND ingested_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @late_days DAY), @timezone)
        AND ingested_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
),

known_items AS (
    SELECT
        item_id,
        DATE(listed_at, @timezone) AS known_on
    FROM staging.items
    WHERE ds = @ds
    UNION ALL
    -- Closed so long ago that the shelf no longer holds it: known, though nothing reads it any more.
    SELECT
        old.item_id,
        DATE(old.listed_at, @timezone) AS known_on
    FROM marketplace.items AS old
    LEFT JOIN staging.items AS shelf
        ON old.item_id = shelf.item_id AND shelf.ds = @ds
    WHERE
        shelf.item_id IS NULL
        AND old.item_id IN (SELECT raw.item_id FROM raw)
        AND old.closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @archive_days - 1 DAY), @timezone)
        AND old.closed_at < TIMESTAMP(DATE_SUB(@ds, INTERVAL @late_days DAY), @timezone)
),

judged AS (
    SELECT
        raw.*,
        CASE
            WHEN
                COALESCE(raw.event_id, '') = ''
                OR COALESCE(raw.user_id, '') = ''
                OR (raw.event_type NOT IN ('search', 'follow') AND COALESCE(raw.item_id, '') = '')
                OR (raw.event_type = 'follow' AND COALESCE(raw.seller_id, '') = '')
                OR (raw.event_type = 'search' AND COALESCE(raw.query, '') = '')
                THEN 'missing_key'
            WHEN
                raw.event_type NOT IN (
                    'impression', 'view', 'search', 'like', 'offer', 'cart', 'bid', 'purchase', 'cancel', 'follow'
                )
                THEN 'unknown_type'
            WHEN raw.event_date > raw.known_on THEN 'future'
            WHEN DATE_DIFF(raw.known_on, raw.event_date, DAY) > @late_days THEN 'late'
            WHEN users.user_id IS NULL OR DATE(users.registered_at, @timezone) > raw.known_on THEN 'unknown_user'
            WHEN
                raw.event_type NOT IN ('search', 'follow')
                AND (known_items.item_id IS NULL OR known_items.known_on > raw.known_on)
                THEN 'unknown_item'
            WHEN
                raw.amount < 0
                OR raw.amount >= 1000000000
                OR (raw.event_type IN ('purchase', 'offer', 'bid') AND COALESCE(raw.amount, 0) = 0)
                OR (raw.event_type = 'cancel' AND raw.amount IS NULL)
                OR (raw.event_type IN ('purchase', 'cancel') AND COALESCE(raw.quantity, 1) <= 0)
                THEN 'bad_amount'
        END AS fault
    FROM raw
    LEFT JOIN staging.users AS users
        ON raw.user_id = users.user_id AND users.ds = @ds
    LEFT JOIN known_items
        ON raw.item_id = known_items.item_id
),

numbered AS (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY
                IF(fault IS NULL, 0, 1), ingested_at, event_ts, event_type, user_id, item_id, seller_id, session_id,
                query, amount, quantity, surface, device, request_id, position, propensity
        ) AS arrival
    FROM judged
)

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
    COALESCE(fault, IF(arrival > 1, 'duplicate', NULL)) AS reason,
    @ds AS ds
FROM numbered
WHERE known_on = @ds
