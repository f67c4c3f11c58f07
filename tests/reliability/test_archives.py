"""R11: archives that lead elsewhere are refused by the command line, and nothing is written outside of `--out`."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from s4cli.main import main


def tar(path: Path, name: str, kind: bytes = tarfile.REGTYPE, claims: int | None = None) -> None:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0 if kind != tarfile.REGTYPE else 4
        archive.addfile(info, io.BytesIO(b"data") if kind == tarfile.REGTYPE else None)
    if claims is not None:  # the header alone is changed, so the bytes are not there
        content = bytearray(path.read_bytes())
        content[124:136] = f"{claims:011o} ".encode()
        content[148:156] = b" " * 8
        content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
        path.write_bytes(content)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../out.jpg", b"data")


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "parent": (lambda path: tar(path, "../../out.jpg"), "shard-path"),
    "absolute": (lambda path: tar(path, "/tmp/out.jpg"), "shard-path"),
    "symlink": (lambda path: tar(path, "a.jpg", tarfile.SYMTYPE), "shard-link"),
    "hard link": (lambda path: tar(path, "a.jpg", tarfile.LNKTYPE), "shard-link"),
    "device": (lambda path: tar(path, "a.jpg", tarfile.CHRTYPE), "shard-link"),
    "fifo": (lambda path: tar(path, "a.jpg", tarfile.FIFOTYPE), "shard-link"),
    "eight gigabytes": (lambda path: tar(path, "a.jpg", claims=8 * 2**30 - 1), "shard-damaged"),
    "zip named tar": (zipped, "shard-damaged"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_nothing_is_written(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, rule = HOSTILE[kind]
    (tmp_path / "deep" / "pictures").mkdir(parents=True)
    make(tmp_path / "deep" / "pictures" / "cat.tar")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    line = ["pseudo-label", "--images", str(tmp_path / "deep" / "pictures"), "--out", str(tmp_path / "labels")]
    (tmp_path / "weights.pt").write_bytes(b"")
    assert main([*line, "--weights", str(tmp_path / "weights.pt")]) == 3
    assert f"[{rule}]" in capsys.readouterr().err
    (tmp_path / "weights.pt").unlink()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}.keys() == before.keys()
