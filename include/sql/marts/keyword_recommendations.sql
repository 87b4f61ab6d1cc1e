-- The published keywords: those that were chosen on ds and the checks let through, all at once. Sellers see them from
-- ds + 1 until the next week's; those whom an experiment assigns to an arm without keywords see none.
-- grain: item_id, rank
-- partition: ds
-- cluster: item_id
-- upstream: scoring.keyword_lists, experiments.assignments
WITH withheld AS (
    SELECT DISTINCT unit_id
    FROM experiments.assignments
    WHERE
        ds = @ds
        AND unit = 'seller'
        AND policy = 'no_keywords'
)

SELECT
    lists.item_id,
    lists.seller_id,
    lists.rank,
    lists.keyword,
    lists.sources,
    lists.p_click,
    lists.p_purchase,
    lists.p_win,
    lists.searches_7d,
    lists.searchers_7d,
    lists.expected_sales,
    lists.expected_profit,
    lists.marginal_profit,
    lists.warning,
    lists.reason,
    lists.campaign_id,
    lists.ad_rate,
    lists.model,
    lists.ds
FROM scoring.keyword_lists AS lists
LEFT JOIN withheld ON lists.seller_id = withheld.unit_id
WHERE
    lists.ds = @ds
    AND withheld.unit_id IS NULL
