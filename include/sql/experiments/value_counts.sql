-- How many exposed units of an arm have a value of a quantile metric, in the scopes of experiments.unit_totals and in
-- every segment: what quantiles, and their intervals by the bootstrap, are drawn from. Values are rounded to three
-- significant digits, so that their number stays small whatever the number of units. Units without a denominator, or
-- where none is declared with a numerator of 0, have no value. Measures stand in the place that num_at and den_at of a
-- metric say.
-- grain: experiment_id, metric, arm, scope, segment, segment_value, value
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.metrics, experiments.unit_totals
WITH totals AS (
    SELECT
        experiment_id,
        arm,
        scope,
        region,
        gender,
        tenure,
        [
            impressions,
            clicks,
            views,
            likes,
            carts,
            sessions,
            bounces,
            purchases,
            cancels,
            gmv,
            revenue,
            listings_sold,
            hours_to_sale,
            new_sellers,
            first_sales,
            ad_impressions,
            ad_clicks,
            ad_purchases,
            ad_revenue,
            ad_spend,
            campaigns,
            keywords,
            keywords_adopted
        ] AS measures
    FROM experiments.unit_totals
    WHERE
        ds = @ds
        AND scope <> 'before'
),

shares AS (
    SELECT
        totals.experiment_id,
        totals.arm,
        totals.scope,
        totals.region,
        totals.gender,
        totals.tenure,
        declared.metric,
        declared.segments,
        totals.measures[SAFE_OFFSET(declared.num_at)] AS num,
        totals.measures[SAFE_OFFSET(declared.den_at)] AS den
    FROM totals
    INNER JOIN experiments.metrics AS declared
        ON
            totals.experiment_id = declared.experiment_id
            AND declared.ds = @ds
            AND declared.kind = 'quantile'
),

exact AS (
    SELECT
        *,
        IF(den IS NULL, num, SAFE_DIVIDE(num, den)) AS value
    FROM shares
    WHERE IF(den IS NULL, num, den) > 0
),

rounded AS (
    SELECT
        *,
        CASE
            WHEN value <= 0 THEN 0.0
            WHEN value >= 100
                THEN ROUND(value / POW(10, FLOOR(LOG10(value)) - 2)) * POW(10, FLOOR(LOG10(value)) - 2)
            ELSE ROUND(value * POW(10, 2 - FLOOR(LOG10(value)))) / POW(10, 2 - FLOOR(LOG10(value)))
        END AS rounded_value
    FROM exact
),

counted AS (
    SELECT
        experiment_id,
        metric,
        arm,
        scope,
        segments,
        region,
        gender,
        tenure,
        rounded_value AS value,
        COUNT(*) AS units
    FROM rounded
    GROUP BY experiment_id, metric, arm, scope, segments, region, gender, tenure, rounded_value
),

segmented AS (
    SELECT
        *,
        'all' AS segment,
        'all' AS segment_value
    FROM counted
    UNION ALL
    SELECT
        *,
        'region' AS segment,
        region AS segment_value
    FROM counted
    WHERE STRPOS(segments, ',region,') > 0
    UNION ALL
    SELECT
        *,
        'gender' AS segment,
        gender AS segment_value
    FROM counted
    WHERE STRPOS(segments, ',gender,') > 0
    UNION ALL
    SELECT
        *,
        'tenure' AS segment,
        tenure AS segment_value
    FROM counted
    WHERE STRPOS(segments, ',tenure,') > 0
)

SELECT
    experiment_id,
    metric,
    arm,
    scope,
    value,
    SUM(units) AS units,
    @ds AS ds,
    segment,
    segment_value
FROM segmented
GROUP BY experiment_id, metric, arm, scope, segment, segment_value, value
