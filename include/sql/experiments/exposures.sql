-- Which units were shown a list of an experiment, as it became known on ds. What counts as exposure is an impression on
-- the day that a list made for an arm was served: someone who saw the app's fallback, or a list of another experiment,
-- was not exposed to this one. A unit with lists of two arms keeps the first it saw.
-- grain: experiment_id, unit_id
-- partition: ds
-- cluster: experiment_id, unit_id
-- upstream: marts.recommendations, staging.events
-- params: late_days
WITH shown AS (
    SELECT
        user_id,
        event_ts,
        event_date
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type = 'impression'
        AND surface = 'recommendation'
        AND request_id IS NOT NULL
),

served AS (
    SELECT
        user_id,
        experiment_id,
        arm,
        DATE_ADD(ds, INTERVAL 1 DAY) AS served_on
    FROM marts.recommendations
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days + 1 DAY) AND @ds
        AND rank = 1
        AND experiment_id IS NOT NULL
),

by_arm AS (
    SELECT
        served.experiment_id,
        served.arm,
        shown.user_id AS unit_id,
        MIN(shown.event_ts) AS first_exposed_at,
        COUNT(*) AS impressions
    FROM shown
    INNER JOIN served
        ON shown.user_id = served.user_id AND shown.event_date = served.served_on
    GROUP BY served.experiment_id, served.arm, shown.user_id
)

SELECT
    experiment_id,
    unit_id,
    arm,
    first_exposed_at,
    impressions,
    @ds AS ds
FROM by_arm
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment_id, unit_id ORDER BY first_exposed_at, arm) = 1
