"""The read-out of an experiment: what page and letter say follows from the rows, and bad text cannot break them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from recsys.reports.experiment import (
    ReadOut,
    read,
    render_letter,
    render_list,
    render_markdown,
    render_message,
    render_page,
)
from recsys.reports.experiment.answers import answers
from recsys.reports.experiment.lift import interval_bar, lift_chart
from recsys.reports.experiment.page import tone_of
from recsys.reports.experiment.words import measure, measures, p_value, percent, plain
from tests.reports import planted

NOTHING = {"results": planted.results().iloc[:0], "checks": planted.checks().iloc[:0]}
VOID = {"meta", "br", "line", "circle", "path", "rect", "polyline", "polygon", "link", "input"}


def read_out(**changes: Any) -> ReadOut:
    return read(planted.evidence(**changes))


def short(one: ReadOut) -> list[str]:
    return [answer.short.replace("\u00a0", " ") for answer in answers(one)]


class Outline(HTMLParser):
    """Elements in order; fails where one is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]


def test_four_answers_follow_from_the_rows() -> None:
    one = read_out()
    assert short(one) == [
        "Not known yet: +5.5 % so far",  # the interval that holds at every look contains nought
        "95 % interval: −0.00596 to +0.0635 EUR",
        "1 warning, nothing that blocks",
        "Continue",
    ]
    assert "One more weekend" in answers(one)[3].long  # a person's reason


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.05, "Yes: +5.5 % revenue per user"), (-0.05, -0.01, "No:"), (-0.1, 0.1, "Not known yet")],
)
def test_a_sequential_design_answers_by_its_bounds(low: float, high: float, says: str) -> None:
    rows = planted.results()
    rows.loc[rows["arm"] != "popularity", ["bound_low", "bound_high"]] = [low, high]
    assert short(read_out(results=rows))[0].startswith(says)


def test_a_fixed_design_says_yes_only_at_its_end() -> None:
    rows = planted.results()
    running = planted.definition(design={"kind": "fixed"})
    ended = planted.definition(design={"kind": "fixed"}, end=planted.LAST)
    assert short(read_out(results=rows, definition=running))[0] == "Not to be decided yet: +5.5 % so far"
    assert short(read_out(results=rows, definition=ended))[0] == "Yes: +5.5 % revenue per user"


FIXED_ENDED = planted.definition(design={"kind": "fixed"}, end=planted.LAST)


@pytest.mark.parametrize(
    ("adjusted", "says", "tone"), [(0.04, "Yes", "good"), (0.08, "Not known yet", "calm")]
)
def test_a_fixed_design_with_several_arms_answers_by_the_adjusted_p(
    adjusted: float, says: str, tone: str
) -> None:
    rows = planted.results()
    rows.loc[rows["arm"] != "popularity", ["p_value", "p_adjusted"]] = [0.04, adjusted]
    one = read_out(results=rows, definition=FIXED_ENDED)
    assert short(one)[0] == f"{says}: +5.5 % " + ("revenue per user" if says == "Yes" else "so far")
    assert [answer.tone for answer in answers(one)][:2] == [tone, tone]
    assert tone_of(one.primary[0], one) == tone
    assert f"adjusted for 2 arms p is {adjusted:.4f}" in answers(one)[1].long
    for told in (render_letter(one), render_markdown(one)):
        assert ("Yes: +5.5" in told) == (says == "Yes")


def test_no_is_said_of_an_experiment_only_where_every_arm_loses() -> None:
    rows = planted.results()
    rows.loc[rows["arm"] == "hybrid", ["bound_low", "bound_high"]] = [-0.05, -0.01]
    assert short(read_out(results=rows))[0].startswith("Not known yet")
    rows.loc[rows["arm"] == "hybrid_bold", ["bound_low", "bound_high"]] = [-0.09, -0.01]
    assert short(read_out(results=rows))[0].startswith("No:")


def test_what_comes_late_says_nothing_of_a_fixed_design() -> None:
    end = planted.LAST - timedelta(days=1)
    ended = planted.definition(design={"kind": "fixed"}, end=end)
    rows = planted.results()
    at_end = (rows["ds"] == end) & (rows["arm"] != "popularity")
    rows.loc[at_end, ["p_value", "p_adjusted"]] = [0.2, 0.4]
    one = read_out(results=rows, definition=ended)
    assert short(one)[0].startswith("Not known yet")
    assert [tone_of(lift, one) for lift in one.primary] == ["calm", "calm"]
    newest = read_out(results=rows[rows["ds"] == planted.LAST], definition=ended)
    assert newest.says == "unclear", "the day that decides is not there"


def test_a_bound_that_was_crossed_before_is_told() -> None:
    one = read_out(decisions=planted.decisions().iloc[:2])
    assert short(one)[0] == "Shown at an earlier look: +5.5 % so far"


def test_less_is_better_where_the_metric_says_so() -> None:
    changes = {"direction": "down", "bound_low": -0.05, "bound_high": -0.01}
    (lift,) = read_out(results=pd.DataFrame([planted.row("rpu", "hybrid", 13, **changes)])).primary
    assert lift.says == "better"


def test_what_is_not_there_has_no_column_and_units_have_their_name() -> None:
    rows = planted.results().assign(cuped_difference=None, cuped_low=None, cuped_high=None)
    plain, full = render_page(read_out(results=rows)), render_page(read_out())
    assert "Not adjusted" not in plain
    assert full.count('data-label="Not adjusted"') == 8
    arms = {name: {"weight": 0.5} for name in ("popularity", "hybrid")}
    sellers = planted.definition(unit="seller", arms=arms)
    assert 'data-label="Sellers"' in render_page(read_out(definition=sellers))
    assert 'data-label="Users"' in full


def test_a_broken_experiment_shows_no_lift() -> None:
    one = read_out(results=planted.results(is_valid=False))
    assert short(one)[:2] == ["No number may be believed", "Not at all"]
    page = render_page(one)
    assert "Not drawn" in page
    assert 'class="lift"' not in page
    assert "+5.5" not in render_list([one], "here") + render_letter(one) + render_markdown(one)
    visible = re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)
    assert "+5.5" in page
    assert "+5.5" not in visible
    assert "Holds" not in visible


def test_a_check_that_blocks_comes_first() -> None:
    rows = planted.checks()
    rows.loc[rows["check_id"] == "missing_days", "success"] = False
    one = read_out(checks=rows)
    assert short(one)[:3] == ["No number may be believed", "Not at all", "Blocked: Missing days"]
    assert "A check blocks: Missing days." in render_page(one)
    assert one.checks[0].name == "missing_days"


def test_what_was_not_checked_has_neither_passed_nor_failed() -> None:
    rows = planted.checks().iloc[[0]]
    unasked = rows.assign(check_id="pre_period", success=False, blocks=False, observed="not checked")
    one = read_out(checks=pd.concat([rows, unasked.assign(message="Declare covariate_days.")]))
    assert [(check.name, check.result, check.tone) for check in one.checks] == [
        ("pre_period", "Not checked", "quiet"),
        ("sample_ratio", "Passed", "good"),
    ]
    assert short(one)[2] == "Nothing found, not all checked"
    assert "Checks passed: 1; not made: 1. Declare covariate_days." in answers(one)[2].long
    assert ">Not checked<" in render_page(one)
    assert "passed, 1 not checked" in render_list([one], "here")
    assert "(not checked): Declare" in render_markdown(one)
    assert "(not checked): Declare" in render_letter(one)
    warned = read_out(checks=pd.concat([planted.checks(), unasked]))
    assert short(warned)[2] == "1 warning, nothing that blocks"


def test_what_was_declared_first_is_no_figure_of_a_check() -> None:
    rows = planted.checks().iloc[[0]].assign(check_id="definition", observed='{"alpha": "0.05"}')
    assert read_out(checks=rows).checks[0].observed is None


def test_parts_that_passed_make_one_row_and_one_that_failed_its_own() -> None:
    rows = pd.concat(
        [planted.checks(), planted.checks().iloc[[1]].assign(segment_value="south", p_value=0.2)]
    )
    by_region = [check for check in read_out(checks=rows).checks if check.about]
    assert [(check.about, check.p_value) for check in by_region] == [("by region", 0.012)]
    rows.loc[rows["segment_value"] == "south", "success"] = False
    by_region = [check for check in read_out(checks=rows).checks if check.about]
    assert [(check.about, check.success) for check in by_region] == [
        ("region south", False),
        ("by region", True),
    ]


def test_the_warning_of_interference_stands_beside_money() -> None:
    one = read_out()
    assert [one.overstated(lift) for lift in (*one.primary, *one.others)] == [True] * 2 + [False] * 4 + [
        True
    ] * 2
    assert render_page(one).count(">may be overstated<") == 4
    assert "Beside it: planted_clusters, split by cluster" in render_page(one)
    assert "Revenue per user (may be overstated)" in render_letter(one)
    guarded = read_out(definition=planted.definition(guardrails={"rpu": 0.1, "cancel_rate": 0.1}))
    for letter in (render_letter(guarded), render_markdown(guarded)):
        of_guardrails = letter[letter.index("Guardrails") : letter.index("Checks")]
        assert of_guardrails.count("Revenue per user (may be overstated)") == 2
        assert "Cancel rate (may" not in of_guardrails
    calm = planted.checks().assign(success=True)
    assert "overstated" not in render_page(read_out(checks=calm)) + render_markdown(read_out(checks=calm))


def test_the_decision_that_stands_is_a_persons_until_withdrawn() -> None:
    assert read_out().verdict == "continue"
    withdrawn = planted.decisions().iloc[[0, 1, 2, 2]].reset_index(drop=True)
    withdrawn.loc[3, ["revision", "rule"]] = [4, "withdrawn"]
    one = read_out(decisions=withdrawn)
    assert one.verdict == "ship"
    assert [decision.revision for decision in one.decisions] == [4, 3, 2, 1]


def test_a_long_log_is_folded_and_whole() -> None:
    many = pd.concat([planted.decisions().iloc[[0]].assign(revision=n) for n in range(1, 16)])
    page = render_page(read_out(decisions=many))
    assert page.count("revision ") == 15
    assert "5 earlier decisions" in page
    assert page.count(", stands") == 1
    Outline(page)


@pytest.mark.parametrize(("margin", "state"), [(0.1, "holds"), (0.001, "open")])
def test_a_guardrail_is_held_against_its_margin(margin: float, state: str) -> None:
    one = read_out(definition=planted.definition(guardrails={"cancel_rate": margin}))
    assert [lift.guarded for lift in one.guardrails] == [state, state]


def test_a_metric_may_be_a_guardrail_and_more() -> None:
    one = read_out(definition=planted.definition(guardrails={"conversion": 0.05, "rpu": 0.02}))
    assert {lift.metric for lift in one.guardrails} == {"conversion", "rpu", "cancel_rate"}
    assert {lift.metric for lift in one.others} == {"conversion", "ctr", "aov"}
    assert {lift.guarded for lift in one.guardrails if lift.metric == "cancel_rate"} == {None}


def test_arms_are_those_of_the_definition_with_their_shares() -> None:
    one = read_out()
    assert [(arm.name, arm.weight, arm.is_control) for arm in one.arms] == [
        ("popularity", 0.4, True),
        ("hybrid", 0.4, False),
        ("hybrid_bold", 0.2, False),
    ]
    assert sum(arm.share or 0 for arm in one.arms) == pytest.approx(1)
    assert [arm.share for arm in read_out(**NOTHING).arms] == [None, None, None]


@pytest.mark.parametrize(
    ("day", "definition", "state"),
    [
        (date(2026, 1, 31), planted.definition(), "planned"),
        (planted.START, planted.definition(), "running"),
        (date(2026, 2, 28), planted.definition(), "ended"),
        (planted.LAST, planted.definition(end=None), "running"),
        (planted.LAST, None, "undefined"),
    ],
)
def test_the_state_is_that_of_the_day(day: date, definition: Any, state: str) -> None:
    assert read_out(day=day, definition=definition).state == state


def test_pages_are_balanced_and_escape_what_tables_hold() -> None:
    pages = [
        render_page(read_out()),
        render_page(read_out(**NOTHING, decisions=planted.decisions().iloc[:0])),
        render_page(read_out(definition=None)),
        render_list([read_out(), read_out(definition=None, experiment_id="a b?<c>")], "here"),
        render_list([], "include/experiments"),
        render_letter(read_out()),
        render_message("Not <found>", "No & no", link=("/x", "There")),
    ]
    for page in pages:
        Outline(page)
        assert "<i>west" not in page
        assert "<b>owner" not in page
        assert "http://" not in page.replace("http://www.w3.org", "")
        assert "<script" not in page
    assert 'href="a%20b%3F%3Cc%3E/"' in pages[3]


def test_a_page_can_be_read_by_ear() -> None:
    outline = Outline(render_page(read_out()))
    ids = [attrs["id"] for _, attrs in outline.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    for section in outline.of("section"):
        assert section["aria-labelledby"] in ids
    for link in outline.of("a"):
        assert link["href"] and (not link["href"].startswith("#") or link["href"][1:] in ids)
    for drawing in outline.of("svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
    assert outline.of("label") == [{"for": "ds"}]
    assert [attrs["role"] for attrs in outline.of("th")] and all(attrs["scope"] for attrs in outline.of("th"))
    levels = [int(tag[1]) for tag, _ in outline.seen if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_the_chart_holds_every_day_of_every_arm_and_its_bounds() -> None:
    one = read_out()
    drawn = lift_chart(one.history, "EUR")
    assert drawn.count("<circle") == 28
    assert drawn.count('class="bound a"') == drawn.count('class="bound b"') == 2
    assert "14 days" in drawn
    assert drawn.count(" Feb</text>") == 7
    assert lift_chart(read_out(results=planted.results(1)).history, "EUR").count("<circle") == 2
    assert "nothing to draw" in lift_chart([], "EUR")


def test_the_axis_suits_the_later_days_and_gaps_stay_gaps() -> None:
    rows = planted.results(12)
    early = rows["ds"] == planted.START
    rows.loc[early & rows["cuped_low"].notna(), ["cuped_low", "cuped_high"]] = [-900.0, 900.0]
    assert "900" not in lift_chart(read_out(results=rows).history, "EUR").partition("<title>")[0]
    with_gap = rows[~rows["ds"].isin([planted.START + timedelta(days=n) for n in range(3, 8)])]
    across = [
        float(x) for x in re.findall(r'cx="([\d.]+)"', lift_chart(read_out(results=with_gap).history, ""))[:7]
    ]
    steps = [later - earlier for earlier, later in pairwise(across)]
    assert max(steps) == pytest.approx(6 * min(steps), abs=0.7)


def test_a_bar_stays_inside_its_box() -> None:
    (lift, *_) = read_out().primary
    assert lift.relative
    assert interval_bar(None, 1.0, "good") == ""
    for far in (0.001, 1.0):
        bar = interval_bar(lift.relative, far, "good", width=100)
        ends = [float(text.split('"')[1]) for text in bar.split("x1=")[1:]]
        assert all(0 <= end <= 100 for end in ends)


def test_markdown_cannot_be_broken_by_text() -> None:
    rows = planted.checks()
    rows.loc[rows["check_id"] == "interference", "message"] = "a | b\n# c <script> *d* [e](f)"
    text = render_markdown(read_out(checks=rows))
    assert r"a \| b \# c \<script\> \*d\* \[e\](f)" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in tables if "Revenue" in line}) == 1
    assert text.startswith("# planted\\_lists: Continue\n\n")


@pytest.mark.parametrize(
    ("kind", "shown", "left_out"),
    [
        (
            "always_valid",
            (
                "−0.00596 to +0.0635\u00a0EUR",
                "−4.5\u00a0% to +8.9\u00a0%",
                "At every look",
                "looks more than once",
            ),
            ("+1.1\u00a0% to +10.0\u00a0%",),
        ),
        ("fixed", ("+1.1\u00a0% to +10.0\u00a0%", "Interval"), ("At every look", "looks more than once")),
    ],
)
def test_a_letter_of_a_design_that_looks_often_has_what_holds_at_every_look(
    kind: str, shown: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    one = read_out(definition=planted.definition(design={"kind": kind}))
    for text in (render_letter(one), render_markdown(one)):
        figures = text[text.index("Arm's value" if "Arm's value" in text else "Arm&#39;s value") :]
        assert [figure for figure in shown if figure not in figures] == []
        assert [figure for figure in left_out if figure in figures] == []
        assert ("0.0024" in text) == ("p-value</th>" in text or "| p-value |" in text) == (kind == "fixed")


def test_a_page_says_what_a_p_value_of_a_design_that_looks_often_is() -> None:
    often, once = (
        render_page(read_out(definition=planted.definition(design={"kind": kind})))
        for kind in ("always_valid", "fixed")
    )
    assert "p, one look" in often
    assert "looks more than once" in often
    assert "p, one look" not in once
    assert "looks more than once" not in once


def test_a_letter_has_the_figures_of_the_page() -> None:
    one = read_out(definition=planted.definition(design={"kind": "fixed"}))
    letter, page = render_letter(one), render_page(one)
    for figure in ("0.5460\u00a0EUR", "+5.5\u00a0%", "+1.1\u00a0% to +10.0\u00a0%", "One more weekend"):
        assert figure in letter
        assert figure in page
    assert "<style" not in letter
    assert "<svg" not in letter


def test_figures_in_words() -> None:
    (lift, *_) = read_out().primary
    assert measure(0.52, lift, "EUR") == "0.5200\u00a0EUR"
    assert measures(lift.effect, lift, "EUR") == "+0.00562 to +0.0519\u00a0EUR"
    share = next(one for one in read_out().others if one.metric == "conversion")
    assert measure(0.081, share, "") == "8.10\u00a0%"
    assert measure(-0.0021, share, "", sign=True) == "−0.210\u00a0pp"
    assert [plain(x) for x in (0, 1234567.8, -0.5, 3e-7, None)] == [
        "0",
        "1,234,568",
        "−0.5000",
        "3.00×10^−7",
        "–",
    ]
    assert [percent(x, sign=False) for x in (0.5, None)] == ["50.0\u00a0%", "–"]
    assert [percent(x)[:4] for x in (0.0, -0.0001, 0.0004, 0.001)] == [
        "0.0\u00a0",
        "0.0\u00a0",
        "0.0\u00a0",
        "+0.1",
    ]
    assert [p_value(x) for x in (0.0, 0.0123, 0.5, None)] == ["< 0.0001", "0.0123", "0.50", "–"]
