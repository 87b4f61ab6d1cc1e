-- The published keywords: those that were chosen on ds and the checks let through, all at once. Sellers see them from
-- ds + 1 until the next week's; those whom an experiment assigns to an arm without keywords see none. A keyword that is
-- proposed for several listings of a seller is theirs once: the listing to which it adds most keeps it as it is (of equal
-- ones the first by id), the others are warned of that one.
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
),

proposed AS (
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
    proposed.item_id,
    proposed.seller_id,
    proposed.rank,
    proposed.keyword,
    proposed.sources,
    proposed.p_click,
    proposed.p_purchase,
    proposed.p_win,
    proposed.searches_7d,
    proposed.searchers_7d,
    proposed.expected_sales,
    proposed.expected_profit,
    proposed.marginal_profit,
    IF(
        proposed.warning IS NULL AND proposed.best_item != proposed.item_id,
        CONCAT('own_list:', proposed.best_item),
        proposed.warning
    ) AS warning,
    IF(
        proposed.warning IS NULL AND proposed.best_item != proposed.item_id,
        CONCAT(
            RTRIM(proposed.reason, '.'),
            '; it is proposed for your item ',
            proposed.best_item,
            ' too, bid on it with one of them.'
        ),
        proposed.reason
    ) AS reason,
    proposed.campaign_id,
    proposed.ad_rate,
    proposed.model,
    proposed.ds
FROM proposed
LEFT JOIN withheld ON proposed.seller_id = withheld.unit_id
WHERE withheld.unit_id IS NULL
