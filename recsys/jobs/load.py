"""Import a marketplace from files: check everything, then write the source tables and build their history."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import yaml

from recsys import schema
from recsys.errors import ContractError, SettingsError
from recsys.settings import PROFILE_NAME, Settings
from recsys.sources.importer import Staged, main_span, stage_folder, stage_mapped
from recsys.sources.mapping import load_mapping
from recsys.warehouse import BuildResult, open_warehouse
from recsys.warehouse.tables import load_spec
from recsys.yaml_files import read_yaml

EVENTS = "marketplace.events"
Progress = Callable[[str], None]


def run(
    settings: Settings,
    path: Path | str,
    mapping: Path | str | None = None,
    progress: Progress | None = None,
    history: bool = True,
) -> dict[str, object]:
    """Load a folder with one file per source table, or one foreign ``path`` read through ``mapping``.

    Tables kept whole are replaced; of events, the days the files cover are replaced and the others stay. With
    ``history`` the staging tables are then built for every day on which events became known.

    Returns rows per table, rows left out per reason, the first and last day, and the days that lie apart.

    Raises:
        ContractError: something does not fit; names file, column, expectation and an example. Nothing was written.
        WarehouseError: a table could not be written; tables written before it are complete.
    """
    path, tell = Path(path), progress or (lambda _: None)
    profile = read_profile(path, Path(mapping) if mapping else None)
    settings = with_profile(settings, profile)
    with _stage(settings, path, Path(mapping) if mapping else None, tell) as staged:
        rows = _write(settings, staged, tell)
        known = staged.days(EVENTS, "ingested_at", settings.timezone)
        skipped = dict(staged.skipped.by_reason) if staged.skipped else {}
    write_profile(settings, profile)
    days = main_span(known)
    apart = [day for day in known if not days[0] <= day <= days[-1]]
    if apart:
        tell(f"{len(apart)} days lie far from the rest and get no staging: {', '.join(map(str, apart[:5]))}")
    if history:
        _build_history(settings, days, tell)
    return {
        "rows": rows,
        "skipped": skipped,
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "days_apart": [day.isoformat() for day in apart],
    }


def read_profile(path: Path, mapping: Path | None) -> dict[str, object]:
    """Return the settings that come with the data: the mapping's, or the folder's ``marketplace.yaml``."""
    if mapping:
        return dict(load_mapping(mapping).settings)
    file = path / PROFILE_NAME
    if not file.is_file():
        return {}
    content = read_yaml(file, ContractError) or {}
    if not isinstance(content, dict):
        raise ContractError(f"{file} has to be a list of `setting: value`, found {content!r}.")
    return content


def with_profile(settings: Settings, profile: Mapping[str, object]) -> Settings:
    """Fill settings that are still at their default from ``profile``; what was set on purpose stays.

    Raises:
        SettingsError: the profile names an unknown setting or a value that cannot be read.
    """
    known = {f.name: f for f in dataclasses.fields(Settings) if f.name not in ("warehouse", "home", "files")}
    unknown = sorted(set(profile) - set(known))
    if unknown:
        raise SettingsError(f"Unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    read = Settings.load({}, warehouse=settings.warehouse, home=settings.home, **profile)
    at_default = [name for name in profile if getattr(settings, name) == known[name].default]
    return dataclasses.replace(settings, **{name: getattr(read, name) for name in at_default})


def write_profile(settings: Settings, profile: Mapping[str, object]) -> None:
    """Leave ``profile`` where later commands read it: at the warehouse's root, or with BigQuery among its files."""
    if not profile:
        return
    target = (settings.files_dir if settings.is_bigquery else Path(settings.warehouse)) / PROFILE_NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "# Settings of this marketplace, written by `recsys import`. The environment (RECSYS_...) overrides them.\n"
    aside = target.with_suffix(".yaml.new")
    aside.write_text(text + yaml.safe_dump(dict(profile), sort_keys=False), encoding="utf-8")
    aside.replace(target)


def _stage(settings: Settings, path: Path, mapping: Path | None, tell: Progress) -> Staged:
    if not path.exists():
        raise ContractError(
            f"{path} does not exist. Give a folder of Parquet or CSV files, or a file and a mapping."
        )
    if mapping:
        return stage_mapped(path, mapping, settings, tell)
    if path.is_file():
        raise ContractError(
            f"{path} is one file. Give the folder that holds one file per source table, or say with --mapping "
            "how this file becomes those tables (examples/online_retail.yaml is a model)."
        )
    return stage_folder(path, settings, tell)


def _write(settings: Settings, staged: Staged, tell: Progress) -> dict[str, int]:
    """Write every table; events last, so that no event is ever seen before the user and item it names."""
    warehouse = open_warehouse(settings)
    rows: dict[str, int] = {}
    for name in sorted(staged.tables, key=lambda table: table == EVENTS):
        rows[name] = 0
        for day, part in staged.partitions(name):
            warehouse.write(name, part, day)
            rows[name] += part.num_rows
        tell(f"wrote {name}: {rows[name]:,} rows")
    return rows


def _build_history(settings: Settings, days: list[date], tell: Progress) -> None:
    """Build the daily aggregates of every day; snapshots of users, items and sellers only where those read them."""
    from recsys.jobs import build  # noqa: PLC0415

    specs = {t.name: load_spec(settings.sql_dir, t.name) for t in schema.STAGING}
    wanted = [name for name, spec in specs.items() if not spec.snapshot_once]
    for name in wanted:
        wanted += [u for u in specs[name].upstream if u in specs and u not in wanted]
    told: list[date] = []

    def report(result: BuildResult) -> None:
        if result.ds.day == 1 and (not told or told[-1] != result.ds):
            told.append(result.ds)
            tell(f"building staging of {result.ds:%B %Y}")

    tell(f"building {len(wanted)} staging tables for {len(days)} days, {days[0]} to {days[-1]}")
    build.history(settings, days[0], days[-1], wanted, progress=report, refresh=True)
