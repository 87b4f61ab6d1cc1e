-- Which group a listing belongs to. One-off listings are learned in groups: category, brand, condition and price band;
-- where the same item is sold again and again (@item_unit is 'item') the group is the item itself.
-- grain: item_id
-- partition: ds
-- cluster: item_id
-- upstream: staging.items, staging.item_category
-- params: item_unit
WITH banded AS (
    SELECT
        items.item_id,
        items.seller_id,
        items.category_id,
        COALESCE(categories.parent_id, items.category_id) AS parent_category_id,
        items.brand,
        items.condition,
        items.price,
        items.is_live,
        CASE
            WHEN items.price < 5 THEN 0
            WHEN items.price < 10 THEN 1
            WHEN items.price < 20 THEN 2
            WHEN items.price < 40 THEN 3
            WHEN items.price < 80 THEN 4
            WHEN items.price < 160 THEN 5
            WHEN items.price < 320 THEN 6
            WHEN items.price < 640 THEN 7
            WHEN items.price < 1280 THEN 8
            ELSE 9
        END AS price_band
    FROM staging.items AS items
    LEFT JOIN staging.item_category AS categories
        ON items.category_id = categories.category_id AND categories.ds = @ds
    WHERE items.ds = @ds
)

SELECT
    item_id,
    CASE
        WHEN @item_unit = 'item' THEN item_id
        ELSE
            CONCAT(
                category_id, '|', COALESCE(LOWER(brand), ''), '|', COALESCE(condition, ''), '|',
                CAST(price_band AS STRING)
            )
    END AS group_id,
    seller_id,
    category_id,
    parent_category_id,
    price_band,
    price,
    is_live,
    @ds AS ds
FROM banded
