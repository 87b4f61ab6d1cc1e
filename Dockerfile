# Three images, one file; build one with: docker build --target job --tag recsys-job .
#   job      `recsys`: heavy jobs in a Cloud Run job or a Kubernetes pod. No Airflow in it.
#   airflow  every Airflow service of docker-compose.yaml.
#   mlflow   the MLflow server of docker-compose.yaml, whose pins are not those of the project.
# None holds a secret: what is secret comes in as environment when a container starts. All run as a user without rights
# over the code (a number, so that Kubernetes can see that it is not root); group 0 may write to the folders of volumes.

FROM python:3.11-slim AS job
# LightGBM needs the OpenMP runtime.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 50000 --gid 0 recsys \
    && install --directory --owner recsys --group root --mode 2775 /var/lib/recsys/warehouse
WORKDIR /opt/recsys
# Dependencies first: they change less often than the code.
COPY requirements.txt constraints.txt ./
RUN grep --invert-match '^apache-airflow' requirements.txt > /tmp/job.txt \
    && pip install --no-cache-dir -r /tmp/job.txt -c constraints.txt \
    && rm /tmp/job.txt
COPY pyproject.toml README.md LICENSE ./
COPY recsys recsys
COPY include include
COPY expectations expectations
RUN pip install --no-cache-dir --no-deps --editable .
USER 50000:0
ENV RECSYS_HOME=/opt/recsys \
    RECSYS_WAREHOUSE=/var/lib/recsys/warehouse
ENTRYPOINT ["recsys"]
CMD ["--help"]

FROM job AS airflow
USER 0:0
RUN install --directory --owner recsys --group root --mode 2775 /opt/airflow \
    && pip install --no-cache-dir -r requirements.txt psycopg2-binary asyncpg -c constraints.txt
COPY plugins plugins
COPY dags dags
USER 50000:0
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/recsys/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/recsys/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
ENTRYPOINT ["airflow"]
CMD ["version"]

FROM python:3.11-slim AS mlflow
COPY include/mlflow/requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt \
    && useradd --create-home --uid 50000 --gid 0 recsys \
    && install --directory --owner recsys --group root --mode 2775 /var/lib/mlflow
USER 50000:0
ENTRYPOINT ["mlflow"]
CMD ["--version"]
