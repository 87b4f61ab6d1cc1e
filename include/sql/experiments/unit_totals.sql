-- What each exposed unit of an experiment did in all, as known on ds. Scope cumulative: from its first exposure to the end
-- of ds, or of the experiment where that was before and late figures still come in; every exposed unit has that row, those
-- that did nothing too. Scope day: on ds, of units that were shown something that day; day-1, day-2, ... are the days
-- before, told once more with what has become known since. Scope before: in the days of the covariate, before the
-- experiment. A unit with two arms keeps the first it saw. The day of the first exposure counts whole, since the daily
-- aggregates know no hours. Sums are exact whatever the order of their terms, for counts are whole and amounts NUMERIC.
-- Measures stand in the order of recsys.experiments.metrics.MEASURES; see docs/experiment-metrics.md.
-- Within this query an arm in a segment of each kind is a number (its stratum), and age is how many days before ds, or -1
-- for all days since the exposure, or -2 for those before the experiment.
-- grain: unit_id, experiment_id, scope
-- partition: ds
-- cluster: experiment_id, unit_id
-- upstream: experiments.metrics, experiments.exposures, experiments.unit_daily, staging.users
-- params: timezone, experiment_days, history_days, late_days
-- ranges: unit_id, user_id
WITH running AS (
    SELECT DISTINCT
        experiment_id,
        unit,
        started_on,
        covariate_from,
        segments,
        COALESCE(ended_on, @ds) AS ended_on
    FROM experiments.metrics
    WHERE ds = @ds
),

-- The earliest exposure to each arm; nearly all units have one arm.
shown AS (
    SELECT
        experiment_id,
        unit_id,
        arm,
        MIN(first_exposed_at) AS first_exposed_at
    FROM experiments.exposures
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days + @late_days DAY) AND @ds
    GROUP BY experiment_id, unit_id, arm
),

arms AS (
    SELECT
        running.*,
        seen.arm,
        ROW_NUMBER() OVER (
            ORDER BY
                seen.experiment_id,
                seen.arm,
                running.unit,
                running.started_on,
                running.ended_on,
                running.covariate_from,
                running.segments
        ) AS arm_number
    FROM (
        SELECT DISTINCT
            experiment_id,
            arm
        FROM shown
    ) AS seen
    INNER JOIN running ON seen.experiment_id = running.experiment_id
),

-- The earliest exposure of a unit and the number of its arm in one number, of which the smallest is the first.
firsts AS (
    SELECT
        shown.experiment_id,
        shown.unit_id,
        MIN(UNIX_MICROS(shown.first_exposed_at) * 1024 + arms.arm_number) AS first_exposure
    FROM shown
    INNER JOIN arms ON shown.experiment_id = arms.experiment_id AND shown.arm = arms.arm
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
        firsts.unit_id,
        arms.arm_number,
        DATE(TIMESTAMP_MICROS(DIV(firsts.first_exposure, 1024)), @timezone) AS first_exposed_on,
        IF(STRPOS(arms.segments, ',region,') > 0, COALESCE(people.region, 'unknown'), 'all') AS region,
        IF(STRPOS(arms.segments, ',gender,') > 0, COALESCE(people.gender, 'unknown'), 'all') AS gender,
        IF(
            STRPOS(arms.segments, ',tenure,') > 0,
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
    INNER JOIN arms ON MOD(firsts.first_exposure, 1024) = arms.arm_number
    LEFT JOIN people ON firsts.unit_id = people.user_id AND arms.unit = 'user'
),

strata AS (
    SELECT
        arms.*,
        kinds.region,
        kinds.gender,
        kinds.tenure,
        ROW_NUMBER() OVER (ORDER BY kinds.arm_number, kinds.region, kinds.gender, kinds.tenure) AS stratum
    FROM (
        SELECT DISTINCT
            arm_number,
            region,
            gender,
            tenure
        FROM placed
    ) AS kinds
    INNER JOIN arms ON kinds.arm_number = arms.arm_number
),

exposed AS (
    SELECT
        placed.unit_id,
        placed.first_exposed_on,
        strata.unit,
        strata.stratum,
        strata.started_on,
        strata.ended_on,
        strata.covariate_from
    FROM placed
    INNER JOIN strata
        ON
            placed.arm_number = strata.arm_number
            AND placed.region = strata.region
            AND placed.gender = strata.gender
            AND placed.tenure = strata.tenure
),

covered AS (
    SELECT
        MIN(covariate_from) AS first_date,
        MAX(started_on) AS end_date
    FROM running
),

-- What every unit may have. What users never have is summed apart, for most units are users.
since AS (
    SELECT
        *,
        -1 AS age
    FROM experiments.unit_daily
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days + @late_days DAY) AND @ds
    UNION ALL
    SELECT
        *,
        DATE_DIFF(@ds, event_date, DAY) AS age
    FROM experiments.unit_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days DAY) AND @ds
        AND event_date BETWEEN DATE_SUB(@ds, INTERVAL @late_days DAY) AND @ds
),

before AS (
    SELECT
        past.*,
        -2 AS age
    FROM experiments.unit_daily AS past
    CROSS JOIN covered
    WHERE
        past.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days + @late_days + @history_days DAY) AND @ds
        AND past.event_date >= covered.first_date
        AND past.event_date < covered.end_date
),

-- A unit that did nothing since its exposure keeps one row, without measures. What stands on the right of a join is what
-- DuckDB keeps in memory.
acts AS (
    SELECT
        exposed.stratum,
        exposed.unit_id,
        COALESCE(since.age, -1) AS age,
        since.impressions,
        since.clicks,
        since.views,
        since.likes,
        since.carts,
        since.sessions,
        since.bounces,
        since.purchases,
        since.cancels,
        since.gmv,
        since.revenue
    FROM since
    RIGHT JOIN exposed -- noqa: CV08
        ON
            since.unit_id = exposed.unit_id
            AND since.unit = exposed.unit
            AND since.event_date >= exposed.first_exposed_on
            AND since.event_date <= exposed.ended_on
    UNION ALL
    SELECT
        exposed.stratum,
        exposed.unit_id,
        before.age,
        before.impressions,
        before.clicks,
        before.views,
        before.likes,
        before.carts,
        before.sessions,
        before.bounces,
        before.purchases,
        before.cancels,
        before.gmv,
        before.revenue
    FROM before
    INNER JOIN exposed
        ON
            before.unit_id = exposed.unit_id
            AND before.unit = exposed.unit
            AND before.event_date >= exposed.covariate_from
            AND before.event_date < exposed.started_on
),

totals AS (
    SELECT
        stratum,
        unit_id,
        age,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(views) AS views,
        SUM(likes) AS likes,
        SUM(carts) AS carts,
        SUM(sessions) AS sessions,
        SUM(bounces) AS bounces,
        SUM(purchases) AS purchases,
        SUM(cancels) AS cancels,
        SUM(gmv) AS gmv,
        SUM(revenue) AS revenue
    FROM acts
    GROUP BY stratum, unit_id, age
    HAVING acts.age < 0 OR SUM(acts.impressions) > 0
),

-- What sellers, campaigns and clusters have besides, of the same ages.
sold AS (
    SELECT
        exposed.stratum,
        exposed.unit_id,
        age,
        SUM(CAST(days.listings_sold AS FLOAT64)) AS listings_sold,
        SUM(days.hours_to_sale) AS hours_to_sale,
        SUM(CAST(days.new_sellers AS FLOAT64)) AS new_sellers,
        SUM(CAST(days.first_sales AS FLOAT64)) AS first_sales,
        SUM(CAST(days.ad_impressions AS FLOAT64)) AS ad_impressions,
        SUM(CAST(days.ad_clicks AS FLOAT64)) AS ad_clicks,
        SUM(CAST(days.ad_purchases AS FLOAT64)) AS ad_purchases,
        SUM(days.ad_revenue) AS ad_revenue,
        SUM(days.ad_spend) AS ad_spend,
        SUM(CAST(days.campaigns AS FLOAT64)) AS campaigns,
        SUM(CAST(days.keywords AS FLOAT64)) AS keywords,
        SUM(CAST(days.keywords_adopted AS FLOAT64)) AS keywords_adopted
    FROM experiments.unit_daily AS days
    INNER JOIN exposed ON days.unit = exposed.unit AND days.unit_id = exposed.unit_id
    CROSS JOIN UNNEST(GENERATE_ARRAY(-2, @late_days)) AS age
    WHERE
        days.unit <> 'user'
        AND days.ds BETWEEN DATE_SUB(@ds, INTERVAL @experiment_days + @late_days + @history_days DAY) AND @ds
        AND CASE age
            WHEN -2 THEN days.event_date >= exposed.covariate_from AND days.event_date < exposed.started_on
            WHEN
                -1
                THEN
                    days.ds >= DATE_SUB(@ds, INTERVAL @experiment_days + @late_days DAY)
                    AND days.event_date >= exposed.first_exposed_on
                    AND days.event_date <= exposed.ended_on
            ELSE
                days.ds >= DATE_SUB(@ds, INTERVAL @late_days DAY)
                AND days.event_date = DATE_SUB(@ds, INTERVAL age DAY)
                AND days.event_date >= exposed.first_exposed_on
                AND days.event_date <= exposed.ended_on
        END
    GROUP BY exposed.stratum, exposed.unit_id, age
)

SELECT
    totals.unit_id,
    strata.experiment_id,
    CASE
        WHEN totals.age = -2 THEN 'before'
        WHEN totals.age = -1 THEN 'cumulative'
        WHEN totals.age = 0 THEN 'day'
        ELSE CONCAT('day-', CAST(totals.age AS STRING))
    END AS scope,
    strata.unit,
    strata.arm,
    strata.region,
    strata.gender,
    strata.tenure,
    CAST(COALESCE(totals.impressions, 0) AS FLOAT64) AS impressions,
    CAST(COALESCE(totals.clicks, 0) AS FLOAT64) AS clicks,
    CAST(COALESCE(totals.views, 0) AS FLOAT64) AS views,
    CAST(COALESCE(totals.likes, 0) AS FLOAT64) AS likes,
    CAST(COALESCE(totals.carts, 0) AS FLOAT64) AS carts,
    CAST(COALESCE(totals.sessions, 0) AS FLOAT64) AS sessions,
    CAST(COALESCE(totals.bounces, 0) AS FLOAT64) AS bounces,
    CAST(COALESCE(totals.purchases, 0) AS FLOAT64) AS purchases,
    CAST(COALESCE(totals.cancels, 0) AS FLOAT64) AS cancels,
    CAST(COALESCE(totals.gmv, 0) AS FLOAT64) AS gmv,
    CAST(COALESCE(totals.revenue, 0) AS FLOAT64) AS revenue,
    COALESCE(sold.listings_sold, 0.0) AS listings_sold,
    CAST(COALESCE(sold.hours_to_sale, 0) AS FLOAT64) AS hours_to_sale,
    COALESCE(sold.new_sellers, 0.0) AS new_sellers,
    COALESCE(sold.first_sales, 0.0) AS first_sales,
    @ds AS ds,
    COALESCE(sold.ad_impressions, 0.0) AS ad_impressions,
    COALESCE(sold.ad_clicks, 0.0) AS ad_clicks,
    COALESCE(sold.ad_purchases, 0.0) AS ad_purchases,
    CAST(COALESCE(sold.ad_revenue, 0) AS FLOAT64) AS ad_revenue,
    CAST(COALESCE(sold.ad_spend, 0) AS FLOAT64) AS ad_spend,
    COALESCE(sold.campaigns, 0.0) AS campaigns,
    COALESCE(sold.keywords, 0.0) AS keywords,
    COALESCE(sold.keywords_adopted, 0.0) AS keywords_adopted
FROM totals
INNER JOIN strata ON totals.stratum = strata.stratum
LEFT JOIN sold
    ON
        totals.unit_id = sold.unit_id
        AND totals.stratum = sold.stratum
        AND totals.age = sold.age
