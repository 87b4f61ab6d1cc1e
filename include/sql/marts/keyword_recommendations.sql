-- The published keywords: those that were chosen on ds and the checks let through, all at once. Sellers see them from
-- ds + 1 until the next week's.
-- grain: item_id, rank
-- partition: ds
-- cluster: item_id
-- upstream: scoring.keyword_lists
SELECT
    item_id,
    seller_id,
    rank,
    keyword,
    sources,
    p_click,
    p_purchase,
    p_win,
    searches_7d,
    searchers_7d,
    expected_sales,
    expected_profit,
    marginal_profit,
    warning,
    reason,
    campaign_id,
    ad_rate,
    model,
    ds
FROM scoring.keyword_lists
WHERE ds = @ds
