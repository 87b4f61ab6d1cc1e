"""The notebooks are committed clean, and run from the first cell to the last over a small marketplace."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from recsys.settings import PROJECT_ROOT, Settings

FOLDER = PROJECT_ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
SECONDS_A_CELL = 300


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def sources(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small marketplace that a notebook makes where there is none, made once for both."""
    sys.path.insert(0, str(FOLDER))
    try:
        import common
    finally:
        sys.path.remove(str(FOLDER))
    folder = tmp_path_factory.mktemp("notebooks") / "warehouse"
    common.make_small(Settings.load({}, warehouse=str(folder)))
    return folder


@pytest.fixture
def kernel(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernels inherit: which warehouse, one thread, and folders of their own."""
    monkeypatch.setenv("RECSYS_WAREHOUSE", str(warehouse))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def test_both_notebooks_are_there() -> None:
    assert NAMES == ["01_data_exploration", "02_model_comparison"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_clean_and_valid(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_one_cell_is_the_switch_and_nothing_points_at_one_machine(path: Path) -> None:
    code = sources(read(path), "code")
    assert sum('WAREHOUSE = ""' in source for source in code) == 1
    assert "google.colab" in code[0] and 'REPOSITORY = ""' in code[0]
    assert not re.search(r"/(home|tmp|work|usr|Users)/|https?://", "\n".join(code))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_each_figure_has_a_title_a_unit_and_words_on_what_to_see(path: Path) -> None:
    cells = read(path).cells
    drawn = [n for n, cell in enumerate(cells) if "plt.show()" in cell.source]
    assert len(drawn) >= 5
    for n in drawn:
        assert "title" in cells[n].source
        following = next(cell for cell in cells[n + 1 :] if cell.cell_type == "markdown")
        assert following.source.startswith("**What to see:**"), cells[n].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_draws_every_figure(path: Path, kernel: None) -> None:
    notebook = read(path)
    where = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources=where).execute()
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"], cell.source
        figures = [o for o in outputs if "image/png" in o.get("data", {})]
        assert len(figures) == cell.source.count("plt.show()"), cell.source


def test_the_comparison_says_which_models_it_skipped() -> None:
    code = "\n".join(sources(read(FOLDER / "02_model_comparison.ipynb"), "code"))
    assert "Skipped, for want of PyTorch" in code
    assert "MODELS.items()" in code  # every registered model, not a list that grows old
