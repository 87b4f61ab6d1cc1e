-- What people alike care for: how the interest of a cohort is spread over the categories. A cohort is gender, ten years
-- of age (birth years as of ds) and region, whatever is unknown being a value of its own: female/30/Coast. Around it
-- lies the band, gender and age alone (female/30), and around that everybody. Shares of a narrower
-- circle are drawn towards those of the next wider one as if it had another 100 points spread like that (a view is one
-- point). Where a cohort has no points in a category it has no row: its share is drawn times that of the wider circle.
-- grain: cohort, category_id
-- partition: ds
-- cluster: cohort
-- upstream: features.user_category_affinity, staging.users
WITH members AS (
    SELECT
        user_id,
        CONCAT(
            COALESCE(gender, 'unknown'),
            '/',
            COALESCE(CAST(10 * DIV(GREATEST(EXTRACT(YEAR FROM @ds) - birth_year, 0), 10) AS STRING), 'unknown')
        ) AS band,
        COALESCE(region, 'unknown') AS region
    FROM staging.users
    WHERE ds = @ds
),

cohorts AS (
    SELECT
        members.band,
        CONCAT(members.band, '/', members.region) AS cohort,
        affinities.category_id,
        SUM(affinities.affinity) AS points
    FROM features.user_category_affinity AS affinities
    INNER JOIN members ON affinities.user_id = members.user_id
    WHERE affinities.ds = @ds
    GROUP BY members.band, cohort, affinities.category_id
),

band_points AS (
    SELECT
        band,
        category_id,
        SUM(points) AS points
    FROM cohorts
    GROUP BY band, category_id
),

all_points AS (
    SELECT
        category_id,
        SUM(points) AS points
    FROM band_points
    GROUP BY category_id
),

everybody AS (
    SELECT
        category_id,
        points,
        COALESCE(SAFE_DIVIDE(points, SUM(points) OVER ()), 0) AS share
    FROM all_points
),

bands AS (
    SELECT
        band_points.band,
        band_points.category_id,
        band_points.points,
        100 / (100 + SUM(band_points.points) OVER (PARTITION BY band_points.band)) AS drawn,
        (band_points.points + 100 * everybody.share)
        / (100 + SUM(band_points.points) OVER (PARTITION BY band_points.band)) AS share
    FROM band_points
    INNER JOIN everybody ON band_points.category_id = everybody.category_id
),

circles AS (
    SELECT
        'everybody' AS cohort,
        category_id,
        points,
        share,
        CAST(0 AS FLOAT64) AS drawn
    FROM everybody
    UNION ALL
    SELECT
        band AS cohort,
        category_id,
        points,
        share,
        drawn
    FROM bands
    UNION ALL
    SELECT
        cohorts.cohort,
        cohorts.category_id,
        cohorts.points,
        (cohorts.points + 100 * bands.share)
        / (100 + SUM(cohorts.points) OVER (PARTITION BY cohorts.cohort)) AS share,
        100 / (100 + SUM(cohorts.points) OVER (PARTITION BY cohorts.cohort)) AS drawn
    FROM cohorts
    INNER JOIN bands ON cohorts.band = bands.band AND cohorts.category_id = bands.category_id
)

SELECT
    cohort,
    category_id,
    points,
    share,
    drawn,
    @ds AS ds
FROM circles
