-- Measures of scoring.keyword_lists: one row, which the suite scoring.keyword_lists.json judges.
-- For each rule: how many rows break it, and one of them.
-- Lost are the live listings that had keywords a week before and have none now.
WITH listed AS (
    SELECT
        item_id,
        seller_id,
        rank,
        keyword,
        p_click,
        p_purchase,
        p_win,
        searches_7d,
        searchers_7d,
        expected_sales,
        expected_profit,
        marginal_profit,
        reason,
        ad_rate,
        COUNT(*) OVER (PARTITION BY item_id) AS size,
        COUNT(*) OVER (PARTITION BY item_id, keyword) AS copies
    FROM scoring.keyword_lists
    WHERE ds = @ds
),

shelf AS (
    SELECT
        item_id,
        seller_id
    FROM features.keyword_items
    WHERE
        ds = @ds
        AND is_live
),

kept AS (
    SELECT DISTINCT keyword
    FROM scoring.keyword_variants
    WHERE
        ds = @ds
        AND keyword IS NOT NULL
),

before AS (
    SELECT DISTINCT published.item_id
    FROM marts.keyword_recommendations AS published
    INNER JOIN shelf ON published.item_id = shelf.item_id
    WHERE published.ds = DATE_SUB(@ds, INTERVAL 7 DAY)
),

again AS (
    SELECT DISTINCT item_id
    FROM listed
),

lost AS (
    SELECT
        COUNTIF(again.item_id IS NULL) AS items,
        SAFE_DIVIDE(COUNTIF(again.item_id IS NULL), COUNT(*)) AS share
    FROM before
    LEFT JOIN again ON before.item_id = again.item_id
),

flagged AS (
    SELECT
        CONCAT(listed.item_id, ' / ', CAST(listed.rank AS STRING)) AS row_key,
        shelf.item_id IS NULL AS not_live,
        COALESCE(shelf.seller_id != listed.seller_id, FALSE) AS wrong_sellers,
        kept.keyword IS NULL AS refused_keywords,
        listed.copies > 1 AS repeated_keywords,
        listed.rank NOT BETWEEN 1 AND listed.size AS rank_gaps,
        listed.p_click NOT BETWEEN 0 AND 1
        OR listed.p_purchase NOT BETWEEN 0 AND 1
        OR listed.p_win NOT BETWEEN 0 AND 1
        OR listed.ad_rate NOT BETWEEN 0 AND 1 AS odd_factors,
        listed.searchers_7d < 0 OR listed.searches_7d < 0 AS odd_reach,
        listed.expected_sales < 0 OR listed.expected_profit < 0 OR listed.marginal_profit < 0 AS negative_profits,
        listed.reason = '' AS without_reason
    FROM listed
    LEFT JOIN shelf ON listed.item_id = shelf.item_id
    LEFT JOIN kept ON listed.keyword = kept.keyword
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key
    HAVING COUNT(*) > 1
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS duplicate_keys,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(not_live) AS not_live,
    MIN(IF(not_live, row_key, NULL)) AS not_live_example,
    COUNTIF(wrong_sellers) AS wrong_sellers,
    MIN(IF(wrong_sellers, row_key, NULL)) AS wrong_sellers_example,
    COUNTIF(refused_keywords) AS refused_keywords,
    MIN(IF(refused_keywords, row_key, NULL)) AS refused_keywords_example,
    COUNTIF(repeated_keywords) AS repeated_keywords,
    MIN(IF(repeated_keywords, row_key, NULL)) AS repeated_keywords_example,
    COUNTIF(rank_gaps) AS rank_gaps,
    MIN(IF(rank_gaps, row_key, NULL)) AS rank_gaps_example,
    COUNTIF(odd_factors) AS odd_factors,
    MIN(IF(odd_factors, row_key, NULL)) AS odd_factors_example,
    COUNTIF(odd_reach) AS odd_reach,
    MIN(IF(odd_reach, row_key, NULL)) AS odd_reach_example,
    COUNTIF(negative_profits) AS negative_profits,
    MIN(IF(negative_profits, row_key, NULL)) AS negative_profits_example,
    COUNTIF(without_reason) AS without_reason,
    MIN(IF(without_reason, row_key, NULL)) AS without_reason_example,
    (SELECT lost.items FROM lost) AS lost,
    (SELECT lost.share FROM lost) AS lost_share
FROM flagged
