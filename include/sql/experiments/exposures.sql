-- Which units were shown something of an experiment, as it became known on ds. Of users, what counts as exposure is an
-- impression on the day that a list made for an arm was served: someone who saw the app's fallback, or a list of another
-- experiment, was not exposed to this one. A seller, or a cluster (a category in a region), is exposed by an impression of
-- a listing of theirs on a day for which it was assigned; a cluster's listings are those of its category and of the
-- categories right below. A campaign is exposed when it is first assigned: what its arm offers, it is offered from the
-- start. So is a seller whose arm says whether keywords are offered, on the Monday from which the arm decides what is
-- published for them: whether anything of theirs is shown may follow from the offer. A unit with two arms keeps the first
-- it saw.
-- grain: experiment_id, unit_id
-- partition: ds
-- cluster: experiment_id, unit_id
-- upstream: marts.recommendations, staging.events, staging.items, staging.users, staging.item_category,
-- experiments.assignments
-- params: timezone, late_days
WITH shown AS (
    SELECT
        user_id,
        item_id,
        event_ts,
        event_date
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type = 'impression'
        AND surface = 'recommendation'
        AND request_id IS NOT NULL
),

assigned AS (
    SELECT
        unit,
        unit_id,
        experiment_id,
        arm,
        DATE_ADD(ds, INTERVAL 1 DAY) AS served_on
    FROM experiments.assignments
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days + 1 DAY) AND @ds
        AND unit IN ('seller', 'cluster')
        AND policy IS NULL
),

served AS (
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        experiment_id,
        arm,
        DATE_ADD(ds, INTERVAL 1 DAY) AS served_on
    FROM marts.recommendations
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days + 1 DAY) AND @ds
        AND rank = 1
        AND experiment_id IS NOT NULL
    UNION ALL
    SELECT
        unit,
        unit_id,
        experiment_id,
        arm,
        served_on
    FROM assigned
),

categories AS (
    SELECT
        category_id,
        category_id AS group_id
    FROM staging.item_category
    WHERE ds = @ds
    UNION ALL
    SELECT
        category_id,
        parent_id AS group_id
    FROM staging.item_category
    WHERE
        ds = @ds
        AND parent_id IS NOT NULL
),

listings AS (
    SELECT
        shown.user_id,
        shown.event_ts,
        shown.event_date,
        items.seller_id,
        items.category_id
    FROM shown
    INNER JOIN staging.items AS items
        ON shown.item_id = items.item_id AND items.ds = @ds
    WHERE EXISTS (SELECT 1 FROM assigned)
),

seen AS (
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        event_ts,
        event_date
    FROM shown
    UNION ALL
    SELECT
        'seller' AS unit,
        seller_id AS unit_id,
        event_ts,
        event_date
    FROM listings
    UNION ALL
    SELECT
        'cluster' AS unit,
        CONCAT(categories.group_id, '|', users.region) AS unit_id,
        listings.event_ts,
        listings.event_date
    FROM listings
    INNER JOIN categories ON listings.category_id = categories.category_id
    INNER JOIN staging.users AS users
        ON listings.user_id = users.user_id AND users.ds = @ds AND users.region IS NOT NULL
),

by_arm AS (
    SELECT
        served.experiment_id,
        served.arm,
        seen.unit_id,
        MIN(seen.event_ts) AS first_exposed_at,
        COUNT(*) AS impressions
    FROM seen
    INNER JOIN served
        ON
            seen.unit = served.unit
            AND seen.unit_id = served.unit_id
            AND seen.event_date = served.served_on
    GROUP BY served.experiment_id, served.arm, seen.unit_id
    UNION ALL
    SELECT
        experiment_id,
        arm,
        unit_id,
        TIMESTAMP(ds, @timezone) AS first_exposed_at,
        0 AS impressions
    FROM experiments.assignments
    WHERE
        ds = @ds
        AND unit = 'campaign'
        AND GREATEST(first_assigned_on, started_on) = @ds
    UNION ALL
    SELECT
        experiment_id,
        arm,
        unit_id,
        TIMESTAMP(@ds, @timezone) AS first_exposed_at,
        0 AS impressions
    FROM experiments.assignments
    WHERE
        ds = @ds
        AND unit = 'seller'
        AND policy IS NOT NULL
        AND EXTRACT(DAYOFWEEK FROM @ds) = 2
        AND first_assigned_on BETWEEN DATE_SUB(@ds, INTERVAL 7 DAY) AND DATE_SUB(@ds, INTERVAL 1 DAY)
)

SELECT
    experiment_id,
    unit_id,
    arm,
    first_exposed_at,
    impressions,
    @ds AS ds
FROM by_arm
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment_id, unit_id ORDER BY first_exposed_at, arm) = 1
