"""A small marketplace as CSV files, and a way to spoil one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.jobs import load
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

FILES = {
    "users.csv": """user_id,registered_at,region
u1,2026-01-01 08:00:00,north
u2,2026-01-02T09:30:00Z,south
""",
    "sellers.csv": """seller_id,registered_at,rating,is_verified
s1,2025-06-01,4.5,true
""",
    "item_category.csv": """category_id,parent_id,name,level
c1,,Clothes,1
c2,c1,Shoes,2
""",
    "items.csv": """item_id,seller_id,category_id,title,price,take_rate,stock,sale_type,listed_at
i1,s1,c2,Red shoes,19.90,0.1,1,fixed,2026-01-01 00:00:00
i2,s1,c2,Blue shoes,24,0.1,1,fixed,2026-01-01 00:00:00
""",
    "events.csv": """event_id,event_ts,user_id,event_type,item_id,amount,quantity
e1,2026-01-03 10:00:00,u1,view,i1,,
e2,2026-01-03 10:05:00,u1,purchase,i1,19.90,1
e3,2026-01-05 23:59:59.5+00:00,u2,view,i2,,
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that can be imported as it is."""
    target = tmp_path / "export"
    target.mkdir()
    for name, text in FILES.items():
        (target / name).write_text(text, encoding="utf-8")
    return target


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"))


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    return open_warehouse(settings)


@pytest.fixture
def load_folder(folder: Path, settings: Settings) -> Callable[..., dict[str, object]]:
    """Import the folder without building its history."""
    return lambda **more: load.run(settings, folder, history=False, **more)
