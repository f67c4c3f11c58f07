import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pytest
from fsspec.registry import known_implementations

from pipelines.data.folder_walk import walk_files
from pipelines.data.notes import Notes
from pipelines.data.tar_shards import index_tar, read_member
from pipelines.errors import ConfigError, InputError, MachineError, S4Error, masked
from pipelines.events import Events
from pipelines.files import atomic_write, plain, read_json, sha256_file, write_text
from pipelines.stores import address as module
from pipelines.stores.address import Address
from pipelines.stores.paths import (
    common_folder,
    in_memory,
    is_address,
    lies_in,
    local_copy,
    presence,
    require_no_cache,
    to_path,
)
from tests.pipelines.stores.store_of_tests import FlakyStore, copy_in, empty_stores, files_in

SECRET = "ftp://me:s3cret@host/x"


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    with empty_stores():
        yield


def at(text: str) -> Address:
    found = to_path(text)
    assert isinstance(found, Address)
    return found


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("s3://bucket/a", True), ("memory://a", True), ("simplecache::s3://b/c", True),
        ("zip://a::file:///b.zip", True), ("pictures", False), ("/a/b", False), ("file:///a/b", False),
        ("C:\\a", False), ("a::b", False), ("a:b/c", False), ("", False), ("://a", False),
    ],
)  # fmt: skip
def test_an_address_is_known_by_its_form(text: str, elsewhere: bool) -> None:
    assert is_address(text) is elsewhere


def test_the_parts_of_an_address_are_those_of_its_path() -> None:
    address = at("memory://bucket/a/b.tar.gz")
    assert isinstance(address, Path) and str(address) == address.as_posix() == "memory://bucket/a/b.tar.gz"
    assert (address.name, address.stem, address.suffix) == ("b.tar.gz", "b.tar", ".gz")
    assert address.parts == ("bucket", "a", "b.tar.gz")
    assert str(address.parent) == "memory://bucket/a" and str(address.parent.parent) == "memory://bucket"
    assert address.parent.parent.parent == at("memory://bucket")  # other buckets have nothing to do with it
    assert list(map(str, address.parents)) == ["memory://bucket/a", "memory://bucket"]
    assert str(address.with_name("c")) == "memory://bucket/a/c"
    assert str(address.with_suffix(".xml")) == "memory://bucket/a/b.tar.xml"
    assert str(address.parent / "x" / PurePosixPath("y/z")) == "memory://bucket/a/x/y/z"
    assert str(address.parent.joinpath("x", "y")) == "memory://bucket/a/x/y"
    assert address.relative_to(at("memory://bucket")) == PurePosixPath("a/b.tar.gz")
    assert address.is_relative_to(address.parent) and not address.is_relative_to(at("memory://other"))
    assert not address.is_relative_to(at("flaky://bucket")) and not address.is_relative_to(Path("/bucket"))
    assert address.absolute() is address.resolve() is address and address.is_absolute()


def test_an_address_of_a_chain_grows_where_its_path_is(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/b/x.zip", b"PK\5\6" + bytes(18))
    assert str(at("simplecache::memory://b/c") / "d") == "simplecache::memory://b/c/d"
    assert str(at("zip://in::memory://b/x.zip") / "d") == "zip://in/d::memory://b/x.zip"


def test_addresses_are_equal_ordered_and_sent_to_other_processes() -> None:
    one, same, other = at("memory://b/x"), at("memory://b/x"), at("memory://b/y")
    assert one == same and hash(one) == hash(same) and one != other and {one, same} == {one}
    assert sorted([other, one]) == [one, other] and sorted([one, Path("a")]) == [Path("a"), one]
    assert Path("memory:/b/x") != one and one != Path("memory:/b/x")
    assert pickle.loads(pickle.dumps(Address("memory://b/x", 7))).stat().st_size == 7


@pytest.mark.parametrize("use", [Path, os.fspath, open, os.listdir, lambda one: Path("a") / one, Path.touch])
def test_what_needs_a_path_of_this_machine_names_the_address(use: object) -> None:
    with pytest.raises(ConfigError, match=r"^memory://b/x: an address, a path on this machine .*address-unsupported"):
        use(at("memory://b/x"))  # type: ignore[operator]


def test_a_store_is_asked_what_is_there() -> None:
    root = at("memory://b")
    for name in ("a.txt", "sub/c.txt", "sub/d.json"):
        write_text(root / name, name)
    assert root.is_dir() and not root.is_file() and root.exists()
    assert (root / "a.txt").is_file() and not (root / "a.txt").is_dir() and (root / "a.txt").stat().st_size == 5
    assert not (root / "no").exists() and list((root / "no").iterdir()) == []
    assert list(map(str, root.iterdir())) == ["memory://b/a.txt", "memory://b/sub"]
    assert list(root.glob("*/*.txt")) == [root / "sub" / "c.txt"] and list(root.glob("[ab].*")) == [root / "a.txt"]
    assert at("memory://b/*/c.*").fitting() == [root / "sub" / "c.txt"]
    assert (root / "sub" / "c.txt").read_text() == "sub/c.txt" and (root / "a.txt").read_range(2, 9) == b"txt"
    (root / "a.txt").unlink()
    (root / "a.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a.txt").unlink()
    with pytest.raises(FileNotFoundError):
        (root / "a.txt").stat()
    with pytest.raises(InputError, match=r"memory://b/a\.txt: no such file.*\[file-missing\]"):
        read_json(root / "a.txt")


def test_a_listing_has_the_order_of_a_walk_on_disk_and_no_hidden_file(tmp_path: Path) -> None:
    names = ["b.png", "a/z.png", "a/b/q.png", "a.png", "c/a.png", ".h.png", ".d/x.png", "a/.t/y.png", "a-/e.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    copy_in(tmp_path, "flaky", "/p")
    here = [path.relative_to(tmp_path).as_posix() for path in walk_files(tmp_path, Notes())]
    FlakyStore.asked.clear()
    there = list(walk_files(at("flaky://p"), Notes()))
    assert [path.relative_to(at("flaky://p")).as_posix() for path in there] == here
    assert [path.stat().st_size for path in there] == [2] * 6 and all(path.is_file() for path in there)
    assert FlakyStore.asked == {"info": 1, "find": 1}  # the sizes are known from the listing
    with pytest.raises(InputError, match=r"flaky://q: no such folder.*\[folder-missing\]"):
        list(walk_files(at("flaky://q"), Notes()))


def test_names_that_no_path_can_stand_for_are_told() -> None:
    fsspec.filesystem("memory").pipe_file("/b/a//c.png", b"1")
    lost: list[str] = []
    assert at("memory://b").files(lost.append) == [] and lost == ["/b/a//c.png"]


def test_presence_is_one_listing() -> None:
    write_text(at("flaky://b/x/a"), "1")
    FlakyStore.asked.clear()
    is_there = presence(at("flaky://b"))
    assert [is_there(at(f"flaky://b/x/{name}")) for name in "ab"] == [True, False]
    assert FlakyStore.asked == {"find": 1}


def test_presence_on_disk_asks_each_time(tmp_path: Path) -> None:
    is_there = presence(tmp_path)
    assert not is_there(tmp_path / "a")
    (tmp_path / "a").touch()
    assert is_there(tmp_path / "a")


def test_large_objects_are_read_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 40
    atomic_write(at("flaky://b/x"), lambda file: file.write(content))
    monkeypatch.setattr(module, "_AT_ONCE", 1000)
    monkeypatch.setattr(module, "_RANGE", 2048)
    with at("flaky://b/x").open("rb") as file:
        assert file.read(3) == b"\0\1\2" and file.seek(-2, io.SEEK_END) == 10238 and file.read() == b"\xfe\xff"
    assert sha256_file(at("flaky://b/x")) == sha256(content).hexdigest()
    with at("flaky://b/x").open_range(10, 5000) as file:
        assert file.read() == content[10:5010]


def test_a_tar_at_an_address_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(20):
            for suffix, content in ((".png", bytes([number]) * 3000), (".cls", b"cat")):
                info = tarfile.TarInfo(f"k{number:02d}{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    copy_in(path, "flaky", "/b/s.tar")
    monkeypatch.setattr(module, "_AT_ONCE", 10_000)
    monkeypatch.setattr(module, "_RANGE", 1 << 15)
    here, there = index_tar(path, (".png",)), index_tar(at("flaky://b/s.tar"), (".png",))
    asked = FlakyStore.asked["cat_file"]
    assert asked < 10  # 104,960 bytes in ranges of 32,768, and a look at the first bytes and at the end
    assert [(m.member, m.offset, m.size) for m in there[0]] == [(m.member, m.offset, m.size) for m in here[0]]
    assert str(there[0][1]) == "flaky://b/s.tar:k01.png" and read_member(there[0][7], 5000) == bytes([7]) * 3000
    assert FlakyStore.asked["cat_file"] == asked + 1


def test_an_object_is_never_half_there() -> None:
    address = at("flaky://b/x")
    write_text(address, "old")

    def fails(question: str, key: str) -> None:
        if question == "pipe_file":
            raise ConnectionResetError("reset")

    FlakyStore.before = staticmethod(fails)
    with pytest.raises(MachineError, match=r"flaky://b/x: the store failed twice .*reset.*\[address-failed\]"):
        write_text(address, "new")
    assert files_in("flaky", "/b") == {"x": b"old"}

    def breaks(file: io.BytesIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    FlakyStore.before = staticmethod(lambda question, key: None)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(address, breaks)  # type: ignore[arg-type]
    assert files_in("flaky", "/b") == {"x": b"old"}


def test_where_writing_takes_time_a_file_is_renamed_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    FlakyStore.before = staticmethod(lambda question, key: written.append(key) if question == "pipe_file" else None)
    write_text(at("flaky://b/x"), "1")
    monkeypatch.setattr(module, "_WHOLE", {"flaky"})
    write_text(at("flaky://b/y"), "2")
    assert written == ["/b/.x.tmp", "/b/y"] and files_in("flaky", "/b") == {"x": b"1", "y": b"2"}


def test_a_question_that_fails_is_asked_once_more() -> None:
    write_text(at("flaky://b/x"), "1")
    failures = [TimeoutError("slow"), None]

    def fails(question: str, key: str) -> None:
        if failures and (error := failures.pop(0)):
            raise error

    FlakyStore.before = staticmethod(fails)
    assert at("flaky://b/x").read_bytes() == b"1" and failures == []


class NoCredentialsError(Exception):
    """As botocore raises it: no OSError."""


class HttpError(Exception):
    """As gcsfs raises it."""

    code = 403


@pytest.mark.parametrize("error", [PermissionError("Access Denied"), NoCredentialsError("none found"), HttpError("no")])
def test_a_refusal_is_told_and_not_asked_again(error: Exception) -> None:
    asked: list[str] = []

    def refuses(question: str, key: str) -> None:
        asked.append(question)
        raise error

    FlakyStore.before = staticmethod(refuses)
    with pytest.raises(MachineError, match=rf"flaky://b/x: the store refuses access .*{error}.*\[no-permission\]"):
        at("flaky://b/x").is_file()
    assert asked == ["info"]


def test_a_bucket_that_is_missing_is_told() -> None:
    def missing(question: str, key: str) -> None:
        raise FileNotFoundError("The specified bucket does not exist")

    FlakyStore.before = staticmethod(missing)
    with pytest.raises(MachineError, match=r"flaky://b/x: the place does not exist, a bucket .*\[address-failed\]"):
        write_text(at("flaky://b/x"), "1")


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("nonsense://a", ConfigError, r"nonsense://a: no file system has this protocol.*\[address-protocol\]"),
        ("s3x://a/b", ConfigError, r"s3x://a: .*did you mean s3\?.*\[address-protocol\]"),
        ("zip://a::memory://none.zip", InputError, r"none\.zip: nothing is there.*\[file-missing\]"),
    ],
)
def test_addresses_that_cannot_be_opened(text: str, kind: type[S4Error], told: str) -> None:
    with pytest.raises(kind, match=told):
        to_path(text).exists()


def _takes_no_such_path(*_: object) -> str:
    raise ValueError("an id is namespace/name")


_LOOKS = [Address.exists, Address.iterdir, Address.files]  # before these, the driver forgets what it keeps


@pytest.mark.parametrize(
    ("question", "refuses"),
    [
        *((question, "_strip_protocol") for question in (*_LOOKS, Address.fitting, Address.read_bytes)),
        *((question, "invalidate_cache") for question in _LOOKS),
    ],
)
def test_what_a_driver_raises_on_the_form_of_a_path_is_told(
    question: Callable[[Address], Any], refuses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = at("flaky://b/x")
    address.exists()  # the store is open
    monkeypatch.setattr(FlakyStore, refuses, _takes_no_such_path)
    with pytest.raises(ConfigError, match=r"flaky://b/x: cannot be opened .*an id is namespace/name.*\[address-form\]"):
        list(question(address) or ())


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"class": "no_such_driver.System", "err": "Install no-such-driver to access it"}
    monkeypatch.setitem(known_implementations, "driverless", known)
    with pytest.raises(ConfigError, match=r"driverless://b: .*Install no-such-driver.*pip \[address-driver\]"):
        to_path("driverless://b/x").exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (SECRET, "ftp://***@host/x"),
        ("at sftp://u:p@w@host/a, and smb://u:p@h/b", "at sftp://***@host/a, and smb://***@h/b"),
        ("http://h/a.png?X-Amz-Signature=12&b=3 next", "http://h/a.png?*** next"),
        ("ftp://me@host/x", "ftp://me@host/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("12:30 me@host", "12:30 me@host"),
    ],
)
def test_credentials_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_no_output_shows_credentials(tmp_path: Path) -> None:
    address = at(SECRET)
    stream = io.StringIO()
    events = Events(stream)
    events.attach(tmp_path / "log")
    events.info(f"{SECRET} read")
    shown = [
        str(address), repr(address), f"{address / 'y'}", plain({"out": address})["out"], plain([SECRET])[0],
        str(InputError(f"{SECRET}: bad", "rule")), stream.getvalue(), (tmp_path / "log").read_text(),
    ]  # fmt: skip
    assert all("s3cret" not in text and "host/x" in text for text in shown)
    assert address.text == SECRET


def test_folders_of_different_places_are_kept_apart(tmp_path: Path) -> None:
    assert common_folder([tmp_path / "a" / "b", tmp_path / "a" / "c"]) == tmp_path / "a"
    assert common_folder([at("memory://b/x/y"), at("memory://b/z")]) == at("memory://b")
    for other in (tmp_path, at("flaky://b")):
        with pytest.raises(ConfigError, match=r"lie in different kinds of places.*\[address-mixed\]"):
            common_folder([at("memory://b/x"), other])
    assert lies_in(at("memory://b/x"), at("memory://b")) and not lies_in(at("memory://b"), at("memory://b/x"))
    assert not lies_in(tmp_path, at("memory://b")) and not lies_in(at("memory://b"), tmp_path)
    assert lies_in(tmp_path / "a", tmp_path) and not lies_in(tmp_path, tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    assert lies_in(tmp_path / "loop", tmp_path)


def test_a_copy_lives_as_long_as_it_is_used(tmp_path: Path) -> None:
    write_text(at("memory://b/w.pt"), "weights")
    with local_copy(at("memory://b/w.pt")) as copy:
        assert copy.read_text() == "weights" and copy.name == "w.pt"
    assert not copy.exists()
    with local_copy(tmp_path) as same:
        assert same is tmp_path
    with pytest.raises(FileNotFoundError), local_copy(at("memory://b/none")):
        pass


def test_caches_may_be_read_but_not_written_through() -> None:
    with pytest.raises(ConfigError, match=r"--out simplecache::memory://b: leads through a cache.*\[address-cached\]"):
        require_no_cache("--out", at("simplecache::memory://b"))
    require_no_cache("--out", at("memory://b"))
    assert in_memory([None, at("simplecache::memory://b")]) and not in_memory([Path("memory"), at("flaky://b")])


def test_the_modules_of_addresses_do_not_import_fsspec() -> None:
    code = "import sys, pipelines.files, pipelines.stores.paths, pipelines.config; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
