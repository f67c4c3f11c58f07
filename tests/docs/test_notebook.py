"""The notebook of examples/ runs from top to bottom, on pictures that it draws itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.config import usual_places

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "own_pictures.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the libraries of notebooks warn about their own
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra docs is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")
    pytest.importorskip("ipykernel", reason="the extra docs is not installed")
    if not usual_places._BUILTIN_FILE.is_file():
        pytest.skip("the network that ships is not here")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # the file holds no results
    client = nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    apple, pear = np.bincount(np.asarray(Image.open(tmp_path / "predictions" / "pear.png")).ravel(), minlength=3)[1:3]
    assert pear > 20 * apple  # a pear fills a seventh of its picture or more
    assert pear > 256 * 256 / 20
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
