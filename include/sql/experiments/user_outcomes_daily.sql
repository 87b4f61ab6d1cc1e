-- What every exposed unit did, as it became known on ds: one row per unit exposed on ds or before, with zeros for those who
-- did nothing. What happened before the day of the first exposure does not count; that day counts whole, since the
-- daily aggregates know no hours. What became known before the first exposure did (its impression came late) is left out.
-- gmv is gross; revenue is the marketplace's take of it. A unit with two arms keeps the first it saw.
-- grain: experiment_id, unit_id
-- partition: ds
-- cluster: experiment_id, unit_id
-- upstream: experiments.exposures, staging.user_item_daily, staging.items
-- params: timezone, experiment_days
WITH exposed AS (
    SELECT
        experiment_id,
        unit_id,
        arm,
        DATE(first_exposed_at, @timezone) AS first_exposed_on
    FROM experiments.exposures
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
    QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment_id, unit_id ORDER BY first_exposed_at, arm) = 1
),

actions AS (
    SELECT
        days.user_id,
        days.event_date,
        SUM(days.impressions) AS impressions,
        SUM(days.clicks) AS clicks,
        SUM(days.purchases) AS purchases,
        SUM(days.revenue) AS gmv,
        SUM(days.revenue * CAST(COALESCE(items.take_rate, 0) AS NUMERIC)) AS revenue
    FROM staging.user_item_daily AS days
    LEFT JOIN staging.items AS items
        ON days.item_id = items.item_id AND items.ds = @ds
    WHERE days.ds = @ds
    GROUP BY days.user_id, days.event_date
)

SELECT
    exposed.experiment_id,
    exposed.unit_id,
    exposed.arm,
    exposed.first_exposed_on,
    COALESCE(SUM(actions.impressions), 0) AS impressions,
    COALESCE(SUM(actions.clicks), 0) AS clicks,
    COALESCE(SUM(actions.purchases), 0) AS purchases,
    COALESCE(SUM(actions.gmv), 0) AS gmv,
    COALESCE(SUM(actions.revenue), 0) AS revenue,
    @ds AS ds
FROM exposed
LEFT JOIN actions
    ON exposed.unit_id = actions.user_id AND exposed.first_exposed_on <= actions.event_date
GROUP BY exposed.experiment_id, exposed.unit_id, exposed.arm, exposed.first_exposed_on
