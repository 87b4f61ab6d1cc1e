-- What the statistics need of each metric and arm, over its exposed units: sums, and sums of products, of a unit's own
-- totals, so that a unit, not an event, is what is drawn at random. Scope cumulative: from a unit's first exposure to the
-- end of ds. Scope day: what happened on ds, over the units that were shown something that day; day-1, day-2, ... are the
-- days before, told once more with what has become known since. A unit with two arms keeps the first it saw. The day of
-- the first exposure counts whole, since the daily aggregates know no hours. See docs/experiment-metrics.md.
-- Within this query arms, segments and metrics are numbers (a stratum is an arm in a segment of each kind), and age is
-- how many days before ds, or -1 for all days since the exposure, or -2 for those before the experiment.
-- grain: experiment_id, metric, arm, scope, segment, segment_value
-- partition: ds
-- cluster: experiment_id
-- upstream: experiments.metrics, experiments.exposures, experiments.unit_daily, staging.users
-- params: timezone, experiment_days, history_days, late_days
WITH declared AS (
    SELECT
        experiment_id,
        metric,
        unit,
        kind,
        started_on,
        covariate_from,
        segments,
        CAST(winsorise AS NUMERIC) AS winsorise,
        CASE numerator
            WHEN 'impressions' THEN 0
            WHEN 'clicks' THEN 1
            WHEN 'views' THEN 2
            WHEN 'likes' THEN 3
            WHEN 'carts' THEN 4
            WHEN 'sessions' THEN 5
            WHEN 'bounces' THEN 6
            WHEN 'purchases' THEN 7
            WHEN 'cancels' THEN 8
            WHEN 'gmv' THEN 9
            WHEN 'revenue' THEN 10
            WHEN 'listings_sold' THEN 11
            WHEN 'hours_to_sale' THEN 12
            WHEN 'new_sellers' THEN 13
            WHEN 'first_sales' THEN 14
            WHEN 'exposure_spread' THEN 15
        END AS num_at,
        CASE denominator
            WHEN 'impressions' THEN 0
            WHEN 'clicks' THEN 1
            WHEN 'views' THEN 2
            WHEN 'likes' THEN 3
            WHEN 'carts' THEN 4
            WHEN 'sessions' THEN 5
            WHEN 'bounces' THEN 6
            WHEN 'purchases' THEN 7
            WHEN 'cancels' THEN 8
            WHEN 'gmv' THEN 9
            WHEN 'revenue' THEN 10
            WHEN 'listings_sold' THEN 11
            WHEN 'hours_to_sale' THEN 12
            WHEN 'new_sellers' THEN 13
            WHEN 'first_sales' THEN 14
            ELSE 16
        END AS den_at,
        ROW_NUMBER() OVER (ORDER BY experiment_id, metric) AS metric_number
    FROM experiments.metrics
    WHERE
        ds = @ds
        AND kind <> 'quantile'
),

running AS (
    SELECT DISTINCT
        experiment_id,
        unit,
        started_on,
        covariate_from,
        segments
    FROM declared
),

seen AS (
    SELECT DISTINCT
        experiment_id,
        arm
    FROM experiments.exposures
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
),

arms AS (
    SELECT
        running.experiment_id,
        seen.arm,
        ROW_NUMBER() OVER (ORDER BY running.experiment_id, seen.arm) AS arm_number
    FROM seen
    INNER JOIN running ON seen.experiment_id = running.experiment_id
),

-- The earliest exposure of a unit and the number of its arm in one number, of which the smallest is the first.
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

wanted AS (
    SELECT COUNTIF(segments IS NOT NULL AND unit = 'user') AS wanting
    FROM running
),

people AS (
    SELECT
        users.user_id,
        users.region,
        users.gender,
        DATE(users.registered_at, @timezone) AS registered_on
    FROM staging.users AS users
    CROSS JOIN wanted
    WHERE
        users.ds = @ds
        AND wanted.wanting > 0
),

placed AS (
    SELECT
        firsts.experiment_id,
        firsts.unit_id,
        running.unit,
        MOD(firsts.first_exposure, 1024) AS arm_number,
        DATE(TIMESTAMP_MICROS(DIV(firsts.first_exposure, 1024)), @timezone) AS first_exposed_on,
        IF(STRPOS(running.segments, ',region,') > 0, COALESCE(people.region, 'unknown'), 'all') AS region,
        IF(STRPOS(running.segments, ',gender,') > 0, COALESCE(people.gender, 'unknown'), 'all') AS gender,
        IF(
            STRPOS(running.segments, ',tenure,') > 0,
            CASE
                WHEN people.registered_on IS NULL THEN 'unknown'
                WHEN
                    DATE_DIFF(
                        DATE(TIMESTAMP_MICROS(DIV(firsts.first_exposure, 1024)), @timezone), people.registered_on, DAY
                    ) < 28
                    THEN 'new'
                ELSE 'known'
            END,
            'all'
        ) AS tenure
    FROM firsts
    INNER JOIN running ON firsts.experiment_id = running.experiment_id
    LEFT JOIN people ON firsts.unit_id = people.user_id
),

strata AS (
    SELECT
        *,
        ROW_NUMBER() OVER (ORDER BY arm_number, region, gender, tenure) AS stratum
    FROM (
        SELECT DISTINCT
            experiment_id,
            unit,
            arm_number,
            region,
            gender,
            tenure
        FROM placed
    ) AS distinct_strata
),

exposed AS (
    SELECT
        placed.unit,
        placed.unit_id,
        placed.first_exposed_on,
        strata.stratum,
        running.started_on,
        running.covariate_from
    FROM placed
    INNER JOIN strata
        ON
            placed.arm_number = strata.arm_number
            AND placed.region = strata.region
            AND placed.gender = strata.gender
            AND placed.tenure = strata.tenure
    INNER JOIN running ON placed.experiment_id = running.experiment_id
),

covered AS (
    SELECT
        MIN(covariate_from) AS first_date,
        MAX(started_on) AS end_date
    FROM running
),

acts AS (
    SELECT
        *,
        -1 AS age
    FROM experiments.unit_daily
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days DAY) AND @ds
    UNION ALL
    SELECT
        *,
        DATE_DIFF(@ds, event_date, DAY) AS age
    FROM experiments.unit_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days DAY) AND @ds
        AND event_date BETWEEN DATE_SUB(@ds, INTERVAL @late_days DAY) AND @ds
    UNION ALL
    SELECT
        past.*,
        -2 AS age
    FROM experiments.unit_daily AS past
    CROSS JOIN covered
    WHERE
        past.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days + @history_days DAY) AND @ds
        AND past.event_date >= covered.first_date
        AND past.event_date < covered.end_date
),

totals AS (
    SELECT
        exposed.stratum,
        exposed.unit_id,
        acts.age,
        SUM(CAST(acts.impressions AS FLOAT64)) AS impressions,
        SUM(CAST(acts.clicks AS FLOAT64)) AS clicks,
        SUM(CAST(acts.views AS FLOAT64)) AS views,
        SUM(CAST(acts.likes AS FLOAT64)) AS likes,
        SUM(CAST(acts.carts AS FLOAT64)) AS carts,
        SUM(CAST(acts.sessions AS FLOAT64)) AS sessions,
        SUM(CAST(acts.bounces AS FLOAT64)) AS bounces,
        SUM(CAST(acts.purchases AS FLOAT64)) AS purchases,
        SUM(CAST(acts.cancels AS FLOAT64)) AS cancels,
        SUM(CAST(acts.gmv AS FLOAT64)) AS gmv,
        SUM(CAST(acts.revenue AS FLOAT64)) AS revenue,
        SUM(CAST(acts.listings_sold AS FLOAT64)) AS listings_sold,
        SUM(CAST(acts.hours_to_sale AS FLOAT64)) AS hours_to_sale,
        SUM(CAST(acts.new_sellers AS FLOAT64)) AS new_sellers,
        SUM(CAST(acts.first_sales AS FLOAT64)) AS first_sales
    FROM acts
    INNER JOIN exposed ON acts.unit_id = exposed.unit_id AND acts.unit = exposed.unit
    WHERE
        IF(
            acts.age = -2,
            acts.event_date >= exposed.covariate_from AND acts.event_date < exposed.started_on,
            acts.event_date >= exposed.first_exposed_on
        )
    GROUP BY exposed.stratum, exposed.unit_id, acts.age
    HAVING acts.age < 0 OR SUM(acts.impressions) > 0
),

-- Of sellers: the mean over the arm of the larger of a unit's impressions and another's; the basis of the Gini coefficient.
larger AS (
    SELECT
        totals.stratum,
        totals.unit_id,
        totals.age,
        totals.impressions,
        strata.arm_number,
        (
            totals.impressions
            * COUNT(*) OVER (PARTITION BY strata.arm_number, totals.age ORDER BY totals.impressions)
            + SUM(totals.impressions) OVER (PARTITION BY strata.arm_number, totals.age)
            - SUM(totals.impressions) OVER (
                PARTITION BY strata.arm_number, totals.age ORDER BY totals.impressions
            )
        ) / COUNT(*) OVER (PARTITION BY strata.arm_number, totals.age) AS mean_larger
    FROM totals
    INNER JOIN strata ON totals.stratum = strata.stratum
    WHERE
        strata.unit = 'seller'
        AND totals.age >= -1
),

spreads AS (
    SELECT
        stratum,
        unit_id,
        age,
        2 * mean_larger - AVG(mean_larger) OVER (PARTITION BY arm_number, age) - impressions AS spread
    FROM larger
),

measured AS (
    SELECT
        totals.stratum,
        totals.unit_id,
        totals.age,
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
            COALESCE(spreads.spread, 0.0),
            0.0
        ] AS measures
    FROM totals
    LEFT JOIN spreads
        ON
            totals.stratum = spreads.stratum
            AND totals.unit_id = spreads.unit_id
            AND totals.age = spreads.age
),

units AS (
    SELECT
        stratum,
        -1 AS age,
        COUNT(*) AS units
    FROM exposed
    GROUP BY stratum
    UNION ALL
    SELECT
        stratum,
        age,
        COUNT(*) AS units
    FROM totals
    WHERE age >= 0
    GROUP BY stratum, age
),

-- A day without any unit has no row; one with units has every metric.
cells AS (
    SELECT
        declared.metric_number,
        declared.winsorise,
        declared.kind,
        declared.num_at,
        declared.den_at,
        units.stratum,
        units.age,
        units.units,
        SUM(units.units) OVER (PARTITION BY declared.metric_number, units.age) AS units_of_all
    FROM units
    INNER JOIN strata ON units.stratum = strata.stratum
    INNER JOIN declared ON strata.experiment_id = declared.experiment_id
),

-- The cap is the value below or at which lie at least the winsorise share of all units, those with nothing included; there
-- is none where that value is 0. Only values above 0 are put in order, from the largest.
caps AS (
    SELECT
        cells.metric_number,
        measured.age,
        measured.measures[SAFE_OFFSET(cells.num_at)] AS cap
    FROM measured
    INNER JOIN cells
        ON measured.stratum = cells.stratum AND IF(measured.age = -2, -1, measured.age) = cells.age
    WHERE
        cells.winsorise IS NOT NULL
        AND measured.measures[SAFE_OFFSET(cells.num_at)] > 0
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY cells.metric_number, measured.age
            ORDER BY measured.measures[SAFE_OFFSET(cells.num_at)] DESC, measured.unit_id ASC
        ) = cells.units_of_all - CAST(CEIL(cells.winsorise * cells.units_of_all) AS INT64) + 1
),

drawn AS (
    SELECT
        cells.metric_number,
        since.stratum,
        since.age,
        IF(
            cells.kind = 'proportion',
            IF(since.measures[SAFE_OFFSET(cells.num_at)] > 0, 1.0, 0.0),
            LEAST(since.measures[SAFE_OFFSET(cells.num_at)], COALESCE(caps.cap, since.measures[SAFE_OFFSET(cells.num_at)]))
        ) AS num,
        since.measures[SAFE_OFFSET(cells.den_at)] AS den,
        IF(
            cells.kind = 'proportion',
            IF(COALESCE(past.measures[SAFE_OFFSET(cells.num_at)], 0.0) > 0, 1.0, 0.0),
            COALESCE(
                LEAST(
                    past.measures[SAFE_OFFSET(cells.num_at)],
                    COALESCE(past_caps.cap, past.measures[SAFE_OFFSET(cells.num_at)])
                ),
                0.0
            )
        ) AS cov_num,
        COALESCE(past.measures[SAFE_OFFSET(cells.den_at)], 0.0) AS cov_den
    FROM measured AS since
    INNER JOIN cells ON since.stratum = cells.stratum AND since.age = cells.age
    LEFT JOIN measured AS past
        ON since.stratum = past.stratum AND since.unit_id = past.unit_id AND since.age = -1 AND past.age = -2
    LEFT JOIN caps ON cells.metric_number = caps.metric_number AND since.age = caps.age
    LEFT JOIN caps AS past_caps ON cells.metric_number = past_caps.metric_number AND past_caps.age = -2
),

sums AS (
    SELECT
        metric_number,
        stratum,
        age,
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
    GROUP BY metric_number, stratum, age
),

named AS (
    SELECT
        strata.experiment_id,
        declared.metric,
        arms.arm,
        declared.segments,
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
        COALESCE(sums.cov_den_cov_den, 0.0) AS cov_den_cov_den,
        CASE
            WHEN cells.age = -1 THEN 'cumulative'
            WHEN cells.age = 0 THEN 'day'
            ELSE CONCAT('day-', CAST(cells.age AS STRING))
        END AS scope
    FROM cells
    INNER JOIN strata ON cells.stratum = strata.stratum
    INNER JOIN arms ON strata.arm_number = arms.arm_number
    INNER JOIN declared ON cells.metric_number = declared.metric_number
    LEFT JOIN caps ON cells.metric_number = caps.metric_number AND cells.age = caps.age
    LEFT JOIN sums
        ON
            cells.metric_number = sums.metric_number
            AND cells.stratum = sums.stratum
            AND cells.age = sums.age
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
