"""Requests held against the discovery document that Google's client library ships: every field, type and enum value.

The document is googleapiclient/discovery_cache/documents/bigquery.v2.json, the published description of the REST API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

WORDS = {"true", "false"}
OF_THE_CLIENT = {"jobs.get": {"projection"}, "jobs.cancel": {"projection"}}
"""Query parameters that google-cloud-bigquery sends and the document does not list; the service ignores them."""
INT64 = re.compile(r"-?\d+")


@cache
def document() -> dict[str, Any]:
    """The discovery document of BigQuery v2."""
    path = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "bigquery.v2.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@cache
def methods() -> tuple[tuple[str, str, re.Pattern[str], dict[str, Any]], ...]:
    """Every method: its name (``jobs.insert``), HTTP verb, path, description."""
    found = []
    for resource, content in document()["resources"].items():
        for name, method in content.get("methods", {}).items():
            path = re.sub(r"\{[^}]+\}", "([^/:]+)", method["flatPath"])
            found.append((f"{resource}.{name}", method["httpMethod"], re.compile(f"{path}$"), method))
    return tuple(found)


def find(verb: str, path: str) -> tuple[str, tuple[str, ...], dict[str, Any]] | None:
    """Name the method that a verb and a path (below ``bigquery/v2/``) call, with the ids in the path."""
    for name, http, pattern, method in methods():
        match = pattern.match(path)
        if http == verb and match:
            return name, match.groups(), method
    return None


def check_query(name: str, method: Mapping[str, Any], query: Mapping[str, str]) -> Iterator[str]:
    """Violations among the query parameters of a request."""
    known = {**document()["parameters"], **method["parameters"]}
    ignored = OF_THE_CLIENT.get(name, set())
    for key, value in query.items():
        if key in ignored:
            continue
        if key not in known:
            yield f"unknown query parameter {key}"
        else:
            yield from _check_text(key, value, known[key])


def _check_text(name: str, value: str, described: Mapping[str, Any]) -> Iterator[str]:
    kind = described["type"]
    if kind == "boolean" and value.lower() not in WORDS:
        yield f"{name} is {value!r}, expected true or false"
    if (kind == "integer" or described.get("format") in ("int64", "uint64")) and not INT64.fullmatch(value):
        yield f"{name} is {value!r}, expected a whole number"
    if "enum" in described and value not in described["enum"]:
        yield f"{name} is {value!r}, expected one of {', '.join(described['enum'])}"


def check_body(method: Mapping[str, Any], body: object) -> Iterator[str]:
    """Violations in the body of a request; a method without a request type takes no body."""
    described = method.get("request")
    if described is None:
        if body not in (None, {}):
            yield "this method takes no body"
    elif body is None:
        yield f"a body of type {described['$ref']} is missing"
    else:
        yield from _check(described, body, described["$ref"])


def _check(described: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    if value is None:
        return  # JSON null: not set
    if "$ref" in described:
        described = document()["schemas"][described["$ref"]]
    kind = described.get("type")
    if kind == "object":
        yield from _check_object(described, value, where)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"{where} is {value!r}, expected a list"
            return
        for number, one in enumerate(value):
            yield from _check(described["items"], one, f"{where}[{number}]")
    elif kind != "any" and not _fits(described, value):
        wanted = f"{kind} {described.get('format', '')}".strip()
        yield f"{where} is {value!r}, expected {wanted}"
    elif "enum" in described and value not in described["enum"]:
        yield f"{where} is {value!r}, expected one of {', '.join(described['enum'])}"


def _check_object(described: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is {value!r}, expected an object"
        return
    properties = described.get("properties", {})
    more = described.get("additionalProperties")
    for name, one in value.items():
        if name in properties:
            yield from _check(properties[name], one, f"{where}.{name}")
        elif more:
            yield from _check(more, one, f"{where}.{name}")
        else:
            yield f"{where}.{name} is no field of it"


def _fits(described: Mapping[str, Any], value: Any) -> bool:
    kind, format_ = described.get("type"), described.get("format")
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if format_ in ("int64", "uint64"):  # JSON numbers are accepted where they are exact
        exact = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        return exact or (isinstance(value, str) and bool(INT64.fullmatch(value)))
    return isinstance(value, str)
