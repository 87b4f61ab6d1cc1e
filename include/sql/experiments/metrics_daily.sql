-- What the statistics need of each metric and arm, over its exposed units: sums, and sums of products, of a unit's own
-- totals, so that a unit, not an event, is what is drawn at random. Scopes are those of experiments.unit_totals, of which
-- what was before the experiment is the covariate of what is cumulative. No other scopes meet, so a large build has two
-- parts, those before the scope day and the days. See docs/experiment-metrics.md.
-- Within this query metrics are numbers, and so is a stratum: an arm in a segment of each kind in a scope.
-- grain: experiment_id, metric, arm, scope, segment, segment_value
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.metrics, experiments.unit_totals
-- ranges: scope
-- limits: day
WITH declared AS (
    SELECT
        experiment_id,
        metric,
        segments,
        num_at,
        den_at,
        numerator,
        numerator = 'exposure_spread' AS is_spread,
        kind = 'proportion' AS is_proportion,
        CAST(winsorise AS NUMERIC) AS winsorise,
        ROW_NUMBER() OVER (ORDER BY experiment_id, metric) AS metric_number
    FROM experiments.metrics
    WHERE
        ds = @ds
        AND kind <> 'quantile'
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
    FROM experiments.unit_totals
    WHERE
        ds = @ds
        AND scope <> 'before'
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
    FROM experiments.unit_totals
    WHERE
        ds = @ds
        AND unit = 'seller'
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

-- Only amounts of money are capped; what was before the experiment is, over as many units as what came since.
capping AS (
    SELECT DISTINCT
        experiment_id,
        metric_number,
        numerator,
        scope,
        winsorise,
        units_of_all
    FROM cells
    WHERE winsorise IS NOT NULL
),

amounts AS (
    SELECT
        capping.metric_number,
        totals.scope,
        capping.winsorise,
        capping.units_of_all,
        CASE capping.numerator
            WHEN 'gmv' THEN totals.gmv
            WHEN 'revenue' THEN totals.revenue
            WHEN 'ad_revenue' THEN totals.ad_revenue
            WHEN 'ad_spend' THEN totals.ad_spend
        END AS amount
    FROM experiments.unit_totals AS totals
    INNER JOIN capping
        ON
            totals.experiment_id = capping.experiment_id
            AND IF(totals.scope = 'before', 'cumulative', totals.scope) = capping.scope
    WHERE totals.ds = @ds
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
        ROW_NUMBER() OVER (PARTITION BY metric_number, scope ORDER BY amount DESC)
        = units_of_all - CAST(CEIL(winsorise * units_of_all) AS INT64) + 1
),

-- Measures by their place, which is what num_at and den_at of a metric say.
since AS (
    SELECT
        strata.stratum,
        totals.experiment_id,
        totals.unit_id,
        totals.scope,
        COALESCE(spreads.spread, 0.0) AS spread,
        [
            totals.impressions,
            totals.clicks,
            totals.views,
            totals.likes,
            totals.carts,
            totals.sessions,
            totals.bounces,
            totals.purchases,
            totals.cancels,
            totals.gmv,
            totals.revenue,
            totals.listings_sold,
            totals.hours_to_sale,
            totals.new_sellers,
            IF(totals.new_sellers > 0, totals.first_sales, 0.0),
            totals.ad_impressions,
            totals.ad_clicks,
            totals.ad_purchases,
            totals.ad_revenue,
            totals.ad_spend,
            totals.campaigns,
            totals.keywords,
            totals.keywords_adopted
        ] AS measures
    FROM experiments.unit_totals AS totals
    INNER JOIN strata
        ON
            totals.experiment_id = strata.experiment_id
            AND totals.arm = strata.arm
            AND totals.region = strata.region
            AND totals.gender = strata.gender
            AND totals.tenure = strata.tenure
            AND totals.scope = strata.scope
    LEFT JOIN spreads
        ON
            totals.experiment_id = spreads.experiment_id
            AND totals.unit_id = spreads.unit_id
            AND totals.scope = spreads.scope
    WHERE totals.ds = @ds
),

past AS (
    SELECT
        experiment_id,
        unit_id,
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
    WHERE
        ds = @ds
        AND scope = 'before'
),

capped AS (
    SELECT
        cells.*,
        caps.cap,
        past_caps.cap AS past_cap
    FROM cells
    LEFT JOIN caps ON cells.metric_number = caps.metric_number AND cells.scope = caps.scope
    LEFT JOIN caps AS past_caps
        ON
            cells.metric_number = past_caps.metric_number
            AND cells.scope = 'cumulative'
            AND past_caps.scope = 'before'
),

taken AS (
    SELECT
        capped.metric_number,
        capped.stratum,
        capped.is_proportion,
        capped.cap,
        capped.past_cap,
        IF(capped.is_spread, since.spread, since.measures[SAFE_OFFSET(capped.num_at)]) AS num,
        COALESCE(since.measures[SAFE_OFFSET(capped.den_at)], 0.0) AS den,
        IF(capped.is_spread, 0.0, COALESCE(past.measures[SAFE_OFFSET(capped.num_at)], 0.0)) AS cov_num,
        COALESCE(past.measures[SAFE_OFFSET(capped.den_at)], 0.0) AS cov_den
    FROM since
    INNER JOIN capped ON since.stratum = capped.stratum
    LEFT JOIN past
        ON
            since.scope = 'cumulative'
            AND since.experiment_id = past.experiment_id
            AND since.unit_id = past.unit_id
),

drawn AS (
    SELECT
        metric_number,
        stratum,
        den,
        cov_den,
        CASE
            WHEN is_proportion THEN IF(num > 0, 1.0, 0.0)
            WHEN cap < num THEN cap
            ELSE num
        END AS num,
        CASE
            WHEN is_proportion THEN IF(cov_num > 0, 1.0, 0.0)
            WHEN past_cap < cov_num THEN past_cap
            ELSE cov_num
        END AS cov_num
    FROM taken
    WHERE num <> 0 OR den <> 0 OR cov_num <> 0 OR cov_den <> 0
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
    GROUP BY metric_number, stratum
),

named AS (
    SELECT
        strata.experiment_id,
        capped.metric,
        strata.arm,
        strata.scope,
        capped.segments,
        strata.region,
        strata.gender,
        strata.tenure,
        capped.units,
        capped.cap,
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
    FROM capped
    INNER JOIN strata ON capped.stratum = strata.stratum
    LEFT JOIN sums ON capped.metric_number = sums.metric_number AND capped.stratum = sums.stratum
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
