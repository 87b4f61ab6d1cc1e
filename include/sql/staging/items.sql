-- The shelf at the end of ds: listings that are live, or closed within the last @history_days (those still train
-- models). What happened after ds is undone: a later closing is not known yet, a later price does not hold yet, and a
-- later sale has not taken its piece of stock. An auction whose time has run out is not live, closed or not.
-- grain: item_id
-- partition: ds
-- cluster: item_id
-- upstream: marketplace.items, marketplace.price_changes
-- params: timezone, history_days
-- snapshot: once
WITH day AS (
    SELECT
        TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone) AS end_at,
        TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone) AS history_at
),

latest_prices AS (
    SELECT
        changes.item_id,
        changes.price
    FROM marketplace.price_changes AS changes
    INNER JOIN day ON changes.changed_at < day.end_at
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY changes.item_id
        ORDER BY changes.changed_at DESC, changes.price DESC
    ) = 1
),

shelf AS (
    SELECT
        items.*,
        day.end_at,
        items.closed_at IS NOT NULL AND items.closed_at < day.end_at AS is_closed
    FROM marketplace.items AS items
    INNER JOIN day
        ON
            items.listed_at < day.end_at
            AND (items.closed_at IS NULL OR items.closed_at >= day.history_at)
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
    NOT shelf.is_closed AND (shelf.auction_ends_at IS NULL OR shelf.auction_ends_at >= shelf.end_at) AS is_live,
    @ds AS ds
FROM shelf
LEFT JOIN latest_prices ON shelf.item_id = latest_prices.item_id
