-- The published lists of sellers: those that were made on ds and the checks let through, all at once. They are served on
-- ds + 1.
-- grain: user_id, rank
-- partition: ds
-- cluster: user_id
-- upstream: scoring.seller_lists
SELECT
    user_id,
    rank,
    seller_id,
    score,
    by_category,
    by_brand,
    by_content,
    by_circle,
    by_seen,
    by_popular,
    by_price,
    by_rating,
    by_reliable,
    live_listings,
    reason,
    model,
    ds
FROM scoring.seller_lists
WHERE ds = @ds
