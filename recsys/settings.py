"""Settings: environment over the warehouse's own profile over the defaults, read once at the rim."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from recsys.errors import SettingsError, did_you_mean, nearest
from recsys.yaml_files import read_yaml

PROFILE_NAME = "marketplace.yaml"
PROJECT_ROOT = Path(__file__).resolve().parent.parent
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}
PREFIX = "RECSYS_"
LEAST = {
    0: (
        "late_days", "quarantine_days", "experiment_days", "reserve_size", "price_cap", "price_exponent",
        "popularity_penalty", "ration", "seed", "max_gb",
    ),
    1: (
        "history_days", "archive_days", "active_days", "list_size", "shards", "per_seller", "per_category",
        "keywords", "min_searchers",
    ),
}  # fmt: skip
"""The least that a number can be."""
OTHERS = {"RECSYS_WAREHOUSE_DIR"}
"""Variables that are no settings: docker-compose.yaml reads them."""


def _setting(default: object, help_: str, choices: tuple[str, ...] = ()) -> object:
    return field(default=default, metadata={"help": help_, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between two installations. Each field is set by ``RECSYS_<FIELD>``.

    A local warehouse may carry its own defaults in ``marketplace.yaml`` at its root (``recsys import`` writes it
    from the mapping), so that a shop with repeat purchases stays one whoever opens it.

    Example:
        >>> Settings.load({"RECSYS_LATE_DAYS": "3"}).late_days
        3
    """

    warehouse: str = _setting(
        str(PROJECT_ROOT / "var" / "warehouse"),
        "Folder of the local warehouse, or bigquery://PROJECT/PREFIX.",
    )  # type: ignore[assignment]
    files: str = _setting(
        "",
        "Folder for models, validations and reports; with BigQuery it has to be one that all workers share. "
        "Default: the folder of the local warehouse.",
    )  # type: ignore[assignment]
    home: str = _setting(str(PROJECT_ROOT), "Folder that holds include/ and expectations/.")  # type: ignore[assignment]
    timezone: str = _setting("UTC", "Time zone whose midnight ends a data day.")  # type: ignore[assignment]
    currency: str = _setting("EUR", "Currency that amounts are printed in.")  # type: ignore[assignment]
    late_days: int = _setting(2, "An event may arrive this many days after it happened.")  # type: ignore[assignment]
    quarantine_days: int = _setting(30, "How far back staging looks for events that arrived too late.")  # type: ignore[assignment]
    history_days: int = _setting(90, "Length of the longest window over daily aggregates.")  # type: ignore[assignment]
    archive_days: int = _setting(
        365,
        "How far back staging looks for closed listings that an event names, and for changes of a price; "
        "history_days if that is more.",
    )  # type: ignore[assignment]
    active_days: int = _setting(90, "A user who acted or registered within this many days gets a list.")  # type: ignore[assignment]
    experiment_days: int = _setting(90, "An experiment runs no longer than this many days.")  # type: ignore[assignment]
    item_unit: str = _setting(
        "group",
        "What repeats: 'group' for one-off listings, 'item' for a shop that restocks.",
        ("group", "item"),
    )  # type: ignore[assignment]
    list_size: int = _setting(50, "Items in a published list.")  # type: ignore[assignment]
    reserve_size: int = _setting(50, "Items kept behind the list, for when some are sold.")  # type: ignore[assignment]
    shards: int = _setting(4, "Scoring tasks that the users are spread over.")  # type: ignore[assignment]
    price_cap: float = _setting(500.0, "Price above which a sale earns no more in the ranking.")  # type: ignore[assignment]
    price_exponent: float = _setting(
        0.8, "Exponent of price in the ranking score: 0 ranks by probability alone."
    )  # type: ignore[assignment]
    diversity: float = _setting(
        0.01, "Weight of being unlike what stands above, against revenue: from 0 for none to below 1."
    )  # type: ignore[assignment]
    per_seller: int = _setting(10, "Places of one seller on a list, until nothing else is left.")  # type: ignore[assignment]
    per_category: int = _setting(40, "Places of one category on a list, until nothing else is left.")  # type: ignore[assignment]
    popularity_penalty: float = _setting(
        0.0,
        "Exponent g of the factor (1 + points of recent demand) ^ -g on scores: what everybody looks at stands lower; "
        "0 for none.",
    )  # type: ignore[assignment]
    ration: float = _setting(
        0.0,
        "A one-off listing stands in as many lists as make so many expected sales a day; 0 does not bound it.",
    )  # type: ignore[assignment]
    explore: str = _setting(
        "10,20",
        "Places of a list that are drawn from what stands behind it, with a known chance; 'none' for none.",
    )  # type: ignore[assignment]
    rules: str = _setting(
        "", "Folder of the business rules (YAML). Default: include/rules below RECSYS_HOME."
    )  # type: ignore[assignment]
    memory: str = _setting(
        "4GB", "Memory one process's SQL engine may use before it spills to the warehouse's disk."
    )  # type: ignore[assignment]
    mlflow: str = _setting(
        "",
        "Registry of models: the address of an MLflow server, or 'off'. Default: MLFLOW_TRACKING_URI, else a database "
        "file beside the models of a local warehouse.",
    )  # type: ignore[assignment]
    champion_gate: bool = _setting(
        True,
        "Hold a new model against the champion, on days that neither learned from; training takes twice as long.",
    )  # type: ignore[assignment]
    unjudged: str = _setting(
        "serve",
        "What becomes of a new model that the champion gate could not judge: 'serve' as one that passed, or 'refuse'.",
        ("serve", "refuse"),
    )  # type: ignore[assignment]
    keywords: int = _setting(10, "Keywords that are proposed for a listing, at most.")  # type: ignore[assignment]
    keyword_margin: float = _setting(
        0.6, "Share of the price that a sale leaves a seller before the fees of marketplace and campaign."
    )  # type: ignore[assignment]
    keyword_relevance: float = _setting(
        0.1,
        "Keywords less relevant to a listing than this are not proposed for it: from 0 for all to below 1.",
    )  # type: ignore[assignment]
    keyword_model: str = _setting(
        "logistic",
        "Ranker of keywords; docs/keywords.md sets them side by side.",
        ("logistic", "lightgbm", "xgboost", "network", "network_int8"),
    )  # type: ignore[assignment]
    min_searchers: int = _setting(
        3, "People who must have typed a query before sellers see it as a keyword; fewer could be told by it."
    )  # type: ignore[assignment]
    seed: int = _setting(20260101, "Seed of every random choice.")  # type: ignore[assignment]
    location: str = _setting("EU", "Location of the BigQuery datasets.")  # type: ignore[assignment]
    connection: str = _setting("google_cloud_default", "Airflow connection that BigQuery tasks use.")  # type: ignore[assignment]
    max_gb: float = _setting(
        500.0, "Most gigabytes one BigQuery query may read; one that would read more is refused."
    )  # type: ignore[assignment]
    wait: str = _setting(
        "defer",
        "How one DAG waits for another: in the triggerer, or where that has no plugins, as on Composer, by a task that "
        "starts again every minute.",
        ("defer", "reschedule"),
    )  # type: ignore[assignment]
    heavy: str = _setting("worker", "Where training and scoring run.", ("worker", "cloud_run", "kubernetes"))  # type: ignore[assignment]
    container: str = _setting(
        "",
        "For heavy jobs: the Cloud Run job, projects/PROJECT/locations/REGION/jobs/JOB, or the image of the "
        "Kubernetes pod.",
    )  # type: ignore[assignment]
    pod_cpu: str = _setting("4", "Processors that the Kubernetes pod of a heavy job asks for.")  # type: ignore[assignment]
    pod_memory: str = _setting("16Gi", "Memory that the Kubernetes pod of a heavy job gets.")  # type: ignore[assignment]
    pod_bucket: str = _setting(
        "", "BUCKET/FOLDER with the files of RECSYS_FILES, which GKE mounts into the Kubernetes pod."
    )  # type: ignore[assignment]

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
        """Read the environment, then the profile of the warehouse it names, then the defaults.

        Raises:
            SettingsError: no such setting, or its value cannot be read; names the setting, the value, what is allowed.
        """
        environ = os.environ if environ is None else environ
        _refuse_unknown(environ)
        given: dict[str, object] = {
            f.name: environ[f"RECSYS_{f.name.upper()}"]
            for f in fields(cls)
            if environ.get(f"RECSYS_{f.name.upper()}")
        }
        given |= {name: value for name, value in overrides.items() if value is not None}
        warehouse, files = (str(given.get(name, getattr(cls, name))) for name in ("warehouse", "files"))
        profile = Path(files if "://" in warehouse and files else warehouse) / PROFILE_NAME
        if profile.is_file():
            given = _read_profile(profile) | given
        values = {f.name: _parse(f.name, given[f.name], f.default) for f in fields(cls) if f.name in given}
        return cls(**values)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        """Refuse values that no part of the system could work with."""
        for f in fields(self):
            choices = f.metadata["choices"]
            if choices and getattr(self, f.name) not in choices:
                raise SettingsError(
                    f"RECSYS_{f.name.upper()} is {getattr(self, f.name)!r}; choose one of {', '.join(choices)}."
                )
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SettingsError(
                f"RECSYS_TIMEZONE is {self.timezone!r}, which is no IANA zone; use a name like 'Europe/Paris'."
            ) from error
        self._refuse_places()
        for name in ("diversity", "keyword_relevance"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"RECSYS_{name.upper()} is {getattr(self, name)}; it is from 0 to below 1."
                )
        if not 0 < self.keyword_margin <= 1:
            raise SettingsError(
                f"RECSYS_KEYWORD_MARGIN is {self.keyword_margin}; it is a share of the price, above 0 and at most 1."
            )
        for least, names in LEAST.items():
            for name in names:
                value = getattr(self, name)
                if not least <= value < math.inf:
                    raise SettingsError(
                        f"RECSYS_{name.upper()} is {value}; it has to be a number, {least} or more."
                    )
        beyond = [place for place in self.explored_places if place > self.list_size]
        if beyond:
            raise SettingsError(
                f"RECSYS_EXPLORE is {self.explore!r}, and a list has no place {beyond[0]}: RECSYS_LIST_SIZE is "
                f"{self.list_size}. Name places of the list, or none."
            )

    def _refuse_places(self) -> None:
        for place in self.explored_places:
            if place < 1:
                raise SettingsError(
                    f"RECSYS_EXPLORE is {self.explore!r}; name places of a list from 1 on, like 10,20, or none."
                )
        if len(set(self.explored_places)) < len(self.explored_places):
            raise SettingsError(f"RECSYS_EXPLORE is {self.explore!r}; name each place once, like 10,20.")

    @property
    def explored_places(self) -> tuple[int, ...]:
        """The places that ``explore`` names, 0 for what is no place."""
        words = [word.strip() for word in self.explore.split(",")]
        if words == ["none"]:
            return ()
        return tuple(int(word) if word.isdecimal() else 0 for word in words)

    @property
    def is_bigquery(self) -> bool:
        """Whether the warehouse is BigQuery, and not a local folder."""
        return self.warehouse.startswith("bigquery://")

    @property
    def files_dir(self) -> Path:
        """Folder of what is no table: models, validations, reports.

        Raises:
            SettingsError: BigQuery without ``RECSYS_FILES``: each worker would keep its own models.
        """
        if self.files:
            return Path(self.files)
        if "://" in self.warehouse:
            raise SettingsError(
                f"RECSYS_WAREHOUSE is {self.warehouse}, and RECSYS_FILES is not set. Set it to a folder that all "
                "workers share, on Composer /home/airflow/gcs/data/recsys."
            )
        return Path(self.warehouse)

    @property
    def sql_dir(self) -> Path:
        """Folder of the SELECTs, one per table."""
        return Path(self.home) / "include" / "sql"

    @property
    def experiments_dir(self) -> Path:
        """Folder of the experiment definitions."""
        return Path(self.home) / "include" / "experiments"

    @property
    def metrics_path(self) -> Path:
        """File that declares the metrics of experiments."""
        return Path(self.home) / "include" / "metrics.yaml"

    @property
    def tuned_path(self) -> Path:
        """Where the values that ``recsys tune`` has chosen for this kind of marketplace stand."""
        return Path(self.home) / "include" / "tuned" / f"{self.item_unit}.yaml"

    @property
    def rules_dir(self) -> Path:
        """Folder of the business rules."""
        return Path(self.rules) if self.rules else Path(self.home) / "include" / "rules"

    @property
    def expectations_dir(self) -> Path:
        """Folder of the Great Expectations suites."""
        return Path(self.home) / "expectations"

    @property
    def models_dir(self) -> Path:
        """Folder of the trained models of this warehouse."""
        return self.files_dir / "_models"


def parse_ds(text: str) -> date:
    """Read a data day written YYYY-MM-DD.

    Raises:
        SettingsError: for anything else, with an example of the right form.
    """
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{text!r} is no data day; write it as YYYY-MM-DD, like 2026-01-31.") from error
    if day.isoformat() != text:
        raise SettingsError(f"{text!r} is no data day; write it as YYYY-MM-DD, like {day.isoformat()}.")
    return day


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A setting with a typo would be ignored without a word."""
    known = [f"{PREFIX}{f.name.upper()}" for f in fields(Settings)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name] and name not in known and name not in OTHERS:
            near = nearest(name.removeprefix(PREFIX), (setting.removeprefix(PREFIX) for setting in known))
            told = did_you_mean(f"{PREFIX}{setting}" for setting in near) or f" Known: {', '.join(known)}."
            raise SettingsError(f"{name} is set in the environment, and there is no such setting.{told}")


def _read_profile(path: Path) -> dict[str, object]:
    content = read_yaml(path, SettingsError) or {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path} has to be a list of `setting: value`, found {content!r}.")
    known = {f.name for f in fields(Settings)} - {"warehouse", "home", "files"}
    unknown = sorted(set(content) - known)
    if unknown:
        raise SettingsError(
            f"{path} has unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    return dict(content)


def _parse(name: str, value: object, default: object) -> object:
    try:
        if isinstance(default, bool):
            word = str(value).lower()
            if word not in TRUE_WORDS | FALSE_WORDS:
                raise ValueError(word)
            return word in TRUE_WORDS
        return type(default)(value)  # type: ignore[call-arg]
    except (TypeError, ValueError) as error:
        kind = type(default).__name__
        raise SettingsError(
            f"RECSYS_{name.upper()} is {value!r}, which is no {kind} (default {default!r})."
        ) from error
