# One image for every Airflow service of docker-compose.yaml, and for heavy jobs run in a container.
FROM python:3.11-slim

# LightGBM needs the OpenMP runtime.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

# Any user of group root may write to the two volumes: docker-compose.yaml runs the image as AIRFLOW_UID.
RUN useradd --create-home --uid 50000 airflow \
    && install --directory --owner airflow /opt/recsys \
    && install --directory --owner airflow --group root --mode 2775 /opt/airflow /var/lib/recsys/warehouse
WORKDIR /opt/recsys

# Dependencies first: they change less often than the code. The PostgreSQL drivers are needed nowhere else.
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements.txt "psycopg2-binary>=2.9,<3" "asyncpg>=0.30" -c constraints.txt

COPY --chown=airflow pyproject.toml README.md LICENSE ./
COPY --chown=airflow recsys recsys
COPY --chown=airflow plugins plugins
COPY --chown=airflow dags dags
COPY --chown=airflow include include
COPY --chown=airflow expectations expectations
RUN pip install --no-cache-dir --no-deps --editable .

USER airflow
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/recsys/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/recsys/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    RECSYS_HOME=/opt/recsys \
    RECSYS_WAREHOUSE=/var/lib/recsys/warehouse
ENTRYPOINT ["airflow"]
CMD ["version"]
