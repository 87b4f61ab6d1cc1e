"""A person who asks to be forgotten is in no file afterwards, and nobody else has changed."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recsys import schema
from recsys.cli import app
from recsys.errors import ContractError, ModelError, WarehouseError
from recsys.features.interactions import Interactions
from recsys.jobs import assign, build, check, forget, plan_shards, report, score, simulate, train
from recsys.jobs.traces import forget_history
from recsys.models import OwnHistory, load_model, store
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.eraser import Erased, LocalEraser
from recsys.warehouse.erasure import FORGOTTEN, Rule, pattern, rules
from tests.sql.fixture import complete, put

FIRST, DAYS, FEATURE_DAYS = date(2026, 1, 1), 16, 9
DS = FIRST + timedelta(days=DAYS - 1)
AT = datetime(2026, 2, 1, 12, tzinfo=UTC)
RECEIPT = "0123456789abcdef0123456789abcdef"


def prints(settings: Settings) -> dict[str, str]:
    root = Path(settings.warehouse)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in ("_spill", "_forgotten")
    }


def decoded(path: Path) -> Iterator[str]:
    """Every text a file holds, whatever its form."""
    if path.suffix == ".parquet":
        for column in pq.read_table(path).columns:
            if column.type == "string":
                yield from (value for value in column.unique().to_pylist() if value)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if arrays[name].dtype.kind == "U":
                    yield from arrays[name].ravel().tolist()
    else:
        yield html.unescape(path.read_bytes().decode("utf-8", errors="replace"))


def files_naming(settings: Settings, user: str) -> list[str]:
    root = Path(settings.warehouse)
    word = re.compile(rf"(?<![0-9A-Za-z]){re.escape(user)}(?![0-9A-Za-z])")
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(root).parts[0] not in ("_synthetic", "_spill")
        and any(word.search(text) for text in decoded(path))
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small marketplace with everything the project writes: features, a champion, lists, checks, docs, a report."""
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("market") / "warehouse"), shards=2)
    simulate.history(settings, FIRST, DAYS, size="small")
    build.history(settings, FIRST, DS, ["staging"])
    build.history(settings, DS - timedelta(days=FEATURE_DAYS - 1), DS, ["features"])
    train.run(settings, DS)
    assign.run(settings, DS)
    units = pd.DataFrame({"unit_id": [person(settings)], "arm": "a", "experiment_id": "e"})
    with open_warehouse(settings) as warehouse:
        for name, more in {
            "experiments.assignments": {
                "policy": "hybrid",
                "bucket": 1,
                "started_on": DS,
                "first_assigned_on": DS,
                "unit": "user",
            },
            "experiments.exposures": {"first_exposed_at": pd.Timestamp(DS, tz="UTC"), "impressions": 1},
        }.items():
            warehouse.write(name, units.assign(**more, ds=DS), DS)
    for options in plan_shards.run(settings, DS)["shards"]:  # type: ignore[attr-defined]
        score.run(settings, DS, **options)
    build.run(settings, DS, table="marts.recommendations")
    build.run(settings, DS, table="experiments.unit_daily")
    advertise(settings, person(settings))
    check.run(settings, DS, "features")
    check.run(settings, DS, "lists")
    plant(settings, person(settings))
    return settings


def person(settings: Settings) -> str:
    """Someone who buys and sells, gets a list, and whose open listings others are shown."""
    with open_warehouse(settings) as warehouse:
        found = warehouse.query(
            """SELECT orders.user_id
            FROM features.user_daily AS orders
            JOIN features.seller_daily AS sells ON sells.seller_id = orders.user_id AND sells.ds = @ds
            WHERE orders.ds = @ds AND orders.purchases_90d > 0 AND sells.live_listings > 0
            ORDER BY sells.live_listings DESC, orders.purchases_90d DESC, orders.user_id LIMIT 1""",
            ds=DS,
        )
    return str(found.column("user_id")[0])


def advertise(settings: Settings, user: str) -> None:
    """A campaign of theirs as features know it, what was proposed to them, and their totals in an experiment."""
    with open_warehouse(settings) as warehouse:
        for table in ("features.campaign_history", "scoring.keyword_lists"):
            row = complete(table, {"campaign_id": "c1", "item_id": "i1", "seller_id": user}, DS)
            put(
                warehouse,
                table,
                [row, row | {"seller_id": "someone", "item_id": "i2", "campaign_id": "c2"}],
                DS,
            )
        if not warehouse.exists("experiments.assignments", DS):
            put(warehouse, "experiments.assignments", [], DS)
        warehouse.build("marts.keyword_recommendations", DS)
        for name in ("experiments.unit_totals", "scoring.seller_lists", "marts.seller_recommendations"):
            who = "unit_id" if name.startswith("experiments.") else "user_id"
            put(warehouse, name, [{who: one, "ds": DS} for one in (user, "somebody else")], DS)


def plant(settings: Settings, user: str) -> None:
    """What a broken rule leaves behind: an example in the results, in the kept validation and on its page."""
    with open_warehouse(settings) as warehouse:
        results = warehouse.read("monitoring.check_results", DS)
        results.loc[results.index[:2], "message"] = [
            f"Every user has one list: {n} rows; for example {user + ' / i1'!r}. Do this." for n in (7, 8)
        ]
        results.loc[results.index[2], "message"] = f"for example '{user}9'. This is someone else."
        warehouse.write("monitoring.check_results", results, DS, part="manual")
        (Path(settings.warehouse) / "monitoring/check_results" / f"ds={DS}.features.parquet").unlink()
        (Path(settings.warehouse) / "monitoring/check_results" / f"ds={DS}.lists.parquet").unlink()
    path = check.validations_dir(settings) / str(DS) / "scoring.lists.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["results"][0]["result"]["observed_value"] = f"{user} / i2"
    content["results"][0]["success"] = False
    path.write_text(json.dumps(content), encoding="utf-8")
    check.build_docs(settings)
    report.run(settings, DS)
    page = settings.files_dir / "_reports" / f"ds={DS}.html"
    page.write_text(
        page.read_text(encoding="utf-8").replace("</body>", f"<p>{user}</p></body>"), encoding="utf-8"
    )
    frame = pd.DataFrame({"user_id": [user, "someone", "zoe"], "item_id": ["a", "b", "a"]})
    model = OwnHistory().fit(
        Interactions.from_frame(frame, as_of=DS, segments={user: "north", "zoe": "south"})
    )
    model.save(settings.models_dir / "outer" / "own_history")
    store.seal(settings.models_dir / "outer", {"kept": "fact"})


@pytest.fixture
def copied(played: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(played.warehouse, tmp_path / "copy", ignore=shutil.ignore_patterns("_spill"))
    return replace(played, warehouse=str(tmp_path / "copy"))


def test_no_file_names_the_person_afterwards(copied: Settings) -> None:
    user = person(copied)
    named = files_naming(copied, user)
    tables = {name.rpartition("/")[0].replace("/", ".") for name in named if not name.startswith("_")}
    untouched = {"marketplace.campaign_keywords", "marketplace.campaign_daily"}
    assert {rule.table for rule in rules()} - tables <= untouched | {
        "staging.rejected_events",
        "marketplace.campaigns",
        "staging.campaigns",
    }
    assert {name.partition("/")[0] for name in named if name.startswith("_")} == {
        "_quality",
        "_reports",
        "_models",
    }
    told: list[str] = []
    done = forget.run(copied, user, at=AT, receipt=RECEIPT, tell=told.append)
    assert files_naming(copied, user) == []
    assert done["rows removed"] > 100  # type: ignore[operator]
    assert done["rows anonymised"] > 100  # type: ignore[operator]
    assert done["files"] >= 4  # type: ignore[operator]
    assert any(line.startswith("staging.items: 0 rows removed") for line in told)


def test_everybody_else_keeps_every_row(played: Settings, copied: Settings) -> None:
    user = person(copied)
    forget.run(copied, user, at=AT)
    with open_warehouse(played) as before, open_warehouse(copied) as after:
        for rule in rules():
            day = None if schema.table(rule.table).partition is None else DS
            if not before.exists(rule.table, day):
                continue
            then, now = before.read(rule.table, day), after.read(rule.table, day)
            owner = next((c for c in ("user_id", "unit_id") if c in then), None)
            own = then[owner] == user if owner else pd.Series(False, index=then.index)
            sells = then["seller_id"] == user if "seller_id" in then else pd.Series(False, index=then.index)
            if not rule.where:
                pd.testing.assert_frame_equal(then[~own & ~sells].reset_index(drop=True), now)
            elif "seller_id" in then:
                assert len(now) == (~own).sum()
                assert (now["seller_id"] == FORGOTTEN).sum() == (sells & ~own).sum()
                others = now[now["seller_id"] != FORGOTTEN].reset_index(drop=True)
                pd.testing.assert_frame_equal(then[~own & ~sells].reset_index(drop=True), others)


def test_listings_stay_without_their_seller_and_close_after_the_last_day(copied: Settings) -> None:
    user = person(copied)
    with open_warehouse(copied) as warehouse:
        before = warehouse.read("marketplace.items").set_index("item_id")
    forget.run(copied, user, at=AT)
    with open_warehouse(copied) as warehouse:
        items = warehouse.read("marketplace.items").set_index("item_id")
        shelf = warehouse.read("staging.items", DS).set_index("item_id")
    mine = items[items["seller_id"] == FORGOTTEN]
    assert set(mine.index) == set(before.index[before["seller_id"] == user])
    assert mine[["title", "description"]].isna().all().all()
    open_before = before.loc[mine.index, "closed_at"].isna()
    assert open_before.any()
    assert (mine.loc[open_before, "closed_at"] == pd.Timestamp(DS + timedelta(days=1), tz="UTC")).all()
    assert (mine.loc[open_before, "close_reason"] == "withdrawn").all()
    assert (mine.loc[~open_before, "closed_at"] == before.loc[mine.index, "closed_at"][~open_before]).all()
    assert shelf.loc[shelf["seller_id"] == FORGOTTEN, "title"].isna().all()
    check.run(copied, DS, "sources")


def test_what_is_built_again_is_the_same_bytes(copied: Settings) -> None:
    user = person(copied)
    forget.run(copied, user, at=AT)
    before = prints(copied)
    build.history(copied, FIRST, DS, ["staging"], refresh=False)
    assert prints(copied) == before
    with open_warehouse(copied) as warehouse:
        shelf = Path(warehouse.location("staging.items", DS))
        kept = shelf.read_bytes()
        warehouse.build("staging.items", DS, refresh=True)
        assert shelf.read_bytes() == kept


def test_with_rebuild_the_features_too(copied: Settings) -> None:
    user = person(copied)
    forget.run(copied, user, at=AT, rebuild=True)
    before = prints(copied)
    build.history(copied, DS - timedelta(days=FEATURE_DAYS - 1), DS, ["features"])
    assert prints(copied) == before
    assert files_naming(copied, user) == []


def test_the_totals_of_a_day_do_not_count_the_person_any_more(copied: Settings) -> None:
    user = person(copied)
    with open_warehouse(copied) as warehouse:
        day = LocalEraser(warehouse, user).active_days()[-1]  # type: ignore[arg-type]
        events = warehouse.read("staging.events", day)
        query = "only they would ask this"
        events.loc[events["user_id"] == user, "query"] = query
        warehouse.write("staging.events", events, day)
        warehouse.build("staging.search_daily", day)
        assert query in set(warehouse.read("staging.search_daily", day)["query"])
    forget.run(copied, user, at=AT)
    with open_warehouse(copied) as warehouse:
        assert query not in set(warehouse.read("staging.search_daily", day)["query"])


def test_a_dry_run_counts_and_writes_nothing(copied: Settings) -> None:
    user, before = person(copied), prints(copied)
    planned = forget.run(copied, user, at=AT, dry_run=True)
    assert prints(copied) == before
    assert not (Path(copied.warehouse) / "_forgotten").exists()
    done = forget.run(copied, user, at=AT)
    assert {k: planned[k] for k in ("rows removed", "rows anonymised")} == {
        k: done[k] for k in ("rows removed", "rows anonymised")
    }


def test_twice_is_once(copied: Settings) -> None:
    user = person(copied)
    forget.run(copied, user, at=AT, receipt=RECEIPT)
    before = prints(copied)
    again = forget.run(copied, user, at=AT, receipt=RECEIPT)
    assert (again["rows removed"], again["rows anonymised"], again["files"]) == (0, 0, 0)
    assert prints(copied) == before
    entry = json.loads(Path(str(again["proof"])).read_text(encoding="utf-8"))
    assert len(entry["runs"]) == 2
    assert entry["runs"][1]["tables"] == {}


@pytest.mark.parametrize("stop", [1, 12, 25])
def test_killed_anywhere_it_is_finished_by_running_it_again(
    copied: Settings, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    user = person(copied)
    whole = replace(copied, warehouse=str(Path(copied.warehouse).with_name("whole")))
    shutil.copytree(copied.warehouse, whole.warehouse, ignore=shutil.ignore_patterns("_spill"))
    forget.run(whole, user, at=AT)
    erase, seen = LocalEraser.erase, []

    def dies(self: LocalEraser, rule: Rule, dry_run: bool) -> Erased:
        seen.append(rule)
        if len(seen) == stop:
            raise KeyboardInterrupt
        return erase(self, rule, dry_run)

    with monkeypatch.context() as patched:
        patched.setattr(LocalEraser, "erase", dies)
        with pytest.raises(KeyboardInterrupt):
            forget.run(copied, user, at=AT)
    report_path = f"_reports/ds={DS}.html"
    forget.run(copied, user, at=AT)
    after = prints(copied)
    if report_path not in after:  # removed before the kill; a report is made again from tables
        report.run(copied, DS)
        after = prints(copied)
    docs = {name for name in after | prints(whole) if name.startswith("_quality/docs")}
    assert {n: d for n, d in after.items() if n not in docs} == {
        n: d for n, d in prints(whole).items() if n not in docs
    }
    assert files_naming(copied, user) == []


def test_the_entry_proves_it_to_who_holds_the_receipt_and_tells_nobody_else(copied: Settings) -> None:
    user = person(copied)
    done = forget.run(copied, user, at=AT, receipt=RECEIPT)
    path = Path(str(done["proof"]))
    assert path.name == hashlib.sha256(f"{RECEIPT}:{user}".encode()).hexdigest() + ".json"
    text = path.read_text(encoding="utf-8")
    (entry,) = json.loads(text)["runs"]
    assert entry["finished_at"] == "2026-02-01T12:00:00+00:00"
    assert entry["left"] == 0
    assert entry["rows removed"] == sum(removed for removed, _ in entry["tables"].values())
    assert user not in text and RECEIPT not in text
    assert hashlib.sha256(user.encode()).hexdigest() not in text
    other = forget.run(copied, user, at=AT)
    assert Path(str(other["proof"])) != path, "without the receipt nobody can tell that it is the same person"


def test_a_person_nobody_knows_leaves_everything_as_it_is(copied: Settings) -> None:
    before = prints(copied)
    done = forget.run(copied, "nobody-at-all", at=AT)
    assert (done["rows removed"], done["rows anonymised"], done["files"]) == (0, 0, 0)
    assert prints(copied) == before


@pytest.mark.parametrize("user", ["", "  ", FORGOTTEN, "a\0b"])
def test_an_id_that_can_be_nobodys_is_refused(played: Settings, user: str) -> None:
    with pytest.raises(ContractError, match="no id of a person"):
        forget.run(played, user, at=AT)


def test_a_file_that_nobody_knows_and_that_names_the_person_is_pointed_at(copied: Settings) -> None:
    user = person(copied)
    note = Path(copied.warehouse) / "notes.txt"
    note.write_text(f"ask {user} about it", encoding="utf-8")
    with pytest.raises(WarehouseError, match=r"notes\.txt still name the person.*run the same command again"):
        forget.run(copied, user, at=AT)
    assert not list(Path(copied.warehouse).glob("_forgotten/*.json"))
    note.unlink()
    forget.run(copied, user, at=AT)


def test_what_a_killed_writer_left_beside_a_file_goes_too(copied: Settings) -> None:
    user = person(copied)
    path = Path(copied.warehouse) / f"staging/users/ds={DS}.parquet"
    aside = path.with_name(f".ds=2031-01-01.parquet.{'host~1~2'}.0badcafe.tmp")
    from recsys.warehouse import files

    aside = aside.with_name(aside.name.replace("host~1~2", files.owner().rpartition("~")[0] + "~1"))
    shutil.copy(path, aside)
    forget.run(copied, user, at=AT)
    assert not aside.exists()


def test_a_history_is_taken_out_of_a_saved_model(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": ["a", "b", "b", "c"], "item_id": ["x", "x", "y", "y"]})
    model = OwnHistory().fit(
        Interactions.from_frame(frame, as_of=DS, segments={"a": "n", "b": "s", "c": "w"})
    )
    model.save(tmp_path / "outer" / "own_history", {"ds": str(DS)})
    store.seal(tmp_path / "outer", {"kept": "fact"})
    forget_history(tmp_path / "outer" / "own_history", "b", tmp_path)
    assert store.read_manifest(tmp_path / "outer")["kept"] == "fact"
    assert store.read_manifest(tmp_path / "outer" / "own_history")["ds"] == str(DS)
    left = load_model("own_history", tmp_path / "outer" / "own_history")
    assert left.history.user_ids.tolist() == ["a", "c"]
    expected = frame[frame["user_id"] != "b"]
    pd.testing.assert_frame_equal(left.recommend(["a", "b", "c"], 5), model.recommend(["a", "c"], 5))
    assert len(left.history.rows) == len(expected)
    assert left.history.segments is not None and left.history.segments.tolist() == ["n", "w"]
    (tmp_path / "outer" / "own_history" / store.ARRAYS).write_bytes(b"damaged")
    with pytest.raises(ModelError):
        store.read_manifest(tmp_path / "outer")


HOSTILE = [
    "o'brien",
    'say "hi"',
    "a\\b",
    "<b>&amp;</b>",
    "日本 語",
    "%s{0}$user@user",
    "u.*",
    "(",
    "x" * 300,
    "-1",
]


@pytest.mark.parametrize("user", HOSTILE)
@pytest.mark.parametrize(
    "written",
    [
        lambda u: f"for example {u + ' / i1'!r}. Do.",
        lambda u: f"for example {(u + ' / i1')[:120]!r}. Do.",
        lambda u: json.dumps({"observed": f"for example {u!r}"}),
        lambda u: json.dumps([u], ensure_ascii=False),
        lambda u: f"<td>{html.escape(f'for example {u!r}')}</td>",
        lambda u: f"<td>{html.escape(u).replace('&#x27;', '&#39;').replace('&quot;', '&#34;')}</td>",
    ],
)
def test_an_id_is_found_however_it_was_written(user: str, written) -> None:
    assert re.search(pattern(user), written(user))
    assert not re.search(pattern(user), written("someone else"))


def test_an_id_is_not_found_inside_another() -> None:
    assert not re.search(pattern("u12"), "for example 'u123 / i1', u1, xu12, u12a")


@pytest.mark.usefixtures("wide_console")
def test_the_command_prints_a_receipt_that_names_the_proof(copied: Settings) -> None:
    user = person(copied)
    dry = CliRunner().invoke(app, ["forget", "--user", user, "--dry-run", "--warehouse", copied.warehouse])
    assert dry.exit_code == 0 and "receipt" not in dry.output
    done = CliRunner().invoke(app, ["forget", "--user", user, "--warehouse", copied.warehouse])
    assert done.exit_code == 0, done.output
    (receipt,) = re.findall(r"receipt: ([0-9a-f]{32})", done.output)
    assert (Path(copied.warehouse) / "_forgotten" / f"{forget.proof(receipt, user)}.json").is_file()
    assert user not in done.output
