"""Fuzzing of the parsers: whatever a file holds, a parser returns a value or raises an `S4Error`.

    OMP_NUM_THREADS=1 python experiments/fuzz.py TARGET SECONDS [--seed 0] [--engine auto|atheris|mutator] [--keep DIR]

TARGET is one of `TARGETS`, or `all`, which gives each target an equal share of the seconds. Atheris (libFuzzer, guided
by coverage) makes the inputs where it is installed, and a seeded mutator elsewhere. A finding is another exception, a
call of more than ten seconds, or a process of more than 1.5 GiB. Inputs of findings stay in DIR. The exit status is 1
then.
"""

import argparse
import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST_CALL, LONGEST_WAIT = 10, 60  # seconds of the processor, and of the clock where others work too
MOST_MEMORY = 1536  # MiB
MOST_BYTES = 8192  # of an input
PICTURE = "2007_000032"
_INTERESTING = [b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b"9" * 400, b"\xb2", b"\xff\xfe",
                b"\xef\xbb\xbf", b"\0", b"../", b"[" * 200, b"\xe2\x80\xa8", b"\r", b'"', b"'", b"9" * 11]  # fmt: skip


def _rle_seed() -> bytes:
    return json.dumps({"size": [30, 40], "counts": "d0f05;DO3M2N1OoQ"}).encode()


def _coco(**more: object) -> bytes:
    images = [{"id": 1, "file_name": f"{PICTURE}.png", "height": 30, "width": 40}]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 7, "iscrowd": 0, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
        {"id": 2, "image_id": "1", "category_id": 7, "segmentation": {"size": [30, 40], "counts": [600, 9, 591]}},
        {"id": 3, "image_id": 1.0, "iscrowd": 1, "segmentation": json.loads(_rle_seed())},
    ]
    categories = [{"id": 7, "name": "cat"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories, **more}).encode()


def _npy(keys: list[object]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.array({key: np.eye(20)[3] for key in keys}, object), allow_pickle=True)
    return buffer.getvalue()


def _tar(form: int, longest: int = 1) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in (("a.jpg", b"x"), ("a.cls", b"3"), ("deep/" * longest + "b.png", b"y" * 600)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


_XML = b"<annotation><object><name>cat</name><part><name>head</name></part></object></annotation>"
_TOML = b'seed = 3\n[train]\nimages = "a"\nsteps = 5\nlr = 1e-3\nflip = true\n[pseudo-label]\nkeywords = ["a", "b"]\n'
_LABELMAP = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:64,0,0:head,leg:\n"


class Places:
    """Files that parsers want beside the file that they parse."""

    def __init__(self, folder: Path) -> None:
        """Make a folder with one picture."""
        from PIL import Image

        self.pictures, self.file = folder / "pictures", folder / "given"
        self.pictures.mkdir()
        Image.new("RGB", (40, 30)).save(self.pictures / f"{PICTURE}.png")

    def with_suffix(self, suffix: str, content: bytes) -> Path:
        """Write the file to parse, and return its path."""
        path = self.file.with_suffix(suffix)
        path.write_bytes(content)
        return path


Parse = Callable[[Places, bytes], object]


def _keywords(suffix: str) -> Parse:
    def parse(places: Places, content: bytes) -> None:
        from pipelines.data.classes import load_classes
        from pipelines.data.images import find_images
        from pipelines.data.keywords_files import keyword_faults, read_keywords

        path, images = places.with_suffix(suffix, content), find_images(places.pictures)
        keyword_faults(str(path), images, places.pictures, load_classes("voc"))
        read_keywords(str(path), images, places.pictures, load_classes("voc"))

    return parse


def _parse_coco(places: Places, content: bytes) -> None:
    from pipelines.data.coco import load_coco

    for picture in load_coco(places.with_suffix(".json", content), places.pictures):
        picture.masks()


def _parse_xml(places: Places, content: bytes) -> None:
    from pipelines.data.keyword_voc import read_xml
    from pipelines.survey.keyworded import _xml_names

    path = places.with_suffix(".xml", content)
    _xml_names(path)
    read_xml(path)


def _parse_tar(places: Places, content: bytes) -> None:
    from pipelines.data.images import readable_suffixes
    from pipelines.data.tar_shards import index_tar, read_member

    for member in index_tar(places.with_suffix(".tar", content), readable_suffixes())[0]:
        read_member(member, 100)
        for beside in member.beside:
            read_member(beside, 100)


def _parse_toml(places: Places, content: bytes) -> None:
    from pipelines.config import STAGES
    from pipelines.config.resolution import resolve_with
    from pipelines.errors import S4Error

    path = places.with_suffix(".toml", content)
    for stage in STAGES.values():
        try:
            resolve_with(STAGES, stage, path, {})
        except S4Error:
            continue


def _parse_rle(places: Places, content: bytes) -> None:
    from pipelines.data.rle import decode_masks, read_rle

    try:
        segmentation = json.loads(content)
    except (ValueError, RecursionError):
        return
    try:
        mask = decode_masks([read_rle(segmentation, 30, 40)], 30, 40)
    except ValueError:  # what the caller turns into an error that names file and annotation
        return
    assert mask.shape == (1, 30, 40) and mask.max() <= 1


def _parse_classes(places: Places, content: bytes) -> None:
    from pipelines.data.classes import load_classes

    classes = load_classes(str(places.with_suffix(".txt", content)))
    assert 1 <= len(classes.names) <= 254 and len(set(classes.names)) == len(classes.names)


def _parse_labelmap(places: Places, content: bytes) -> None:
    import numpy as np

    from pipelines.data.classes import load_classes
    from pipelines.data.colour_tables import read_colour_table
    from pipelines.data.palette import indices_of_colours

    table = read_colour_table(places.with_suffix(".txt", content))
    for classes in (None, load_classes("voc")):
        indices = table.indices(classes)
        found = indices_of_colours(np.zeros((2, 2, 3), np.uint8), table.colours)
        assert isinstance(found, tuple) or indices[found].shape == (2, 2)


TARGETS: dict[str, tuple[Parse, Callable[[], list[bytes]]]] = {
    "csv": (_keywords(".csv"), lambda: [
        f"image,keywords\n{PICTURE}.png,cat;dog\n".encode(), f'image;keywords\r\n"{PICTURE}";"cat,TV"\r\n'.encode(),
        f"sep=\t\nimage\tkeywords\n{PICTURE}\tcat\tpeople\n".encode("utf-16"),
    ]),
    "coco": (_parse_coco, lambda: [_coco(), _coco(info={"description": "COCO 2017 dataset"})]),
    "coco-keywords": (_keywords(".json"), lambda: [_coco()]),
    "xml": (_parse_xml, lambda: [_XML, b'<?xml version="1.0" encoding="latin-1"?>' + _XML]),
    "npy": (_keywords(".npy"), lambda: [_npy([PICTURE]), _npy([2007000032])]),
    "numbers": (_keywords(".txt"), lambda: [f"{PICTURE} 3 19\n".encode(), f"\xef\xbb\xbf{PICTURE} 0\r\n".encode()]),
    "tar": (_parse_tar, lambda: [
        _tar(tarfile.USTAR_FORMAT), _tar(tarfile.GNU_FORMAT, 40), _tar(tarfile.PAX_FORMAT, 40),
    ]),
    "toml": (_parse_toml, lambda: [_TOML, b'["deeplab-train"]\nloss = "soft"\n', b"images = 'a'\n"]),
    "rle": (_parse_rle, lambda: [
        _rle_seed(), b'{"size": [30, 40], "counts": [600, 9, 591]}', b"[[1, 1, 9, 1, 9, 9, 1.5, 9]]",
    ]),
    "classes": (_parse_classes, lambda: [b"cat\ndog\n", b"__ignore__\n_background_\ncat\n", _LABELMAP]),
    "labelmap": (_parse_labelmap, lambda: [_LABELMAP, b"cat::head:\ndog:1,2,3::\n"]),
}  # fmt: skip


class Watch:
    """Calls a parser, and keeps what escapes from it."""

    def __init__(self, target: str, places: Places, keep: Path) -> None:
        """Choose the parser, and the folder for inputs of findings."""
        self.parse, self.places, self.keep, self.target = TARGETS[target][0], places, keep, target
        self.calls, self.slowest, self.found = 0, 0.0, dict[str, str]()

    def __call__(self, content: bytes) -> None:
        """Call the parser with one input."""
        from pipelines.errors import S4Error

        self.calls += 1
        begin = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LONGEST_CALL)
        signal.alarm(LONGEST_WAIT)
        try:
            self.parse(self.places, content)
        except S4Error:
            pass
        except Exception as error:
            self._note(error, content)
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.slowest = max(self.slowest, time.process_time() - begin)

    def _note(self, error: Exception, content: bytes) -> None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "experiments" not in f.filename]
        own = [f for f in frames if str(ROOT) in f.filename and ".venv" not in f.filename] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        key = f"{type(error).__name__} in {place}"
        if key not in self.found:
            name = re.sub(r"\W+", "-", key)
            (self.keep / f"{self.target}-{name}").write_bytes(content)
            self.found[key] = str(error).splitlines()[0][:200] if str(error) else ""

    def report(self, seconds: float) -> None:
        """Write the outcome of this target as JSON."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        outcome = {"target": self.target, "calls": self.calls, "seconds": round(seconds), "memory": memory,
                   "slowest": round(self.slowest, 2), "found": self.found}  # fmt: skip
        (self.keep / f"{self.target}.json").write_text(json.dumps(outcome))


def _too_long(_number: int, _frame: object) -> None:
    raise TimeoutError(f"more than {LONGEST_CALL} s of the processor, or {LONGEST_WAIT} s")


def mutated(seeds: list[bytes], generator: random.Random) -> bytes:
    """Return a seed with one to eight changes: bytes, numbers, parts removed, doubled, moved, or of another seed."""
    content = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 8)):
        start = generator.randrange(len(content) + 1)
        end = min(len(content), start + generator.choice([1, 1, 2, 4, 16, 64]))
        match generator.randrange(7):
            case 0:
                content[start:end] = generator.randbytes(end - start)
            case 1:
                content[start:start] = generator.choice(_INTERESTING)
            case 2:
                content[start:end] = generator.choice(_INTERESTING)
            case 3:
                del content[start:end]
            case 4:
                content[start:start] = content[start:end] * generator.choice([1, 2, 50])
            case 5:
                numbers = list(re.finditer(rb"\d+", bytes(content)))
                if numbers:
                    one = generator.choice(numbers)
                    content[one.start() : one.end()] = generator.choice(_INTERESTING)
            case _:
                other = generator.choice(seeds)
                content[start:end] = other[generator.randrange(len(other)) :][: generator.choice([4, 40, 400])]
        del content[MOST_BYTES:]
    return bytes(content)


def child(target: str, seconds: float, seed: int, engine: str, keep: Path) -> None:
    """Fuzz one target in this process, for some seconds."""
    sys.path.insert(0, str(ROOT))
    seeds, begin = TARGETS[target][1](), time.monotonic()
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGPROF, _too_long)
    # A disk would be waited for at each input.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        if engine == "mutator":
            watch, generator = Watch(target, Places(Path(folder)), keep), random.Random(f"{target} {seed}")
            while time.monotonic() - begin < seconds:
                watch(mutated(seeds, generator))
            watch.report(time.monotonic() - begin)
            return
        _with_atheris(target, seconds, seed, keep, Path(folder), seeds)


def _with_atheris(target: str, seconds: float, seed: int, keep: Path, folder: Path, seeds: list[bytes]) -> None:
    import atheris

    with atheris.instrument_imports(include=["pipelines", "json", "tomllib", "csv", "tarfile", "pickle"]):
        import pipelines.config
        import pipelines.data.coco
        import pipelines.data.keywords_files
        import pipelines.survey.keyworded  # noqa: F401
    watch, begin = Watch(target, Places(folder), keep), time.monotonic()
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content)
    escaped = ["".join(f"\\x{byte:02x}" for byte in word) for word in _INTERESTING if len(word) < 60]
    words.write_text("".join(f'"{word}"\n' for word in escaped))

    def one(content: bytes) -> None:
        if time.monotonic() - begin > seconds:
            watch.report(time.monotonic() - begin)
            os._exit(0)
        watch(content)

    options = [f"-seed={seed + 1}", f"-max_len={MOST_BYTES}", f"-rss_limit_mb={2 * MOST_MEMORY}", f"-dict={words}",
               "-timeout=60", "-verbosity=0", f"-artifact_prefix={corpus}-"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the target of the command line in a process of its own, and print the outcome as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["auto", "atheris", "mutator"], default="auto")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.target, given.seconds, given.seed, given.engine, given.keep)
        return 0
    given.keep.mkdir(parents=True, exist_ok=True)
    if given.engine == "auto":
        import importlib.util

        given.engine = "atheris" if importlib.util.find_spec("atheris") else "mutator"
    targets = list(TARGETS) if given.target == "all" else [given.target]
    print(f"engine {given.engine}, seed {given.seed}")
    print("| target | inputs | seconds | slowest (s of the processor) | memory (MiB) | findings |")
    print("|---|---|---|---|---|---|")
    return max([_outcome(name, given.seconds / len(targets), given) for name in targets])


def _outcome(target: str, seconds: float, given: argparse.Namespace) -> int:
    """Run one target, print its line, and return the exit status."""
    (given.keep / f"{target}.json").unlink(missing_ok=True)
    command = [sys.executable, __file__, target, str(seconds), "--child", "--seed", str(given.seed),
               "--engine", given.engine, "--keep", str(given.keep)]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    try:
        outcome = json.loads((given.keep / f"{target}.json").read_text())
    except OSError:
        print(f"| {target} | the process ended early: {done.stdout.decode(errors='replace')[-600:]} |")
        return 1
    found = [f"{key}: {message}" for key, message in outcome["found"].items()]
    found += [f"memory of {outcome['memory']} MiB"] if outcome["memory"] > MOST_MEMORY else []
    cells = [outcome[name] for name in ("target", "calls", "seconds", "slowest", "memory")]
    print("|", " | ".join(map(str, cells)), "|", "; ".join(found) or "none", "|", flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
