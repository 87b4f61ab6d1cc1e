"""A BigQuery to test against: real clients speak to it over HTTP and gRPC, and it answers with the local engine.

    with BigQueryEndpoint(folder) as endpoint:
        os.environ.update(endpoint.environment("test-project"))

It serves the calls that google-cloud-bigquery, its Storage Read client, Airflow's provider and the project make, no
more, and says 501 to every other. What BigQuery enforces about them it enforces too.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.endpoint.engine import Engine
from tests.endpoint.faults import Faults
from tests.endpoint.jobs import Job, Jobs
from tests.endpoint.rest import Rest
from tests.endpoint.server import Request, Server
from tests.endpoint.storage import StorageServer
from tests.endpoint.store import HIDDEN, Store

__all__ = ["BigQueryEndpoint"]


class BigQueryEndpoint:
    """The endpoint, as a context manager; ``folder`` keeps the rows."""

    def __init__(self, folder: Path, location: str = "EU", memory: str = "2GB") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.faults = Faults()
        self.store = Store(folder, location)
        self._engine = Engine(self.store, folder, memory)
        self._jobs = Jobs(self.store, self._engine, self.faults)
        self._server = Server(Rest(self.store, self._engine, self._jobs).call, self.faults, folder)
        self._jobs.mistakes = self._server.log.violations
        self._storage = StorageServer(self.store, self._engine)

    def __enter__(self) -> Self:
        self._server.begin()
        self._storage.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.end()
        self._storage.end()
        for job in self.jobs:
            job.cancelled.set()
        for thread in threading.enumerate():
            if thread.name.startswith("bigquery-job"):
                thread.join(10)
        self._engine.close()

    @property
    def url(self) -> str:
        """Root of the REST API."""
        return self._server.url

    @property
    def storage(self) -> str:
        """``host:port`` of the Storage Read API."""
        return self._storage.address

    def environment(self, project: str) -> dict[str, str]:
        """Environment variables that send clients and Airflow's default connection here."""
        connection = {
            "conn_type": "google_cloud_platform",
            "extra": {"is_anonymous": True, "project": project},
        }
        return {
            "BIGQUERY_EMULATOR_HOST": self.url,
            "BIGQUERY_STORAGE_EMULATOR_HOST": self.storage,
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
            "GOOGLE_CLOUD_PROJECT": project,
        }

    @property
    def requests(self) -> list[Request]:
        """Every request so far."""
        return self._server.log.requests

    @property
    def violations(self) -> list[str]:
        """What in the requests is not as the discovery document says; mistakes of the endpoint too."""
        return self._server.log.violations

    @property
    def sessions(self) -> list[Any]:
        """Requests of the Storage Read API."""
        return self._storage.sessions

    @property
    def jobs(self) -> list[Job]:
        """Every job, oldest first."""
        return list(self._jobs.jobs.values())

    @property
    def statements(self) -> list[dict[str, Any]]:
        """Every distinct text of a query, with the types and the first values of its parameters."""
        return list(self._jobs.statements.values())

    @property
    def writes(self) -> Counter[tuple[str, str]]:
        """How often each partition was written: (``dataset.table``, ``20260105``)."""
        return Counter(
            {key: n for key, n in self.store.writes.items() if not key[0].startswith(f"{HIDDEN}.")}
        )

    def delay(self, seconds: Callable[[Job], float]) -> None:
        """Let a job take so many seconds, half of them PENDING and half RUNNING; 0 is done at once."""
        self._jobs.delay = seconds
