-- The shelf at the end of ds: listings that are live, or closed within the last @history_days (those still train
-- models). What happened after ds is undone: a later closing is not known yet, a later price does not hold yet, and a
-- later sale has not taken its piece of stock. An auction whose time has run out is not live, closed or not, nor is
-- a listing of which no piece is left.
-- A price that has not changed for @archive_days is the one that marketplace.items states: changes are read no further
-- back, so that a day costs the same however long the marketplace has existed.
-- grain: item_id
-- partition: ds
-- cluster: item_id
-- upstream: marketplace.items, marketplace.price_changes
-- params: timezone, history_days, archive_days
-- snapshot: once
WITH latest_prices AS (
    SELECT
        item_id,
        price
    FROM marketplace.price_changes
    WHERE
        changed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
        AND changed_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
    QUALIFY ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY changed_at DESC, price DESC) = 1
),

shelf AS (
    SELECT
        *,
        TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone) AS end_at,
        COALESCE(closed_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), FALSE) AS is_closed
    FROM marketplace.items
    WHERE
        listed_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
        AND (
            closed_at IS NULL
            OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
        )
)

SELECT
    shelf.item_id,
    shelf.seller_id,
    shelf.category_id,
    shelf.title,
    shelf.brand,
    shelf.size,
    shelf.condition,
    COALESCE(latest_prices.price, shelf.price) AS price,
    shelf.take_rate,
    shelf.shipping_payer,
    IF(shelf.closed_at >= shelf.end_at, GREATEST(shelf.stock, 1), shelf.stock) AS stock,
    shelf.sale_type,
    shelf.listed_at,
    shelf.auction_ends_at,
    IF(shelf.is_closed, shelf.closed_at, NULL) AS closed_at,
    IF(shelf.is_closed, shelf.close_reason, NULL) AS close_reason,
    NOT shelf.is_closed
    AND (shelf.stock > 0 OR COALESCE(shelf.closed_at >= shelf.end_at, FALSE))
    AND (shelf.auction_ends_at IS NULL OR shelf.auction_ends_at >= shelf.end_at) AS is_live,
    @ds AS ds
FROM shelf
LEFT JOIN latest_prices ON shelf.item_id = latest_prices.item_id
