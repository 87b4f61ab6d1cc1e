"""SQL injection, tried through everything a person or a file can put in: nothing reaches SQL as code.

Values come back as the values they were; names are refused unless a contract knows them. tests/bigquery and
tests/dags hold the same for the statements sent to BigQuery and for DAG runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recsys import schema
from recsys.errors import ContractError, RecsysError, SettingsError, SqlError, WarehouseError
from recsys.experiments.assignment import assign
from recsys.experiments.definition import load_experiments
from recsys.jobs import build, check, forget
from recsys.jobs.assign import TABLE
from recsys.settings import Settings, parse_ds
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.erasure import FORGOTTEN

DAY = date(2026, 1, 5)
NOON = pd.Timestamp("2026-01-05 12:00", tz="UTC")
FRAGMENTS = (
    "'; DROP TABLE staging.users; --",
    "' OR '1'='1",
    '" OR ""="',
    "`; DELETE FROM `x`.`y`; --",
    "\\'; COPY (SELECT 1) TO '/tmp/taken'; --",
    "x' UNION ALL SELECT user_id FROM marketplace.users --",
    "{{ dag_run.conf }} {% raw %}",
    "{user} {0} %s %(user)s $1 $user @user @@x ?",
    "*/ ERROR('x') /*",
    "'''\"\"\"",
    "$$; ATTACH 'x' AS y; $$",
    "\n-- \r\n; SELECT 1",
    "É'日本\u2028\ufeff",
    "r'\\x27' b'\\' || '",
)
HOSTILE = (
    st.lists(
        st.one_of(
            st.sampled_from(FRAGMENTS),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        ),
        min_size=1,
        max_size=3,
    )
    .map("".join)
    .filter(lambda text: bool(text.strip()) and text != FORGOTTEN)
)
FEW = hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("w") / "warehouse"))
    with open_warehouse(settings) as opened:
        yield opened


def frame(table: str, **values: object) -> pa.Table:
    """One row of a table; what is not given has a plain value."""
    plain = {
        "STRING": "x",
        "INT64": 1,
        "FLOAT64": 0.5,
        "NUMERIC": 1,
        "BOOL": True,
        "DATE": DAY,
        "TIMESTAMP": NOON,
    }
    row = {c.name: plain[c.type] for c in schema.table(table).columns} | values
    return pd.DataFrame([row])


def put(warehouse: Warehouse, user: str) -> None:
    """The sources of a day on which ``user`` looked at a listing of theirs, every text of it as hostile as the id."""
    warehouse.write("marketplace.users", frame("marketplace.users", user_id=user, region=user))
    warehouse.write("marketplace.sellers", frame("marketplace.sellers", seller_id=user))
    warehouse.write(
        "marketplace.item_category", frame("marketplace.item_category", parent_id=None, name=user)
    )
    listing = {"item_id": user, "seller_id": user, "title": user, "brand": user, "closed_at": None}
    listing |= {"listed_at": NOON - pd.Timedelta(days=2), "auction_ends_at": None}
    warehouse.write("marketplace.items", frame("marketplace.items", **listing))
    event = {"event_id": user, "user_id": user, "item_id": user, "seller_id": user, "query": user}
    event |= {"session_id": user, "event_type": "search", "surface": user, "device": user, "request_id": user}
    warehouse.write("marketplace.events", frame("marketplace.events", **event), DAY)


@FEW
@given(HOSTILE)
@example("'; DROP TABLE staging.users; --")
def test_ids_and_texts_come_through_every_statement_as_they_were(warehouse: Warehouse, text: str) -> None:
    put(warehouse, text)
    for table in ("item_category", "items", "users", "sellers", "arrivals", "events", "user_item_daily"):
        warehouse.build(f"staging.{table}", DAY, refresh=True)
    warehouse.build("staging.search_daily", DAY)
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == [text]
    assert warehouse.read("staging.items", DAY)["title"].tolist() == [text]
    event = warehouse.read("staging.events", DAY).iloc[0]
    assert [event[n] for n in ("event_id", "user_id", "item_id", "query", "request_id")] == [text] * 5
    found = warehouse.query(
        "SELECT @text AS text, user_id FROM staging.users WHERE ds = @ds AND user_id = @text AND region IN UNNEST(@more)",
        {"text": text, "more": [text]},
        ds=DAY,
    )
    assert found.to_pylist() == [{"text": text, "user_id": text}]


@FEW
@given(HOSTILE)
def test_what_a_check_says_of_a_hostile_id_is_text(warehouse: Warehouse, text: str) -> None:
    put(warehouse, text)
    broken = frame(
        "marketplace.events", event_id=text, user_id="nobody", event_type=text, amount=-1, item_id=text
    )
    warehouse.write("marketplace.events", broken, DAY)
    with pytest.raises(RecsysError):
        check.run(warehouse.settings, DAY, stage="manual", tables=["marketplace.events"])
    said = warehouse.read(check.RESULTS, DAY)
    assert any(repr(text[:120]) in message for message in said["message"])
    kept = check.validations_dir(warehouse.settings) / str(DAY) / "marketplace.events.json"
    json.loads(kept.read_text(encoding="utf-8"))


@FEW
@given(HOSTILE)
def test_forgetting_a_hostile_id_forgets_that_one(warehouse: Warehouse, text: str) -> None:
    assume(not text.isalnum())  # a plain word, like true, may stand in what a check says of other things
    put(warehouse, text)
    both = pd.concat(
        [frame("marketplace.users", user_id=text), frame("marketplace.users", user_id="someone")]
    )
    warehouse.write("marketplace.users", both)
    forget.run(warehouse.settings, text, at=datetime(2026, 2, 1, tzinfo=UTC))
    assert warehouse.read("marketplace.users")["user_id"].tolist() == ["someone"]
    items = warehouse.read("marketplace.items")
    assert items["seller_id"].tolist() == [FORGOTTEN]
    assert items["title"].isna().all()
    assert warehouse.read("marketplace.events", DAY).empty


@FEW
@given(HOSTILE)
@example("/")
@example("..")
def test_every_name_has_to_be_one_that_a_contract_knows(warehouse: Warehouse, text: str) -> None:
    settings = warehouse.settings
    for name in (text, f"staging.{text}", f"{text}.users", f"staging.users{text}"):
        for use in (
            warehouse.exists,
            warehouse.partitions,
            warehouse.spec,
            lambda n: warehouse.read(n, DAY),
            lambda n: warehouse.drop(n, DAY),
            lambda n: warehouse.build(n, DAY),
            lambda n: build.history(settings, DAY, DAY, [n]),
            lambda n: check.run(settings, DAY, tables=[n]),
        ):
            with pytest.raises((ContractError, SqlError)):
                use(name)
    with pytest.raises(ContractError):
        warehouse.read("marketplace.users", columns=[text])
    with pytest.raises(WarehouseError):
        warehouse.write("scoring.lists", frame("scoring.lists"), DAY, part=f"'{text}")
    with pytest.raises(SettingsError):
        parse_ds(f"2026-01-05{text}")


@FEW
@given(HOSTILE)
def test_an_experiments_fields_are_values(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("home") / "include" / "experiments"
    folder.mkdir(parents=True)
    definition = {
        "id": "e",
        "hypothesis": text,
        "unit": "user",
        "salt": text,
        "start": DAY,
        "control": text,
        "arms": {
            text: {"policy": "popularity", "weight": 0.5},
            f"{text}b": {"policy": "hybrid", "weight": 0.5},
        },
    }
    (folder / "e.yaml").write_text(yaml.safe_dump(definition, allow_unicode=True), encoding="utf-8")
    try:
        (experiment,) = load_experiments(folder)
    except RecsysError:
        return  # YAML has no such character
    assume(experiment.salt == text)  # YAML folds some line ends, as U+0085, into spaces
    arms, buckets = assign(experiment, [text, "u2"])
    settings = Settings.load({}, warehouse=str(folder.parents[1] / "w"))
    with open_warehouse(settings) as warehouse:
        rows = {"experiment_id": experiment.id, "unit_id": [text, "u2"], "arm": arms, "policy": "hybrid"}
        more = {"bucket": buckets, "started_on": DAY, "ds": DAY, "first_assigned_on": DAY, "unit": "user"}
        warehouse.write(TABLE, pd.DataFrame({**rows, **more}), DAY)
        found = warehouse.query(
            "SELECT arm FROM experiments.assignments WHERE ds = @ds AND experiment_id = 'e' AND unit_id = @id",
            {"id": text},
            ds=DAY,
        )
    assert found.column("arm").to_pylist() == [arms[0]]


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Settings)])
@pytest.mark.parametrize("text", FRAGMENTS[:5])
def test_a_setting_is_refused_or_a_value(tmp_path: Path, name: str, text: str) -> None:
    """No setting is ever pasted into a text; those that name a place or a size are read, not run."""
    try:
        settings = Settings.load({f"RECSYS_{name.upper()}": text})
    except SettingsError:
        return
    if name in ("warehouse", "files", "home"):
        settings = dataclasses.replace(settings, **{name: str(tmp_path / text.replace("/", "_"))})
    if name != "warehouse":
        settings = dataclasses.replace(settings, warehouse=str(tmp_path / "w"))
    if name == "memory":
        with pytest.raises(SettingsError, match="RECSYS_MEMORY"):
            open_warehouse(settings).query("SELECT 1 AS one")
        return
    with open_warehouse(settings) as warehouse:
        warehouse.write("marketplace.users", frame("marketplace.users"))
        given_ = {f.name: getattr(settings, f.name) for f in dataclasses.fields(Settings)}
        found = warehouse.query(f"SELECT @{name} AS given, user_id FROM marketplace.users", given_)
    assert found.to_pylist() == [{"given": getattr(settings, name), "user_id": "x"}]


@pytest.mark.parametrize("text", FRAGMENTS)
def test_an_address_with_more_than_a_project_and_a_prefix_is_refused(text: str) -> None:
    for url in (f"bigquery://my-project/{text}", f"bigquery://my-project{text}/x", f"bigquery://{text}"):
        with pytest.raises(SettingsError, match=r"bigquery://PROJECT/PREFIX|RECSYS_FILES"):
            open_warehouse(Settings.load({}, warehouse=url))


@pytest.mark.parametrize(
    "name",
    [
        "it's",
        'a"b',
        "x;DROP TABLE y--",
        "a*b",
        "a?b",
        "a[bc]d",
        "[*]",
        "{a,b}",
        "**",
        "%s",
        "@ds",
        "{{ ds }}",
        "$x",
    ],
)
def test_a_folder_may_be_called_anything_and_no_other_is_read(tmp_path: Path, name: str) -> None:
    for folder, user in ((name, "mine"), ("axb", "theirs"), ("abd", "theirs"), ("other", "theirs")):
        with open_warehouse(Settings.load({}, warehouse=str(tmp_path / folder))) as opened:
            opened.write("marketplace.users", frame("marketplace.users", user_id=user))
    with open_warehouse(Settings.load({}, warehouse=str(tmp_path / name))) as opened:
        assert opened.query("SELECT user_id FROM marketplace.users").to_pylist() == [{"user_id": "mine"}]
        assert opened.read("marketplace.users")["user_id"].tolist() == ["mine"]
        forget.run(opened.settings, "theirs", at=datetime(2026, 2, 1, tzinfo=UTC))
        assert opened.read("marketplace.users")["user_id"].tolist() == ["mine"]
