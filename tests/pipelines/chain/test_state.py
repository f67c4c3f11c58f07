"""`state.json` of a chain."""

from pathlib import Path

import pytest

from pipelines.chain.state import ChainState, Entry
from pipelines.errors import InputError


def test_entries_are_kept_over_a_restart(tmp_path: Path) -> None:
    entry = Entry(fingerprint="f", place="labels", done=True, seconds=1.5, images_per_second=2.0, result={"images": 3})
    ChainState(tmp_path).keep("pseudo-label", entry)
    assert ChainState(tmp_path).entries == {"pseudo-label": entry}


def test_places_inside_the_folder_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = ChainState(Path("chain"))
    assert state.place(None) is None
    assert state.place(tmp_path / "chain" / "labels") == state.place(Path("chain/labels")) == "labels"
    assert state.place(Path("labels")) == (tmp_path / "labels").as_posix()


@pytest.mark.parametrize("content", ["[]", '{"version": 0}', '{"version": 1, "steps": {"train": {}}}', "x"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(InputError, match=r"state\.json"):
        ChainState(tmp_path)
