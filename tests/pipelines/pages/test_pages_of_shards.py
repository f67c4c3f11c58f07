"""The page of a label folder that several shards complete."""

from pathlib import Path

from tests.pipelines.test_pseudo_label import MIXED, FakeS4Net, make_pictures, run
from tests.pipelines.test_pseudo_label import net as net


def test_the_last_shard_leaves_a_page_and_a_second_run_leaves_it_as_it_is(tmp_path: Path, net: FakeS4Net):
    make_pictures(tmp_path, *MIXED)
    run(tmp_path, "without", report=False)
    assert not (tmp_path / "without" / "report.html").exists()
    run(tmp_path, shard="1/2")
    page = tmp_path / "labels" / "report.html"
    assert not page.exists()
    run(tmp_path, shard="2/2")
    assert page.read_text().count("<figure") == 7
    page.write_text("as it is")
    run(tmp_path, shard="1/2")
    assert page.read_text() == "as it is"
    page.unlink()
    run(tmp_path)
    assert page.exists()
