"""The bill of a day: what each task's queries read, its price, and how it grows; as values and printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

PRICE_PER_TIB = 6.25
"""US dollars per TiB read on demand, in the multi-regions EU and US; docs/cost.md says where it is from."""
TEBIBYTE = 2**40
GIGABYTE = 10**9
BUILD, CHECK, JOB = "build", "check", "job"
DAILY, WEEKLY = "daily", "weekly"


@dataclass(frozen=True)
class Cost:
    """Bytes that the queries of one task read in a day (weekly: in a run), and the most that one of them reads.

    ``read`` is what dry runs show: an upper bound, blind to clustering. ``pruned`` counts once what shards read by
    ranges of users. ``billed`` is that with 10 MiB at least for each table of a query. ``filled`` and ``doubled`` are
    ``read`` once the history is longer than every window, and once it is twice as long; None where they cannot be told.
    """

    task: str
    kind: str
    every: str
    queries: int
    read: int
    pruned: int
    largest: int
    billed: int
    filled: int | None = None
    doubled: int | None = None


@dataclass(frozen=True)
class Bill:
    """What a day costs. ``source`` says where the bytes are from; ``days`` is the length of the ``filled`` history."""

    ds: date
    source: str
    ceiling: int
    days: int | None
    monthly_users: int | None
    costs: tuple[Cost, ...]

    def total(self, field: str, every: str = DAILY, kind: str | None = None) -> int:
        """Sum of a field of the costs."""
        found = [c for c in self.costs if c.every == every and kind in (None, c.kind)]
        return sum(getattr(cost, field) or 0 for cost in found)

    @property
    def growth(self) -> float | None:
        """How much more a day reads when its history is twice as long: 0.05 for 5 %."""
        filled = self.total("filled")
        return self.total("doubled") / filled - 1 if filled else None


def price(size: int) -> float:
    """US dollars for bytes billed on demand."""
    return size / TEBIBYTE * PRICE_PER_TIB


def as_json(bill: Bill) -> dict[str, Any]:
    """Return the figures as plain values: bytes, dollars, shares."""
    read, users = bill.total("read"), bill.monthly_users
    return {
        "ds": str(bill.ds),
        "source": bill.source,
        "price_per_tib": PRICE_PER_TIB,
        "ceiling": bill.ceiling,
        "tasks": [asdict(cost) | {"price": price(cost.billed)} for cost in bill.costs],
        "daily": {
            "read": read,
            "pruned": bill.total("pruned"),
            "billed": bill.total("billed"),
            "price": price(bill.total("billed")),
            "by_kind": {kind: bill.total("read", kind=kind) for kind in (BUILD, CHECK, JOB)},
        },
        "weekly": {"read": bill.total("read", WEEKLY), "price": price(bill.total("billed", WEEKLY))},
        "history_days": bill.days,
        "filled": bill.total("filled") or None,
        "doubled": bill.total("doubled") or None,
        "growth": bill.growth,
        "monthly_users": users,
        "bytes_per_monthly_user": read / users if users else None,
        "pruned_per_monthly_user": bill.total("pruned") / users if users else None,
        "filled_per_monthly_user": bill.total("filled") / users if users and bill.days else None,
    }


def print_bill(bill: Bill, console: Console) -> None:
    """Print a row per task, the totals by kind, and how a day grows with the history."""
    for every in (DAILY, WEEKLY):
        grid = RichTable(title=f"{every} queries of {bill.ds}, by {bill.source}", title_justify="left")
        grid.add_column("task", no_wrap=True)
        for name in ("queries", "bytes", "GB", "USD", "of ceiling", "share"):
            grid.add_column(name, justify="right", no_wrap=True)
        costs = [cost for cost in bill.costs if cost.every == every]
        whole = bill.total("read", every)
        for cost in costs:
            grid.add_row(
                *_cells(cost.task, [cost]), f"{cost.largest / bill.ceiling:.2%}", _share([cost], whole)
            )
        grid.add_section()
        for kind in (BUILD, CHECK, JOB):
            if alike := [cost for cost in costs if cost.kind == kind]:
                grid.add_row(*_cells(f"all of kind {kind}", alike), "", _share(alike, whole))
        grid.add_row(*_cells("all", costs))
        console.print(grid)
    for line in _notes(bill):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _cells(name: str, costs: Sequence[Cost]) -> list[str]:
    asked, read, billed = (
        sum(getattr(cost, field) for cost in costs) for field in ("queries", "read", "billed")
    )
    return [name, f"{asked}", f"{read:,}", f"{read / GIGABYTE:.3f}", f"{price(billed):.4f}"]


def _share(costs: Sequence[Cost], whole: int) -> str:
    return f"{sum(cost.read for cost in costs) / whole:.1%}" if whole else ""


def _notes(bill: Bill) -> Iterator[str]:
    read, pruned, billed = bill.total("read"), bill.total("pruned"), price(bill.total("billed"))
    month = 30 * billed + 4 * price(bill.total("billed", WEEKLY))
    yield (
        f"A day reads {read / GIGABYTE:.3f} GB as dry runs show it, and {pruned / GIGABYTE:.3f} GB where the shards of "
        "scoring read the blocks of their own users alone."
    )
    yield (
        f"That is {billed:.2f} USD at {PRICE_PER_TIB} USD per TiB, 10 MiB at least for each table of a query. 30 days "
        f"and 4 trainings: {month:.2f} USD."
    )
    if bill.monthly_users:
        yield (
            f"{pruned / bill.monthly_users:,.0f} bytes per monthly user and day, {read / bill.monthly_users:,.0f} by "
            f"dry runs ({bill.monthly_users:,} users)."
        )
    if bill.growth is None:
        yield "Growth with the history cannot be told from dry runs; docs/cost.md says why there is next to none."
    else:
        filled, doubled = (bill.total(field) / GIGABYTE for field in ("filled", "doubled"))
        yield (
            f"With {bill.days} days of history, longer than every window, a day would read {filled:.3f} GB; with twice "
            f"as many {doubled:.3f} GB: {bill.growth:+.2%}."
        )
    over = [cost.task for cost in bill.costs if cost.largest > bill.ceiling]
    if over:
        yield f"Over the ceiling of {bill.ceiling / GIGABYTE:,.0f} GB, so BigQuery would refuse: {', '.join(over)}."
