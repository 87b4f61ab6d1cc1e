-- What the statistics need of each metric and arm, over its exposed units: sums, and sums of products, of a unit's own
-- totals, so that a unit, not an event, is what is drawn at random. Scopes are those of experiments.unit_totals, of which
-- what was before the experiment is the covariate of what is cumulative. See docs/experiment-metrics.md.
-- Within this query metrics are numbers, and so is a stratum: an arm in a segment of each kind in a scope.
-- grain: experiment_id, metric, arm, scope, segment, segment_value
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.metrics, experiments.unit_totals
WITH declared AS (
    SELECT
        experiment_id,
        metric,
        kind,
        segments,
        num_at,
        den_at,
        numerator = 'exposure_spread' AS is_spread,
        CAST(winsorise AS NUMERIC) AS winsorise,
        ROW_NUMBER() OVER (ORDER BY experiment_id, metric) AS metric_number
    FROM experiments.metrics
    WHERE
        ds = @ds
        AND kind <> 'quantile'
),

-- Measures by their place, which is what num_at and den_at of a metric say.
totals AS (
    SELECT
        experiment_id,
        unit_id,
        unit,
        scope,
        arm,
        region,
        gender,
        tenure,
        impressions,
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
            IF(new_sellers > 0, first_sales, 0.0),
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
    WHERE ds = @ds
),

strata AS (
    SELECT
        experiment_id,
        arm,
        region,
        gender,
        tenure,
        scope,
        COUNT(*) AS units,
        ROW_NUMBER() OVER (ORDER BY experiment_id, arm, region, gender, tenure, scope) AS stratum
    FROM totals
    WHERE scope <> 'before'
    GROUP BY experiment_id, arm, region, gender, tenure, scope
),

-- Of sellers: the mean over the arm of the larger of a unit's impressions and another's; the basis of the Gini coefficient.
larger AS (
    SELECT
        experiment_id,
        unit_id,
        scope,
        arm,
        impressions,
        (
            impressions * COUNT(*) OVER (PARTITION BY experiment_id, arm, scope ORDER BY impressions)
            + SUM(impressions) OVER (PARTITION BY experiment_id, arm, scope)
            - SUM(impressions) OVER (PARTITION BY experiment_id, arm, scope ORDER BY impressions)
        ) / COUNT(*) OVER (PARTITION BY experiment_id, arm, scope) AS mean_larger
    FROM totals
    WHERE
        unit = 'seller'
        AND scope <> 'before'
),

spreads AS (
    SELECT
        experiment_id,
        unit_id,
        scope,
        2 * mean_larger - AVG(mean_larger) OVER (PARTITION BY experiment_id, arm, scope) - impressions AS spread
    FROM larger
),

measured AS (
    SELECT
        strata.stratum,
        since.unit_id,
        since.measures,
        past.measures AS past,
        COALESCE(spreads.spread, 0.0) AS spread
    FROM totals AS since
    INNER JOIN strata
        ON
            since.experiment_id = strata.experiment_id
            AND since.arm = strata.arm
            AND since.region = strata.region
            AND since.gender = strata.gender
            AND since.tenure = strata.tenure
            AND since.scope = strata.scope
    LEFT JOIN spreads
        ON
            since.experiment_id = spreads.experiment_id
            AND since.unit_id = spreads.unit_id
            AND since.scope = spreads.scope
    LEFT JOIN totals AS past
        ON
            since.scope = 'cumulative'
            AND past.scope = 'before'
            AND since.experiment_id = past.experiment_id
            AND since.unit_id = past.unit_id
),

-- A scope without any unit has no row; one with units has every metric.
cells AS (
    SELECT
        declared.*,
        strata.stratum,
        strata.scope,
        strata.units,
        SUM(strata.units) OVER (PARTITION BY declared.metric_number, strata.scope) AS units_of_all
    FROM strata
    INNER JOIN declared ON strata.experiment_id = declared.experiment_id
),

amounts AS (
    SELECT
        cells.metric_number,
        cells.scope,
        cells.winsorise,
        cells.units_of_all,
        measured.unit_id,
        measured.measures[SAFE_OFFSET(cells.num_at)] AS amount
    FROM measured
    INNER JOIN cells ON measured.stratum = cells.stratum
    WHERE cells.winsorise IS NOT NULL
    UNION ALL
    SELECT
        cells.metric_number,
        'before' AS scope,
        cells.winsorise,
        cells.units_of_all,
        measured.unit_id,
        measured.past[SAFE_OFFSET(cells.num_at)] AS amount
    FROM measured
    INNER JOIN cells ON measured.stratum = cells.stratum
    WHERE cells.winsorise IS NOT NULL
),

-- The cap is the value below or at which lie at least the winsorise share of all units, those with nothing included; there
-- is none where that value is 0. Only values above 0 are put in order, from the largest.
caps AS (
    SELECT
        metric_number,
        scope,
        amount AS cap
    FROM amounts
    WHERE amount > 0
    QUALIFY
        ROW_NUMBER() OVER (PARTITION BY metric_number, scope ORDER BY amount DESC, unit_id ASC)
        = units_of_all - CAST(CEIL(winsorise * units_of_all) AS INT64) + 1
),

drawn AS (
    SELECT
        cells.metric_number,
        cells.stratum,
        CASE
            WHEN cells.is_spread THEN measured.spread
            WHEN cells.kind = 'proportion' THEN IF(measured.measures[SAFE_OFFSET(cells.num_at)] > 0, 1.0, 0.0)
            WHEN caps.cap < measured.measures[SAFE_OFFSET(cells.num_at)] THEN caps.cap
            ELSE measured.measures[SAFE_OFFSET(cells.num_at)]
        END AS num,
        COALESCE(measured.measures[SAFE_OFFSET(cells.den_at)], 0.0) AS den,
        CASE
            WHEN measured.past IS NULL OR cells.is_spread THEN 0.0
            WHEN cells.kind = 'proportion' THEN IF(measured.past[SAFE_OFFSET(cells.num_at)] > 0, 1.0, 0.0)
            WHEN past_caps.cap < measured.past[SAFE_OFFSET(cells.num_at)] THEN past_caps.cap
            ELSE measured.past[SAFE_OFFSET(cells.num_at)]
        END AS cov_num,
        COALESCE(measured.past[SAFE_OFFSET(cells.den_at)], 0.0) AS cov_den
    FROM measured
    INNER JOIN cells ON measured.stratum = cells.stratum
    LEFT JOIN caps ON cells.metric_number = caps.metric_number AND cells.scope = caps.scope
    LEFT JOIN caps AS past_caps ON cells.metric_number = past_caps.metric_number AND past_caps.scope = 'before'
),

sums AS (
    SELECT
        metric_number,
        stratum,
        SUM(num) AS num,
        SUM(den) AS den,
        SUM(cov_num) AS cov_num,
        SUM(cov_den) AS cov_den,
        SUM(num * num) AS num_num,
        SUM(num * den) AS num_den,
        SUM(num * cov_num) AS num_cov_num,
        SUM(num * cov_den) AS num_cov_den,
        SUM(den * den) AS den_den,
        SUM(den * cov_num) AS den_cov_num,
        SUM(den * cov_den) AS den_cov_den,
        SUM(cov_num * cov_num) AS cov_num_cov_num,
        SUM(cov_num * cov_den) AS cov_num_cov_den,
        SUM(cov_den * cov_den) AS cov_den_cov_den
    FROM drawn
    WHERE num <> 0 OR den <> 0 OR cov_num <> 0 OR cov_den <> 0
    GROUP BY metric_number, stratum
),

named AS (
    SELECT
        strata.experiment_id,
        cells.metric,
        strata.arm,
        strata.scope,
        cells.segments,
        strata.region,
        strata.gender,
        strata.tenure,
        cells.units,
        caps.cap,
        COALESCE(sums.num, 0.0) AS num,
        COALESCE(sums.den, 0.0) AS den,
        COALESCE(sums.cov_num, 0.0) AS cov_num,
        COALESCE(sums.cov_den, 0.0) AS cov_den,
        COALESCE(sums.num_num, 0.0) AS num_num,
        COALESCE(sums.num_den, 0.0) AS num_den,
        COALESCE(sums.num_cov_num, 0.0) AS num_cov_num,
        COALESCE(sums.num_cov_den, 0.0) AS num_cov_den,
        COALESCE(sums.den_den, 0.0) AS den_den,
        COALESCE(sums.den_cov_num, 0.0) AS den_cov_num,
        COALESCE(sums.den_cov_den, 0.0) AS den_cov_den,
        COALESCE(sums.cov_num_cov_num, 0.0) AS cov_num_cov_num,
        COALESCE(sums.cov_num_cov_den, 0.0) AS cov_num_cov_den,
        COALESCE(sums.cov_den_cov_den, 0.0) AS cov_den_cov_den
    FROM cells
    INNER JOIN strata ON cells.stratum = strata.stratum
    LEFT JOIN caps ON cells.metric_number = caps.metric_number AND cells.scope = caps.scope
    LEFT JOIN sums ON cells.metric_number = sums.metric_number AND cells.stratum = sums.stratum
),

segmented AS (
    SELECT
        *,
        'all' AS segment,
        'all' AS segment_value
    FROM named
    UNION ALL
    SELECT
        *,
        'region' AS segment,
        region AS segment_value
    FROM named
    WHERE STRPOS(segments, ',region,') > 0
    UNION ALL
    SELECT
        *,
        'gender' AS segment,
        gender AS segment_value
    FROM named
    WHERE STRPOS(segments, ',gender,') > 0
    UNION ALL
    SELECT
        *,
        'tenure' AS segment,
        tenure AS segment_value
    FROM named
    WHERE STRPOS(segments, ',tenure,') > 0
)

SELECT
    experiment_id,
    metric,
    arm,
    scope,
    segment,
    segment_value,
    SUM(units) AS units,
    MAX(cap) AS cap,
    SUM(num) AS num,
    SUM(den) AS den,
    SUM(cov_num) AS cov_num,
    SUM(cov_den) AS cov_den,
    SUM(num_num) AS num_num,
    SUM(num_den) AS num_den,
    SUM(num_cov_num) AS num_cov_num,
    SUM(num_cov_den) AS num_cov_den,
    SUM(den_den) AS den_den,
    SUM(den_cov_num) AS den_cov_num,
    SUM(den_cov_den) AS den_cov_den,
    SUM(cov_num_cov_num) AS cov_num_cov_num,
    SUM(cov_num_cov_den) AS cov_num_cov_den,
    SUM(cov_den_cov_den) AS cov_den_cov_den,
    @ds AS ds
FROM segmented
GROUP BY experiment_id, metric, arm, scope, segment, segment_value
