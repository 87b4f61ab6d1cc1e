-- Which units of an experiment were shown a list, as it became known on ds. Only what was shown from the start of the
-- experiment on counts. A unit that was assigned more than once keeps its first arm.
-- grain: experiment_id, unit_id
-- partition: ds
-- cluster: experiment_id, unit_id
-- upstream: experiments.assignments, staging.events
-- params: experiment_days
WITH assigned AS (
    SELECT
        experiment_id,
        unit_id,
        arm,
        started_on
    FROM experiments.assignments
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
    QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment_id, unit_id ORDER BY ds) = 1
),

shown AS (
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
)

SELECT
    assigned.experiment_id,
    assigned.unit_id,
    assigned.arm,
    MIN(shown.event_ts) AS first_exposed_at,
    COUNT(*) AS impressions,
    @ds AS ds
FROM shown
INNER JOIN assigned
    ON shown.user_id = assigned.unit_id AND shown.event_date >= assigned.started_on
GROUP BY assigned.experiment_id, assigned.unit_id, assigned.arm
