-- The category tree as it was known at the end of ds. The source keeps no history, so the day's snapshot is kept for good.
-- grain: category_id
-- partition: ds
-- cluster: category_id
-- upstream: marketplace.item_category
-- snapshot: once
SELECT
    category_id,
    parent_id,
    name,
    level,
    @ds AS ds
FROM marketplace.item_category
