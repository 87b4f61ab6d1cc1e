"""Enter the champion of a day into the model registry: MLflow, embedded in a file or on a server.

What scoring reads is the champion's folder, never the registry: a registry that is down costs an entry, not a list.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import ModelError
from recsys.models import store
from recsys.ranking.champion import CHALLENGER, NAME
from recsys.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, REFUSED = "champion", "refused"
FOLDER = "_registry"
OFF = "off"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow is told before it is imported, unless the environment says otherwise: nothing is sent anywhere else."""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Log the training of ``ds`` as a run, and its champion, which has passed the gate, as a version.

    The version becomes ``champion``, if no version of a later data day is that already, so that a backfill never turns
    the alias back; else ``challenger``. Its tag ``gate`` says whether the champion before has judged it: ``passed``,
    ``unjudged`` or ``off``. Entering the same files a second time changes nothing.

    Raises:
        ModelError: ``ds`` has no champion, or the registry cannot be reached. The champion is not touched.
    """
    uri = registry_uri(settings)
    if uri is None:
        return {"registered": "no: RECSYS_MLFLOW is off, or not set while the warehouse is BigQuery"}
    folder = settings.models_dir / NAME / f"ds={ds}"
    facts = store.read_manifest(folder)
    name = model_name(settings)
    with _reached(uri, f"The champion of {ds} is saved and will be served."):
        client = _client(settings, uri)
        version, is_new = _entered(client, settings, folder, {"ds": str(ds), **_judged(facts.get("gate"))})
        newest = max([str(ds), *(_tag(other, "ds") for other in _versions(client, name, CHAMPION))])
        if newest == str(ds):
            client.set_registered_model_alias(name, CHAMPION, str(version.version))
        elif is_new:
            client.set_registered_model_alias(name, CHALLENGER, str(version.version))
    return {"registered": f"{name} {version.version}", "champion": newest, "registry": _without_secret(uri)}


def refused(settings: Settings, ds: date, reason: str) -> None:
    """Log a training that its gate, or its data, refused: a failed run with the reason.

    If the champion gate refused it there is a model, and its version becomes ``challenger``; else there is none.

    A registry that cannot be reached is only warned of: the refusal itself is what has to be heard.
    """
    uri = registry_uri(settings)
    if uri is None:
        return
    try:
        with _reached(uri, "The old champion stays."):
            client = _client(settings, uri)
            tags = {"ds": str(ds), "gate": REFUSED, REFUSED: reason[:5_000]}
            folder = settings.models_dir / CHALLENGER / f"ds={ds}"
            if folder.is_dir():
                version, _ = _entered(client, settings, folder, tags)
                client.set_registered_model_alias(model_name(settings), CHALLENGER, str(version.version))
            else:
                client.set_terminated(_run(client, settings, tags).info.run_id, "FAILED")
    except ModelError as error:
        logging.getLogger(__name__).warning(
            "The refused training of %s is not in the registry: %s", ds, error
        )


def registry_uri(settings: Settings) -> str | None:
    """Where the registry is: RECSYS_MLFLOW, or MLFLOW_TRACKING_URI, or a database file beside the models.

    None for none: RECSYS_MLFLOW is ``off``, or the warehouse is BigQuery, whose files lie on a bucket that no database
    can lock.
    """
    named = settings.mlflow or os.environ.get("MLFLOW_TRACKING_URI", "")
    if named == OFF or (not named and settings.is_bigquery):
        return None
    return named or f"sqlite:///{(settings.files_dir / FOLDER / 'mlflow.db').absolute()}"


def model_name(settings: Settings) -> str:
    """Name of the model, and of its experiment, in the registry: one per warehouse, ``recsys-`` and what names it."""
    last = settings.warehouse.removeprefix("bigquery://") if settings.is_bigquery else NAME
    return "recsys-" + re.sub(r"[^A-Za-z0-9]+", "-", last).strip("-").lower()


@contextmanager
def _reached(uri: str, comfort: str) -> Iterator[None]:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (two seconds, needed here alone)
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        told, place = _without_secret(str(error).strip().splitlines()[0])[:300], _without_secret(uri)
        raise ModelError(
            f"The model registry at {place} could not be used: {told}. {comfort} Mend the registry, or set "
            "RECSYS_MLFLOW (`off` for none), then run `recsys register --ds DAY`."
        ) from (error if place == uri else None)  # a traceback would say the password


def _without_secret(text: str) -> str:
    """``text`` without the user and password that an address in it may carry: it goes to logs."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def _client(settings: Settings, uri: str) -> MlflowClient:
    from mlflow import MlflowClient  # noqa: PLC0415

    if uri.startswith("sqlite:///"):
        (settings.files_dir / FOLDER).mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: MlflowClient, settings: Settings) -> str:
    name = model_name(settings)
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = str(client.tracking_uri).startswith("sqlite:///")
    place = (settings.files_dir / FOLDER / "artifacts").absolute().as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=place))


def _judged(gate: object) -> dict[str, str]:
    """Tags that say what the champion gate said; ``gate`` as ``gate.hold_against_champion`` returns it, or None."""
    if not isinstance(gate, Mapping):
        return {"gate": "off"}
    why = {name: str(gate[name]) for name in ("against", "unjudged") if name in gate}
    return {"gate": "unjudged" if "unjudged" in gate else "passed", **why}


def _run(client: MlflowClient, settings: Settings, tags: Mapping[str, str]) -> Run:
    run = client.create_run(_experiment(client, settings), run_name=f"{NAME}@{tags['ds']}")
    for key in tags:
        client.set_tag(run.info.run_id, key, tags[key])
    return run


def _entered(
    client: MlflowClient, settings: Settings, folder: Path, tags: Mapping[str, str]
) -> tuple[ModelVersion, bool]:
    """The version of the model in ``folder``, and whether it is new: then its training is logged as a run.

    The run has the parameters, the metrics with what the gate measured, and the manifest, which holds the SHA-256 of
    every file.
    """
    name = model_name(settings)
    facts = store.read_manifest(folder)
    manifest = (folder / store.MANIFEST).read_text(encoding="utf-8")
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    for known in _versions(client, name):
        if _tag(known, "sha256") == digest:
            return known, False
    tags = {**tags, "sha256": digest, "folder": str(folder)}
    run = _run(client, settings, tags)
    run_id = run.info.run_id
    for key, value in flat(facts.get("parameters", {})).items():
        client.log_param(run_id, key, str(value)[:500])
    figures = flat(facts.get("metrics", {})) | flat({"gate": facts.get("gate", {})})
    for key, value in figures.items():
        if isinstance(value, int | float):
            client.log_metric(run_id, key, float(value))
    client.log_text(run_id, manifest, f"{CHAMPION}/{store.MANIFEST}")
    client.set_terminated(run_id, "FAILED" if REFUSED in tags else "FINISHED")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{run.info.artifact_uri}/{CHAMPION}"
    return client.create_model_version(name, source=source, run_id=run_id, tags=tags), True


def _versions(client: MlflowClient, name: str, alias: str | None = None) -> list[ModelVersion]:
    """Every version, or those of an alias: none or one."""
    found = list(client.search_model_versions(f"name = '{name}'", max_results=10_000))
    if alias is None:
        return found
    models = client.search_registered_models(f"name = '{name}'")
    wanted = {str(model.aliases[alias]) for model in models if alias in model.aliases}
    return [version for version in found if str(version.version) in wanted]


def _tag(version: ModelVersion, name: str) -> str:
    return str(version.tags.get(name, ""))


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, keys joined by dots; lists as JSON. Names as MLflow takes them.

    Example:
        >>> flat({"als": {"factors": 64}, "days": ["2026-01-01"]})
        {'als.factors': 64, 'days': '["2026-01-01"]'}
    """
    if not isinstance(value, Mapping):
        return {prefix: json.dumps(value) if isinstance(value, list | tuple) else value} if prefix else {}
    parts: dict[str, object] = {}
    for key, inner in value.items():
        plain = re.sub(r"[^\w./ -]", "_", str(key))
        parts |= flat(inner, f"{prefix}.{plain}" if prefix else plain)
    return parts
