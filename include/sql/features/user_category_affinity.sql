-- How much a user cares for a category: the decayed weight of their interactions in it, and its share of all of theirs.
-- grain: user_id, category_id
-- partition: ds
-- cluster: user_id
-- upstream: features.interactions, features.item_group
WITH categories AS (
    -- A group lies within one category; MIN only settles ids that clash.
    SELECT
        group_id,
        MIN(category_id) AS category_id
    FROM features.item_group
    WHERE ds = @ds
    GROUP BY group_id
),

affinities AS (
    SELECT
        interactions.user_id,
        categories.category_id,
        SUM(interactions.weight) AS affinity,
        SUM(interactions.purchases) AS purchases,
        MAX(interactions.last_date) AS last_date
    FROM features.interactions AS interactions
    INNER JOIN categories ON interactions.group_id = categories.group_id
    WHERE interactions.ds = @ds
    GROUP BY interactions.user_id, categories.category_id
)

SELECT
    user_id,
    category_id,
    affinity,
    SAFE_DIVIDE(affinity, SUM(affinity) OVER (PARTITION BY user_id)) AS share,
    purchases,
    last_date,
    @ds AS ds
FROM affinities
