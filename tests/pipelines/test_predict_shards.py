import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError
from pipelines.networks import load
from tests.pipelines.fake_networks import FakeDeepLab, FakeS4Net, Killed, files_of, run, write_pictures


@pytest.fixture
def deeplab(monkeypatch: pytest.MonkeyPatch) -> FakeDeepLab:
    fake = FakeDeepLab()
    monkeypatch.setattr(load, "load_deeplab", lambda weights, **_: fake)
    return fake


@pytest.fixture(autouse=True)
def s4net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: FakeS4Net())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pictures(tmp_path)


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
@pytest.mark.parametrize("of", [3, 7])
def test_shards_in_any_order_give_the_bytes_of_one_run(root: Path, deeplab: FakeDeepLab, kind: str, of: int) -> None:
    (root / "images" / "sub" / "c.png").write_bytes(b"damaged")
    run(root, out="whole", kind=kind)
    counts = []
    for number in range(of, 0, -1):
        assert not (root / "out" / "records.jsonl").exists()
        result = run(root, kind=kind, shard=f"{number}/{of}")
        counts.append((result["images"], result["failed"]))
    # Of five pictures, c is number 4: in shard 1 of 3, in shard 4 of 7.
    assert counts == {3: [(1, 0), (2, 0), (2, 1)], 7: [(0, 0)] * 2 + [(1, 0), (1, 1)] + [(1, 0)] * 3}[of]
    assert files_of(root / "out") == files_of(root / "whole")


def test_a_shard_that_was_killed_leaves_the_folder_incomplete_until_it_ran_again(
    root: Path, deeplab: FakeDeepLab, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, out="whole")
    run(root, shard="1/2")
    assert "not complete yet" in capsys.readouterr().err
    deeplab.before = lambda call: (_ for _ in ()).throw(Killed) if len(deeplab.asked) == 9 else None
    with pytest.raises(Killed):
        run(root, shard="2/2")
    deeplab.before = lambda call: None
    asked = len(deeplab.asked)
    run(root, shard="2/2")
    assert len(deeplab.asked) == asked + 1 and files_of(root / "out") == files_of(root / "whole")


def test_of_two_records_of_shards_the_one_that_did_not_fail_counts(root: Path, deeplab: FakeDeepLab) -> None:
    path = root / "images" / "b.png"
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    run(root, shard="2/5")
    path.write_bytes(content)
    assert run(root, retry_failed=True)["failed"] == 0  # the records of the shard are merged, and gone
    assert sorted(p.name for p in (root / "out").glob("records*")) == ["records.jsonl"]
    assert not (root / "out" / "failures.jsonl").exists()


@pytest.mark.parametrize("change", [{"file_name": None}, {"height": "\ud83d"}, {"instances": [{}]}, {"instances": 3}])
def test_a_damaged_record_of_a_shard_is_told_and_nothing_is_merged(root: Path, change: dict[str, Any]) -> None:
    run(root, kind="s4net", shard="1/2")
    journal = root / "out" / "records-1-of-2.jsonl"
    first, *others = journal.read_text().splitlines()
    journal.write_text("\n".join([json.dumps({**json.loads(first), **change}), *others, ""]))
    before = files_of(root / "out")
    with pytest.raises(InputError, match=r"records\.jsonl: .* in a record .*make the folder anew \[records-damaged\]"):
        run(root, kind="s4net", shard="2/2")
    after = files_of(root / "out")
    assert after.keys() - before.keys() == {"records-2-of-2.jsonl"} and before.items() <= after.items()


@pytest.mark.parametrize("merged", [False, True])
def test_a_record_without_a_picture_is_told_before_the_work(root: Path, deeplab: FakeDeepLab, merged: bool) -> None:
    run(root, shard="1/1" if merged else "1/2")
    journal = root / "out" / ("records.jsonl" if merged else "records-1-of-2.jsonl")
    first, *others = map(json.loads, journal.read_text().splitlines())
    del first["image_id"]
    journal.write_text("".join(f"{json.dumps(record)}\n" for record in (first, *others)))
    before, asked = files_of(root / "out"), len(deeplab.asked)
    with pytest.raises(InputError, match=r"record 1 names no picture.*\[records-damaged\]"):
        run(root, shard="2/2")
    assert files_of(root / "out") == before and len(deeplab.asked) == asked
