-- Measures of features.item_cooccurrence: one row, which the suite features.item_cooccurrence.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(group_id, ' / ', other_group_id) AS row_key,
        group_id = other_group_id AS self_pairs,
        similarity NOT BETWEEN 0 AND 1.000001 AS odd_similarities,
        rank NOT BETWEEN 1 AND 50 AS odd_ranks,
        co_views < 0 OR co_likes < 0 OR co_buys < 0 AS negative_counts
    FROM features.item_cooccurrence
    WHERE ds = @ds
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key
    HAVING COUNT(*) > 1
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS duplicate_keys,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(self_pairs) AS self_pairs,
    MIN(IF(self_pairs, row_key, NULL)) AS self_pairs_example,
    COUNTIF(odd_similarities) AS odd_similarities,
    MIN(IF(odd_similarities, row_key, NULL)) AS odd_similarities_example,
    COUNTIF(odd_ranks) AS odd_ranks,
    MIN(IF(odd_ranks, row_key, NULL)) AS odd_ranks_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example
FROM flagged
