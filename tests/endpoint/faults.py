"""Faults on demand: what goes wrong, how often, and for which requests or jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.endpoint.errors import ApiError

if TYPE_CHECKING:
    from tests.endpoint.jobs import Job

HTTP = {
    "rateLimitExceeded": ApiError(
        403, "rateLimitExceeded", "Exceeded rate limits: too many table update operations"
    ),
    "quotaExceeded": ApiError(403, "quotaExceeded", "Quota exceeded"),
    "notFound": ApiError(404, "notFound", "Not found: on demand"),
    "duplicate": ApiError(409, "duplicate", "Already Exists: on demand"),
    "tooManyRequests": ApiError(429, "rateLimitExceeded", "Too many requests"),
    "internalError": ApiError(
        500, "internalError", "An internal error occurred and the request could not be completed"
    ),
    "backendError": ApiError(
        503, "backendError", "Error encountered during execution. Retrying may solve the problem."
    ),
}
LONGEST = 120.0
LOST = "lost"
"""The work is done and the connection is closed without an answer."""


@dataclass
class Fault:
    """``kind`` for the next ``times`` requests of ``method`` (or jobs) that ``where`` is true of."""

    kind: str
    method: str
    times: int
    where: Callable[[Any], bool]
    hold: threading.Event | None = None
    """Of a lost answer: how long the connection stays open without one."""
    met: list[str] = field(default_factory=list)


class Faults:
    """The faults still to come; ``met`` of each tells where it struck."""

    def __init__(self) -> None:
        self.planned: list[Fault] = []
        self._lock = threading.Lock()

    def http(
        self,
        kind: str,
        method: str,
        times: int = 1,
        where: Callable[[dict[str, Any]], bool] = lambda body: True,
        hold: threading.Event | None = None,
    ) -> Fault:
        """Answer the next requests of ``method`` (like ``jobs.insert``) with an error, or with silence (``LOST``)."""
        assert kind == LOST or kind in HTTP, kind
        return self._plan(Fault(kind, method, times, where, hold))

    def job(self, kind: str, times: int = 1, where: Callable[[Job], bool] = lambda job: True) -> Fault:
        """Let the next jobs end with an error of this reason, without having written anything."""
        return self._plan(Fault(kind, "job", times, where))

    def before(self, method: str, body: dict[str, Any]) -> None:
        """Raise what is planned for a request before it is served."""
        fault = self._take(method, body, lost=False)
        if fault:
            raise HTTP[fault.kind]

    def loses(self, method: str, body: dict[str, Any]) -> bool:
        """Whether the answer of a served request is to be lost."""
        fault = self._take(method, body, lost=True)
        if fault and fault.hold:
            fault.hold.wait(LONGEST)
        return fault is not None

    def in_job(self, job: Job) -> None:
        """Raise what is planned for a job before it writes."""
        fault = self._take("job", job, lost=False)
        if fault:
            known = HTTP.get(fault.kind)
            raise ApiError(200, fault.kind, known.message if known else f"{fault.kind} on demand")

    def _plan(self, fault: Fault) -> Fault:
        with self._lock:
            self.planned.append(fault)
        return fault

    def _take(self, method: str, what: Any, lost: bool) -> Fault | None:
        with self._lock:
            for fault in self.planned:
                fits = (
                    fault.method == method and (fault.kind == LOST) == lost and len(fault.met) < fault.times
                )
                if fits and fault.where(what):
                    fault.met.append(method)
                    return fault
        return None
