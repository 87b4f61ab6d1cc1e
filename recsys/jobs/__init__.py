"""Jobs: read, call a pure function, write. One module per Airflow job, each with ``run(settings, ds, ...)``."""
