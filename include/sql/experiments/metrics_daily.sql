-- What the statistics need of each arm, as sums over its exposed units: of what became known on ds, over the units that
-- saw a list on ds (scope day), and of all since the start of the experiment, over all units that ever saw one (scope
-- cumulative). Squares and products are of a unit's own total, so that a unit,
-- not an event, is what is drawn at random.
-- grain: experiment_id, arm, scope
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.user_outcomes_daily
-- params: experiment_days
WITH outcomes AS (
    SELECT
        experiment_id,
        unit_id,
        arm,
        purchases,
        clicks,
        impressions,
        ds,
        CAST(revenue AS FLOAT64) AS revenue
    FROM experiments.user_outcomes_daily
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
),

units AS (
    SELECT
        experiment_id,
        arm,
        unit_id,
        'day' AS scope,
        purchases,
        clicks,
        impressions,
        revenue
    FROM outcomes
    WHERE
        ds = @ds
        AND impressions > 0
    UNION ALL
    SELECT
        experiment_id,
        arm,
        unit_id,
        'cumulative' AS scope,
        SUM(purchases) AS purchases,
        SUM(clicks) AS clicks,
        SUM(impressions) AS impressions,
        SUM(revenue) AS revenue
    FROM outcomes
    GROUP BY experiment_id, arm, unit_id
)

SELECT
    experiment_id,
    arm,
    scope,
    COUNT(*) AS users,
    SUM(revenue) AS revenue_sum,
    SUM(revenue * revenue) AS revenue_sq_sum,
    COUNTIF(purchases > 0) AS converters,
    SUM(clicks) AS clicks_sum,
    SUM(impressions) AS impressions_sum,
    SUM(clicks * clicks) AS clicks_sq_sum,
    SUM(impressions * impressions) AS impressions_sq_sum,
    SUM(clicks * impressions) AS clicks_impressions_sum,
    @ds AS ds
FROM units
GROUP BY experiment_id, arm, scope
