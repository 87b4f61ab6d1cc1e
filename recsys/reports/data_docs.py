"""What the checks found, as pages: Great Expectations Data Docs, made to open without a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from recsys.quality import CRITICAL, SEVERITIES, quiet, show

# Data Docs draw their style, their scripts and a newsletter line from other hosts: offline they stay blank.
_REMOTE = re.compile(
    r"<link[^>]*https?://[^>]*>|<script.*?</script>|<img[^>]*https?://[^>]*>|<footer>.*?</footer>"
    r"|url\('?https?://[^)]*\)",
    re.DOTALL,
)
_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2429; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
.navbar, .btn, .card, .navigation, .collapse, .col-lg-2, p:has(> a[data-toggle]) { display: none !important; }
table { border-collapse: collapse; width: 100%; } h5 { margin: 1rem 0 .2rem; } hr { display: none; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #eef0f1; text-align: left; vertical-align: top; width: 33%; }
th { color: #5b6770; font-size: 13px; } .ge-section { margin: 0 !important; padding: 0 !important; }
.fa-check-circle::before { content: "holds"; color: #0b7a75; } .fa-times::before { content: "broken"; color: #b5541c; }
.fa-exclamation-triangle::before { content: "could not be judged"; color: #b5541c; } i { font-style: normal; }
</style></head>"""


def write_site(
    suites: Iterable[Mapping[str, Any]], results: Mapping[tuple[str, str], Mapping[str, Any]], folder: Path
) -> None:
    """Write Data Docs into ``folder``: ``index.html`` over all days, a page per suite and per (day, table) result."""
    with quiet() as gx:
        from great_expectations.core.expectation_validation_result import (  # noqa: PLC0415
            ExpectationSuiteValidationResult,
        )

        context = gx.get_context(mode="ephemeral")
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
        site: Any = {"class_name": "SiteBuilder", "store_backend": backend, "show_how_to_buttons": False}
        context.add_data_docs_site("quality", site)
        for suite in suites:
            context.suites.add(gx.ExpectationSuite(**suite))
        for (day, table), result in results.items():
            meta = {**result["meta"], "run_id": {"run_name": day, "run_time": f"{day}T00:00:00+00:00"}}
            meta["batch_kwargs"] = {"data_asset_name": table}
            kept = ExpectationSuiteValidationResult(**{**result, "meta": meta})
            context.validation_results_store.set(_key(day, table), kept)
        context.build_data_docs(site_names=["quality"])
    for page in folder.rglob("*.html"):
        home = "../" * (len(page.relative_to(folder).parts) - 1) + "index.html"
        page.write_text(offline(page.read_text(encoding="utf-8"), home), encoding="utf-8")
    (folder / "index.html").write_text(overview(results, page_paths(folder)), encoding="utf-8")


def _key(day: str, table: str) -> Any:
    from great_expectations.core.run_identifier import RunIdentifier  # noqa: PLC0415
    from great_expectations.data_context.types.resource_identifiers import (  # noqa: PLC0415
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=day, run_time=datetime.fromisoformat(f"{day}T00:00:00+00:00"))
    return ValidationResultIdentifier(ExpectationSuiteIdentifier(table), run, table)


def offline(page: str, home: str) -> str:
    """Take out of an HTML page all that comes from other hosts; give it a style of its own and a way back."""
    page = _REMOTE.sub("", page).replace("</head>", _STYLE, 1)
    return re.sub(r"(<body[^>]*>)", rf'\1<p><a href="{home}">All days and tables</a></p>', page, count=1)


def page_paths(folder: Path) -> dict[tuple[str, str], str]:
    """Return (day, table) -> path of its page, relative to ``folder``."""
    pages = (folder / "validations").rglob("*.html")
    return {(page.parent.parent.name, page.stem): page.relative_to(folder).as_posix() for page in pages}


def overview(
    results: Mapping[tuple[str, str], Mapping[str, Any]], pages: Mapping[tuple[str, str], str]
) -> str:
    """Return the first page: tables by days, each cell its worst broken rule, and below what was broken."""
    days = sorted({day for day, _ in results})
    tables = sorted({table for _, table in results})
    broken = [
        _broken_rule(day, table, one)
        for (day, table), result in sorted(results.items(), reverse=True)
        for one in result["results"]
        if not one["success"]
    ]
    worst: dict[tuple[str, str], str] = {}
    for rule in sorted(broken, key=lambda rule: -SEVERITIES.index(rule["severity"])):
        worst[rule["day"], rule["table"]] = rule["severity"]
    environment = Environment(loader=PackageLoader("recsys.reports"), autoescape=select_autoescape())
    return environment.get_template("quality.html").render(
        days=days, tables=tables, broken=broken, worst=worst, pages=pages, results=results
    )


def _broken_rule(day: str, table: str, one: Mapping[str, Any]) -> dict[str, str]:
    config = one["expectation_config"]
    return {
        "day": day,
        "table": table,
        "severity": config.get("severity", CRITICAL),
        "rule": config.get("description") or config["type"],
        "measure": config["kwargs"]["column"],
        "observed": show(one["result"].get("observed_value")) or "",
        "remedy": config["meta"].get("remedy", ""),
    }
