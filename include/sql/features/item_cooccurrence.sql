-- Groups that the same users care for: the 50 nearest of each group. A user's care for a group is 1 for a view, 2 more
-- for a like and 4 more for a purchase. similarity = cosine of the two groups' care, times n / (n + 10) for n users in
-- common: a pair seen a few times is not trusted yet. A user counts through the 20 groups that weigh most with them,
-- which bounds the pairs; pairs of one user are dropped.
-- grain: group_id, other_group_id
-- partition: ds
-- cluster: group_id
-- upstream: features.interactions
WITH baskets AS (
    SELECT
        user_id,
        group_id,
        IF(views > 0, 1, 0) AS viewed,
        IF(likes > 0, 1, 0) AS liked,
        IF(purchases > 0, 1, 0) AS bought,
        IF(views > 0, 1, 0) + IF(likes > 0, 2, 0) + IF(purchases > 0, 4, 0) AS care
    FROM features.interactions
    WHERE
        ds = @ds
        AND views + likes + purchases > 0
    QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY weight DESC, group_id ASC) <= 20
),

-- Short numbers for long ids: the pairs below are many.
numbered_groups AS (
    SELECT
        group_id,
        ROW_NUMBER() OVER (ORDER BY group_id) AS group_number,
        SUM(care * care) AS norm
    FROM baskets
    GROUP BY group_id
),

numbered_users AS (
    SELECT
        user_id,
        ROW_NUMBER() OVER (ORDER BY user_id) AS user_number
    FROM baskets
    GROUP BY user_id
),

numbered AS (
    SELECT
        users.user_number,
        groups_.group_number,
        baskets.viewed,
        baskets.liked,
        baskets.bought,
        baskets.care
    FROM baskets
    INNER JOIN numbered_groups AS groups_ ON baskets.group_id = groups_.group_id
    INNER JOIN numbered_users AS users ON baskets.user_id = users.user_id
),

pairs AS (
    SELECT
        a.group_number AS first_number,
        b.group_number AS second_number,
        SUM(a.viewed * b.viewed) AS co_views,
        SUM(a.liked * b.liked) AS co_likes,
        SUM(a.bought * b.bought) AS co_buys,
        SUM(a.care * b.care) AS product,
        COUNT(*) AS users
    FROM numbered AS a
    INNER JOIN numbered AS b
        ON a.user_number = b.user_number AND a.group_number < b.group_number
    GROUP BY a.group_number, b.group_number
    HAVING COUNT(*) > 1
),

both_ways AS (
    SELECT
        first_number AS group_number,
        second_number AS other_number,
        co_views,
        co_likes,
        co_buys,
        product,
        users
    FROM pairs
    UNION ALL
    SELECT
        second_number AS group_number,
        first_number AS other_number,
        co_views,
        co_likes,
        co_buys,
        product,
        users
    FROM pairs
),

compared AS (
    SELECT
        groups_.group_id,
        others.group_id AS other_group_id,
        both_ways.co_views,
        both_ways.co_likes,
        both_ways.co_buys,
        both_ways.product
        / SQRT(CAST(groups_.norm AS FLOAT64) * CAST(others.norm AS FLOAT64))
        * (both_ways.users / (both_ways.users + 10)) AS similarity
    FROM both_ways
    INNER JOIN numbered_groups AS groups_ ON both_ways.group_number = groups_.group_number
    INNER JOIN numbered_groups AS others ON both_ways.other_number = others.group_number
)

SELECT
    group_id,
    other_group_id,
    co_views,
    co_likes,
    co_buys,
    similarity,
    ROW_NUMBER() OVER (PARTITION BY group_id ORDER BY similarity DESC, other_group_id ASC) AS rank,
    @ds AS ds
FROM compared
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY group_id ORDER BY similarity DESC, other_group_id ASC) <= 50
