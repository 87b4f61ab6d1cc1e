-- The published keywords: those that were chosen on ds and the checks let through, all at once. Sellers see them from
-- ds + 1 until the next week's. A keyword that is proposed for several listings of a seller is theirs once: the listing
-- to which it adds most keeps it as it is (of equal ones the first by id), the others are warned of that one.
-- grain: item_id, rank
-- partition: ds
-- cluster: item_id
-- upstream: scoring.keyword_lists
WITH proposed AS (
    SELECT
        *,
        FIRST_VALUE(item_id) OVER (
            PARTITION BY seller_id, keyword
            ORDER BY marginal_profit DESC, item_id ASC
        ) AS best_item
    FROM scoring.keyword_lists
    WHERE ds = @ds
)

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
    IF(warning IS NULL AND best_item != item_id, CONCAT('own_list:', best_item), warning) AS warning,
    IF(
        warning IS NULL AND best_item != item_id,
        CONCAT(RTRIM(reason, '.'), '; it is proposed for your item ', best_item, ' too, bid on it with one of them.'),
        reason
    ) AS reason,
    campaign_id,
    ad_rate,
    model,
    ds
FROM proposed
