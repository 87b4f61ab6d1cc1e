"""The warehouse in BigQuery: query jobs into partitions, load jobs from Parquet, reads through the Storage API.

``names``, ``statement`` and ``resources`` are pure: what is sent. ``client``, ``ledger`` and ``warehouse`` send it.
``docs/adr/0004-bigquery-warehouse.md`` says why it is built this way.
"""
