-- What a user searches for over @history_days: searches by the category that a query leads to (topic 'category') and by
-- the brand that it names (topic 'brand', in lower case), halved every 30 days. A query leads to the category in which at
-- least half of what everybody opened out of it lies (of two such the first by id), if @min_searchers people typed it: a
-- rarer one would tell what its few others opened. It names a brand if it holds all words of its name, in any order; of
-- several the one of most words, then the longest, then the first. A search is no act towards a listing: it tells of a
-- wish that the shelf may not have met. Sums are NUMERIC: they do not depend on the order of their terms.
-- grain: user_id, topic, topic_id
-- partition: ds
-- cluster: user_id
-- upstream: staging.user_search_daily, staging.search_item_daily, staging.items, features.item_group
-- params: history_days, min_searchers
WITH searched AS (
    SELECT
        user_id,
        query,
        SUM(CAST(searches * POW(0.5, DATE_DIFF(@ds, event_date, DAY) / 30) AS NUMERIC)) AS searches,
        MAX(event_date) AS last_date
    FROM staging.user_search_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
    GROUP BY user_id, query
),

known AS (
    SELECT query
    FROM searched
    GROUP BY query
    HAVING COUNT(*) >= @min_searchers
),

opened AS (
    SELECT
        days.query,
        groups_.category_id,
        SUM(days.clicks) AS clicks
    FROM staging.search_item_daily AS days
    INNER JOIN known ON days.query = known.query
    INNER JOIN features.item_group AS groups_
        ON days.item_id = groups_.item_id AND groups_.ds = @ds
    WHERE
        days.ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND days.event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
        AND days.clicks > 0
    GROUP BY days.query, groups_.category_id
),

shares AS (
    SELECT
        query,
        category_id,
        clicks / SUM(clicks) OVER (PARTITION BY query) AS share,
        ROW_NUMBER() OVER (PARTITION BY query ORDER BY clicks DESC, category_id ASC) AS place
    FROM opened
),

leading AS (
    SELECT
        query,
        category_id
    FROM shares
    WHERE
        place = 1
        AND share >= 0.5
),

query_words AS (
    SELECT DISTINCT
        queries.query,
        word
    FROM searched AS queries
    CROSS JOIN UNNEST(SPLIT(queries.query, ' ')) AS word
),

brands AS (
    SELECT DISTINCT LOWER(brand) AS brand
    FROM staging.items
    WHERE
        ds = @ds
        AND brand IS NOT NULL
),

brand_words AS (
    SELECT DISTINCT
        brands.brand,
        word
    FROM brands
    CROSS JOIN UNNEST(SPLIT(REGEXP_REPLACE(brands.brand, r'[\s\p{Z}]+', ' '), ' ')) AS word
    WHERE word != ''
),

sized_words AS (
    SELECT
        brand,
        word,
        COUNT(*) OVER (PARTITION BY brand) AS brand_size
    FROM brand_words
),

named AS (
    SELECT
        query_words.query,
        sized_words.brand,
        sized_words.brand_size
    FROM query_words
    INNER JOIN sized_words ON query_words.word = sized_words.word
    GROUP BY query_words.query, sized_words.brand, sized_words.brand_size
    HAVING COUNT(*) = sized_words.brand_size
),

naming AS (
    SELECT
        query,
        brand
    FROM named
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY query ORDER BY brand_size DESC, LENGTH(brand) DESC, brand ASC) = 1
),

topics AS (
    SELECT
        query,
        'category' AS topic,
        category_id AS topic_id
    FROM leading
    UNION ALL
    SELECT
        query,
        'brand' AS topic,
        brand AS topic_id
    FROM naming
)

SELECT
    searched.user_id,
    topics.topic,
    topics.topic_id,
    CAST(SUM(searched.searches) AS FLOAT64) AS searches,
    MAX(searched.last_date) AS last_date,
    @ds AS ds
FROM searched
INNER JOIN topics ON searched.query = topics.query
GROUP BY searched.user_id, topics.topic, topics.topic_id
-- After some 900 days nothing is left of a search.
HAVING SUM(searched.searches) > 0
