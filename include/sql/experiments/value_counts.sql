-- How many exposed units of an arm have a value of a quantile metric, since their exposure: what quantiles, and their
-- intervals by the bootstrap, are drawn from. Values are rounded to three significant digits, so that their number stays
-- small whatever the number of units. Units without a denominator, or where none is declared with a numerator of 0, have
-- no value. Who is exposed, and from when on acts count, is as in experiments.metrics_daily.
-- grain: experiment_id, metric, arm, scope, value
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.metrics, experiments.exposures, experiments.unit_daily
-- params: timezone, experiment_days
WITH declared AS (
    SELECT
        experiment_id,
        metric,
        unit,
        numerator,
        denominator
    FROM experiments.metrics
    WHERE
        ds = @ds
        AND kind = 'quantile'
),

arms AS (
    SELECT
        experiment_id,
        arm,
        ROW_NUMBER() OVER (ORDER BY experiment_id, arm) AS arm_number
    FROM (
        SELECT DISTINCT
            shown.experiment_id,
            shown.arm
        FROM experiments.exposures AS shown
        INNER JOIN declared ON shown.experiment_id = declared.experiment_id
        WHERE shown.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
    ) AS seen
),

firsts AS (
    SELECT
        shown.experiment_id,
        shown.unit_id,
        MIN(UNIX_MICROS(shown.first_exposed_at) * 1024 + arms.arm_number) AS first_exposure
    FROM experiments.exposures AS shown
    INNER JOIN arms ON shown.experiment_id = arms.experiment_id AND shown.arm = arms.arm
    WHERE shown.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
    GROUP BY shown.experiment_id, shown.unit_id
),

acts AS (
    SELECT
        declared.experiment_id,
        declared.metric,
        acts.unit_id,
        acts.event_date,
        CASE declared.numerator
            WHEN 'impressions' THEN CAST(acts.impressions AS FLOAT64)
            WHEN 'clicks' THEN CAST(acts.clicks AS FLOAT64)
            WHEN 'views' THEN CAST(acts.views AS FLOAT64)
            WHEN 'likes' THEN CAST(acts.likes AS FLOAT64)
            WHEN 'carts' THEN CAST(acts.carts AS FLOAT64)
            WHEN 'sessions' THEN CAST(acts.sessions AS FLOAT64)
            WHEN 'bounces' THEN CAST(acts.bounces AS FLOAT64)
            WHEN 'purchases' THEN CAST(acts.purchases AS FLOAT64)
            WHEN 'cancels' THEN CAST(acts.cancels AS FLOAT64)
            WHEN 'gmv' THEN CAST(acts.gmv AS FLOAT64)
            WHEN 'revenue' THEN CAST(acts.revenue AS FLOAT64)
            WHEN 'listings_sold' THEN CAST(acts.listings_sold AS FLOAT64)
            WHEN 'hours_to_sale' THEN CAST(acts.hours_to_sale AS FLOAT64)
            WHEN 'new_sellers' THEN CAST(acts.new_sellers AS FLOAT64)
            WHEN 'first_sales' THEN CAST(acts.first_sales AS FLOAT64)
        END AS num,
        CASE declared.denominator
            WHEN 'impressions' THEN CAST(acts.impressions AS FLOAT64)
            WHEN 'clicks' THEN CAST(acts.clicks AS FLOAT64)
            WHEN 'views' THEN CAST(acts.views AS FLOAT64)
            WHEN 'likes' THEN CAST(acts.likes AS FLOAT64)
            WHEN 'carts' THEN CAST(acts.carts AS FLOAT64)
            WHEN 'sessions' THEN CAST(acts.sessions AS FLOAT64)
            WHEN 'bounces' THEN CAST(acts.bounces AS FLOAT64)
            WHEN 'purchases' THEN CAST(acts.purchases AS FLOAT64)
            WHEN 'cancels' THEN CAST(acts.cancels AS FLOAT64)
            WHEN 'gmv' THEN CAST(acts.gmv AS FLOAT64)
            WHEN 'revenue' THEN CAST(acts.revenue AS FLOAT64)
            WHEN 'listings_sold' THEN CAST(acts.listings_sold AS FLOAT64)
            WHEN 'hours_to_sale' THEN CAST(acts.hours_to_sale AS FLOAT64)
            WHEN 'new_sellers' THEN CAST(acts.new_sellers AS FLOAT64)
            WHEN 'first_sales' THEN CAST(acts.first_sales AS FLOAT64)
        END AS den
    FROM experiments.unit_daily AS acts
    INNER JOIN declared ON acts.unit = declared.unit
    WHERE acts.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
),

totals AS (
    SELECT
        acts.experiment_id,
        acts.metric,
        acts.unit_id,
        MIN(MOD(firsts.first_exposure, 1024)) AS arm_number,
        SUM(acts.num) AS num,
        SUM(acts.den) AS den
    FROM acts
    INNER JOIN firsts ON acts.experiment_id = firsts.experiment_id AND acts.unit_id = firsts.unit_id
    WHERE
        (acts.num <> 0 OR acts.den <> 0)
        AND acts.event_date >= DATE(TIMESTAMP_MICROS(DIV(firsts.first_exposure, 1024)), @timezone)
    GROUP BY acts.experiment_id, acts.metric, acts.unit_id
),

exact AS (
    SELECT
        totals.experiment_id,
        totals.metric,
        arms.arm,
        IF(totals.den IS NULL, totals.num, SAFE_DIVIDE(totals.num, totals.den)) AS value
    FROM totals
    INNER JOIN arms ON totals.arm_number = arms.arm_number
    WHERE IF(totals.den IS NULL, totals.num, totals.den) > 0
),

rounded AS (
    SELECT
        experiment_id,
        metric,
        arm,
        CASE
            WHEN value <= 0 THEN 0.0
            WHEN value >= 100
                THEN ROUND(value / POW(10, FLOOR(LOG10(value)) - 2)) * POW(10, FLOOR(LOG10(value)) - 2)
            ELSE ROUND(value * POW(10, 2 - FLOOR(LOG10(value)))) / POW(10, 2 - FLOOR(LOG10(value)))
        END AS value
    FROM exact
)

SELECT
    experiment_id,
    metric,
    arm,
    'cumulative' AS scope,
    value,
    COUNT(*) AS units,
    @ds AS ds
FROM rounded
GROUP BY experiment_id, metric, arm, value
