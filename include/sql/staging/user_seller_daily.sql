-- What a user did with a seller on a day, as it became known on ds: follows, and what was done with the seller's
-- listings. The seller is the listing's, or where the shelf no longer holds it, the one the event names. Nobody is
-- their own customer. Sellers who were forgotten all have the id 'forgotten', and are nobody.
-- grain: user_id, seller_id, event_date
-- partition: ds
-- cluster: user_id, seller_id
-- upstream: staging.events, staging.items
WITH acts AS (
    SELECT
        events.user_id,
        events.event_date,
        events.event_type,
        COALESCE(items.seller_id, events.seller_id) AS seller_id
    FROM staging.events AS events
    LEFT JOIN staging.items AS items
        ON events.item_id = items.item_id AND items.ds = @ds
    WHERE
        events.ds = @ds
        AND events.event_type IN ('view', 'like', 'offer', 'cart', 'bid', 'purchase', 'follow')
)

SELECT
    user_id,
    seller_id,
    event_date,
    COUNTIF(event_type = 'view') AS views,
    COUNTIF(event_type = 'like') AS likes,
    COUNTIF(event_type IN ('offer', 'cart', 'bid')) AS intents,
    COUNTIF(event_type = 'purchase') AS purchases,
    COUNTIF(event_type = 'follow') AS follows,
    @ds AS ds
FROM acts
WHERE seller_id IS NOT NULL AND seller_id NOT IN (user_id, 'forgotten')
GROUP BY user_id, seller_id, event_date
