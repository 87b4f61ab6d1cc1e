"""Errors as BigQuery's REST API gives them: a status, a reason, a message."""

from __future__ import annotations

from typing import Any

STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
REASON_STATUS = {
    "notFound": 404,
    "duplicate": 409,
    "rateLimitExceeded": 403,
    "jobRateLimitExceeded": 400,
    "backendError": 503,
    "jobBackendError": 400,
    "internalError": 500,
    "stopped": 200,
}
"""HTTP status that getQueryResults gives for a failed job; every other reason is 400."""


class ApiError(Exception):
    """Answered as an HTTP error; inside a job, kept as the job's error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @classmethod
    def of_job(cls, result: dict[str, Any]) -> ApiError:
        """What asking for the rows of a failed job is answered with."""
        return cls(REASON_STATUS.get(result["reason"], 400), result["reason"], result["message"])

    def body(self) -> dict[str, Any]:
        """The JSON of an HTTP error."""
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        return {
            "error": {
                "code": self.status,
                "message": self.message,
                "errors": [one],
                "status": STATUSES.get(self.status, "UNKNOWN"),
            }
        }

    def result(self) -> dict[str, Any]:
        """The errorResult of a job."""
        return {"reason": self.reason, "message": self.message}


def invalid(message: str, reason: str = "invalid") -> ApiError:
    """A request that can never work."""
    return ApiError(400, reason, message)


def not_found(kind: str, name: str, location: str | None = None) -> ApiError:
    """No such dataset, table or job."""
    where = f" was not found in location {location}" if location else ""
    return ApiError(404, "notFound", f"Not found: {kind} {name}{where}")
