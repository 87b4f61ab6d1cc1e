-- The published lists: those that scoring wrote on ds and the checks let through, all at once. They are served on ds + 1.
-- grain: user_id, rank
-- partition: ds
-- cluster: user_id
-- upstream: scoring.lists
SELECT
    user_id,
    rank,
    item_id,
    is_reserve,
    policy,
    experiment_id,
    arm,
    source,
    seller_id,
    category_id,
    group_id,
    score,
    p_purchase,
    price,
    price_capped,
    take_rate,
    p_cancel,
    expected_revenue,
    propensity,
    model,
    ds,
    p_click,
    p_available,
    slot,
    reason,
    reason_item,
    p_judged
FROM scoring.lists
WHERE ds = @ds
