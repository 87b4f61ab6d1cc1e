"""The page "Experiments" of the Airflow UI: a FastAPI app, and a view in the navigation that shows it.

Airflow does not guard the apps of plugins: each is mounted beside its API and inherits nothing. So every route here
asks Airflow who is there. Who may read the DAG ``experiment_metrics_daily`` may read what it found; nobody else gets
more than a hint to log in.

This file is read by every Airflow process that loads plugins, so it imports neither FastAPI nor the package: the app is
made when the first request comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/recsys-experiments"
DAG_ID = "experiment_metrics_daily"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: it is kept nowhere, runs no script, loads nothing and is framed by Airflow only."""
Message = MutableMapping[str, Any]


class ExperimentsPage:
    """An ASGI app that makes the real one when it is first asked."""

    def __init__(self) -> None:
        self._app: Any = None
        self._made = asyncio.Lock()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        async with self._made:
            if self._app is None:
                self._app = await asyncio.to_thread(make_app)
        await self._app(scope, receive, send)


def make_app() -> Any:
    """Make the FastAPI app. Every route, the ones that do not exist excepted, stands behind Airflow's login."""
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI
    from starlette.exceptions import HTTPException

    from recsys.errors import RecsysError

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_dag("GET", param_dag_id=DAG_ID))],
    )
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RecsysError, _failed)
    _add_routes(app)
    return app


def _add_routes(app: Any) -> None:
    """The list, one experiment, and its read-outs to mail. Functions without async run in threads of their own."""
    from fastapi.responses import HTMLResponse, PlainTextResponse

    @app.get("/")
    def experiments() -> HTMLResponse:
        from recsys.jobs.experiment_report import overview
        from recsys.reports.experiment import render_list

        settings = _settings()
        return HTMLResponse(render_list(overview(settings), str(settings.experiments_dir)), headers=HEADERS)

    @app.get("/{experiment_id}/")
    def experiment(experiment_id: str, ds: str | None = None) -> HTMLResponse:
        from recsys.reports.experiment import render_page

        return HTMLResponse(render_page(_read_out(experiment_id, ds)), headers=HEADERS)

    @app.get("/{experiment_id}/read-out.html")
    def letter(experiment_id: str, ds: str | None = None) -> HTMLResponse:
        from recsys.reports.experiment import render_letter

        return HTMLResponse(render_letter(_read_out(experiment_id, ds)), headers=HEADERS)

    @app.get("/{experiment_id}/read-out.md")
    def markdown(experiment_id: str, ds: str | None = None) -> PlainTextResponse:
        from recsys.reports.experiment import render_markdown

        text = render_markdown(_read_out(experiment_id, ds))
        return PlainTextResponse(text, headers=HEADERS, media_type="text/markdown")


def _read_out(experiment_id: str, ds: str | None) -> Any:
    from recsys.jobs.experiment_report import read_out
    from recsys.settings import parse_ds

    return read_out(_settings(), experiment_id, parse_ds(ds) if ds else None)


def _settings() -> Any:
    from recsys.settings import Settings

    return Settings.load()


async def _refused(request: Any, error: Any) -> Any:
    """What a caller sees who is not logged in (401), may not read this (403), or asks for what is not there (404)."""
    from fastapi.responses import HTMLResponse

    from recsys.reports.experiment import render_message

    root = str(request.scope.get("root_path", "")).removesuffix(PREFIX)
    login = (f"{root}/api/v2/auth/login", "Log in to Airflow")
    title, message, link = {
        401: ("Please log in", "Experiments are shown to people who are logged in to Airflow.", login),
        403: ("Not for this account", f"It takes the right to read the DAG {DAG_ID}.", None),
    }.get(error.status_code, ("Not found", "There is nothing at this address.", None))
    page = render_message(title, message, link=link)
    return HTMLResponse(page, status_code=error.status_code, headers=HEADERS | dict(error.headers or {}))


async def _failed(request: Any, error: Any) -> Any:
    """An error of ours says what to do about it; it is for people who are logged in, as routes raise it."""
    from fastapi.responses import HTMLResponse

    from recsys.errors import ExperimentError, SettingsError
    from recsys.reports.experiment import render_message

    status = 404 if isinstance(error, ExperimentError | SettingsError) else 503
    page = render_message("This cannot be shown", str(error), back="../")
    return HTMLResponse(page, status_code=status, headers=HEADERS)


class RecsysExperimentsPlugin(AirflowPlugin):
    """Puts the app under ``PREFIX`` of the API server, and "Experiments" into the navigation."""

    name = "recsys_experiments"
    fastapi_apps = [{"app": ExperimentsPage(), "url_prefix": PREFIX, "name": "Experiments"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Experiments",
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "url_route": PREFIX.removeprefix("/"),
            "nav_top_level": True,
        }
    ]
