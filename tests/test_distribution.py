"""What is built from the repository: the source archive and the wheel, and the wheel installed elsewhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

import pipelines
from tests.docs.markdown import Markdown

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGES = ("s4cli", "s4net", "deeplab", "pipelines")
NAME = f"s4_segmentation-{pipelines.__version__}"
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2])"


class Built(NamedTuple):
    """The archives, and the files of the repository that they were built from."""

    files: set[str]
    sdist: Path
    wheel: Path


def call(*command: object, cwd: Path) -> str:
    """Standard output of a command that must succeed, started away from the packages of this folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repository_files() -> list[str]:
    """Every file of the repository that was not deleted; files that nobody added do not count."""
    if not (ROOT / ".git").exists():
        pytest.skip("git knows which files belong to the repository, and this folder is no clone")
    tracked = call("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [name for name in tracked if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both archives. The wheel is built from the unpacked source archive, so the archive alone must suffice."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    files = repository_files()
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    call(sys.executable, "-c", BUILD, "sdist", out, cwd=source)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    call(sys.executable, "-c", BUILD, "wheel", out, cwd=out / NAME)
    (wheel,) = out.glob("*.whl")
    return Built(set(files), sdist, wheel)


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))


def test_the_source_archive_holds_every_file_of_the_repository_and_no_other(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        paths = [PurePosixPath(member.name) for member in archive.getmembers() if member.isfile()]
    assert {path.parts[0] for path in paths} == {NAME}
    names = {str(PurePosixPath(*path.parts[1:])) for path in paths}
    made = {"PKG-INFO", "setup.cfg"} | {name for name in names if name.startswith("s4_segmentation.egg-info/")}
    assert names - made == built.files
    kinds = {"docs", "examples", "experiments", "benchmarks", "tests", "CHANGELOG.md", "constraints.txt"}
    assert kinds <= {name.split("/")[0] for name in names}


def test_the_wheel_holds_every_file_of_the_four_packages_and_no_other(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    assert names == {name for name in built.files if name.split("/")[0] in PACKAGES} | {
        f"{NAME}.dist-info/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "pipelines/report/report.html.j2" in names


def test_the_package_page_has_no_link_into_the_repository(built: Built) -> None:
    fields = metadata(built.wheel)
    assert fields["Description-Content-Type"] == "text/markdown"
    text = fields.get_payload()
    assert isinstance(text, str)
    targets = [target for _, target in Markdown(text).links()]
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert all(url.split(", ")[1].startswith("https://") for url in fields.get_all("Project-URL"))


@pytest.fixture(scope="module")
def elsewhere(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that has the wheel, and the dependencies of the environment of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    call(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    call(python, "-m", "pip", "install", "--no-deps", "--no-index", built.wheel, cwd=folder)
    # Paths in a `.pth` file come last, and `.pth` files there are not read: the wheel is found, not the checkout.
    site = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (Path(site) / "dependencies.pth").write_text("\n".join(paths))
    return folder


def test_the_command_works_outside_of_the_checkout(elsewhere: Path) -> None:
    s4 = elsewhere / "env" / "bin" / "s4"
    assert pipelines.__version__ in call(s4, "--version", cwd=elsewhere)
    told = call(s4, "--help", cwd=elsewhere)
    assert all(command in told for command in ("train", "pseudo-label", "deeplab-train", "evaluate"))
    assert "[deeplab-train]" in call(s4, "config", "show", "deeplab-train", cwd=elsewhere)


def test_python_finds_the_wheel_and_its_networks(elsewhere: Path) -> None:
    python = elsewhere / "env" / "bin" / "python"
    lines = [f"import {package}; print({package}.__file__)" for package in PACKAGES]
    use = "from pipelines import load_s4net; from s4net import build_s4net; print(load_s4net.__name__)"
    *files, name = call(python, "-c", "\n".join([*lines, use]), cwd=elsewhere).split()
    assert all(Path(file).is_relative_to(elsewhere / "env") for file in files)
    assert len(files) == len(PACKAGES)
    assert name == "load_s4net"
