"""A heavy job as one execution of a Cloud Run job; imported only with ``RECSYS_HEAVY=cloud_run``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.google.cloud.operators.cloud_run import CloudRunExecuteJobOperator
from airflow.sdk.exceptions import AirflowFailException

from recsys.settings import Settings
from recsys_containers import environment, prepare

_JOB = re.compile(r"projects/(?P<project_id>[^/]+)/locations/(?P<region>[^/]+)/jobs/(?P<job_name>[^/]+)")


class CloudRunJob(CloudRunExecuteJobOperator):
    """Run ``recsys JOB`` in the Cloud Run job that ``RECSYS_CONTAINER`` names, without holding a worker meanwhile.

    What is sent is computed in ``execute``; of the task only ``job`` and ``options`` are shown and rendered. The job's
    own memory, time limit, service account and mounted bucket stand.
    """

    template_fields = ("job", "options")
    ui_color = "#dfefe6"

    def __init__(self, *, job: str, options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(project_id="", region="", job_name="", deferrable=True, **kwargs)
        self.job = job
        self.options = options or {}

    def execute(self, context: Any) -> Any:
        """Start the execution and hand over to the triggerer."""
        settings, arguments = prepare(self.job, self.options, context)
        self._aim(settings)
        env = [{"name": name, "value": value} for name, value in environment().items()]
        self.overrides = {"container_overrides": [{"args": arguments, "env": env}], "task_count": 1}
        self.log.info("recsys %s in %s", " ".join(arguments), settings.container)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Called once the execution is over: fail with what Cloud Run says, or return the name of the job."""
        self._aim(Settings.load())
        super().execute_complete(context, event)
        return {"job": self.job_name}

    def _aim(self, settings: Settings) -> None:
        found = _JOB.fullmatch(settings.container)
        if not found:
            raise AirflowFailException(
                f"SettingsError: RECSYS_CONTAINER is {settings.container!r}; with RECSYS_HEAVY=cloud_run it has to be "
                "the full name of a Cloud Run job, projects/PROJECT/locations/REGION/jobs/JOB."
            )
        self.project_id, self.region, self.job_name = found["project_id"], found["region"], found["job_name"]
        self.gcp_conn_id = settings.connection
