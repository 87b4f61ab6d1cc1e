-- How a listing was received on a day, as it became known on ds, on pages of every surface. clickers: users who opened it
-- on a surface that showed it to them at a known place, both known on ds; a person counts once a day and surface.
-- expected_clickers: how many would have, had each done so at the rate of all that was shown at the same place of that
-- surface, as known on ds.
-- grain: item_id, event_date
-- partition: ds
-- cluster: item_id
-- upstream: staging.events
WITH seen AS (
    SELECT
        user_id,
        item_id,
        surface,
        event_date,
        MIN(IF(event_type = 'impression', position, NULL)) AS first_position,
        COUNTIF(event_type = 'view') > 0 AS is_opened
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type IN ('impression', 'view')
        AND surface IS NOT NULL
    GROUP BY user_id, item_id, surface, event_date
),

places AS (
    SELECT
        surface,
        first_position,
        COUNTIF(is_opened) / COUNT(*) AS click_rate
    FROM seen
    WHERE first_position IS NOT NULL
    GROUP BY surface, first_position
)

SELECT
    seen.item_id,
    seen.event_date,
    COUNTIF(seen.is_opened) AS clickers,
    SUM(CAST(places.click_rate AS NUMERIC)) AS expected_clickers,
    @ds AS ds
FROM seen
INNER JOIN places
    ON seen.surface = places.surface AND seen.first_position = places.first_position
GROUP BY seen.item_id, seen.event_date
