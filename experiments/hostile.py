"""Gives hostile inputs to every command, each in a process of its own, and tells what broke a promise.

    OMP_NUM_THREADS=1 python experiments/hostile.py [--seed 0] [--share 1.0] [--family NAME ...] [--jobs 2] [--keep DIR]

A process that has imported everything makes small data, networks, runs and labels, and then forks a child for each
input. The child runs one command line in a fresh folder. The promises are:

- the exit code is 0, 2, 3, 4, 5, 6, 75 or 130, and a traceback is never printed;
- a failure is told on stderr as `error: ... [rule]`, and under `--json` as one object on stdout;
- no warning of a library reaches the user;
- no input takes more than 10 s, less what other programs took. One that does is tried again alone, up to three times.
  One of 30 s is killed. `s4 export` may take all of these: it works for about nine seconds on any network;
- no process takes more than 1.5 GiB of memory;
- nothing is written, changed or removed outside of the output, and no temporary file stays. Pages of earlier stages
  are left out: they get a link to the page of the result.

`--share` takes a part of the inputs of each family. Told are a table of the families, and every broken promise. With
`--keep`, the folders of inputs that broke one are kept. The exit status is 1 if there was any.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USUAL_WARNINGS = list(warnings.filters)  # before libraries add theirs
sys.path.insert(0, str(ROOT))

import matplotlib.pyplot  # noqa: E402, F401 - imported once, before the forks
import onnx  # noqa: E402, F401
import torch  # noqa: E402 - the root of the source must be on the path
import uvicorn  # noqa: E402, F401

from experiments.hostile_inputs import FAMILIES  # noqa: E402
from experiments.hostile_inputs.place import Place, Trial, run_here  # noqa: E402
from experiments.hostile_inputs.talk import converse  # noqa: E402
from experiments.hostile_inputs.world import write_world  # noqa: E402

CODES = {0, 2, 3, 4, 5, 6, 75, 130}
LONGEST, KILLED = 10.0, 30.0  # seconds
WORKING = {"export": 30.0}  # seconds of commands that work that long on an input with nothing wrong
TRIES = 3  # of what took long, alone: other programs may take the processor, the memory and the disk
LINKED = "report.html"
LONGEST_PATH = 3800  # bytes
MOST_MEMORY = 1536  # MiB
ADDRESS_SPACE = 12 << 30  # bytes: a limit that keeps a fault from taking the machine
_WARNING = re.compile(r"^\S*\.py:\d+: \w*Warning", re.MULTILINE)
_MODULES = (
    "ablate", "bench", "check", "convert", "deeplab_train", "doctor", "evaluate", "explain", "export", "init",
    "predict", "pseudo_label", "report_command", "review", "run", "train", "web.app",
)  # fmt: skip
Listing = dict[str, tuple[int, ...] | str]


def listing(folder: Path, without: Path | None = None) -> Listing:
    """Return name, kind, size and time of everything below a folder; links are not followed."""
    found: Listing = {}
    waiting = [os.fsencode(folder)]
    while waiting:
        if len(waiting[-1]) > LONGEST_PATH:  # no call takes what lies deeper
            waiting.pop()
            continue
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if without is not None and entry.path == os.fsencode(without):
                    continue
                told = entry.stat(follow_symlinks=False)
                name = os.fsdecode(entry.path)
                if entry.is_dir(follow_symlinks=False):  # a lock that came and went changes the time of its folder
                    found[name] = (told.st_mode,)
                    waiting.append(entry.path)
                else:
                    found[name] = (told.st_mode, told.st_size, told.st_mtime_ns)
    return found


def in_queue(child: int) -> float:
    """Return the seconds that a process was ready to run while others had the processor."""
    return int(Path(f"/proc/{child}/schedstat").read_text().split()[1]) / 1e9


@dataclass
class Running:
    """A child at work."""

    number: int
    trial: Trial
    place: Place
    arguments: list[str]
    before: Listing
    begin: float
    again: bool = False


@dataclass
class Outcome:
    """What was seen of a family."""

    inputs: int = 0
    calls: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    memory: int = 0
    broken: list[str] = field(default_factory=list)


def begin(number: int, trial: Trial, base: Path, world: Path, seed: int, again: bool = False) -> tuple[int, Running]:
    """Write an input and fork the child that runs it; return its process id."""
    place = Place.new(base / f"{number}", world, random.Random(f"{seed} {trial.family} {trial.name}"))
    arguments = trial.build(place)
    running = Running(number, trial, place, arguments, listing(place.root, place.out), time.monotonic(), again)
    child = os.fork()
    if child:
        return child, running
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = in_child(running)
    except BaseException:  # what escapes from the program is printed as Python does
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        try:
            with contextlib.suppress(OSError):
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()
        finally:
            os._exit(code)  # whatever else fails: a child that went on would remove the folder of all


def in_child(running: Running) -> int:
    """Run the command line as a process would run it."""
    place = running.place
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(place.logs / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(HOME=str(place.home), TMPDIR=str(place.temporary))
    tempfile.tempdir = None
    os.chdir(place.cwd)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    warnings.resetwarnings()
    warnings.filters[:] = USUAL_WARNINGS
    if running.trial.before is not None:
        running.trial.before(place)
        try:  # a new process looks at its streams
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        except OSError:
            sys.stdout = None
    if running.trial.calls is not None:
        threading.Thread(target=converse, args=(place, running.trial.calls), daemon=True).start()
    return run_here(running.arguments)


def said_in(log: Path) -> str:
    """Return what a child has printed; nothing if it never began."""
    return log.read_bytes().decode(errors="backslashreplace") if log.exists() else ""


def limit_of(running: Running) -> float:
    """Return the seconds that a command may take."""
    return WORKING.get(running.arguments[0], LONGEST)


def faults_of(running: Running, code: int, seconds: float, memory: int) -> list[str]:
    """Return the promises that a child has broken."""
    place = running.place
    out, err = (said_in(place.logs / name) for name in ("stdout", "stderr"))
    found = []
    if code not in CODES:
        found.append(f"exit {code}: {err.strip()[-1500:]}")
    elif "Traceback (most recent" in err + out:
        found.append(f"traceback: {err.strip()[-1500:]}")
    if _WARNING.search(err):
        found.append(f"warning of a library: {err.strip()[-700:]}")
    if code in CODES - {0, 4, 75, 130} and not re.search(r"^error: .*\[[a-z0-9-]+\]$|^Usage: ", err, re.M | re.S):
        found.append(f"silent exit {code}: {err.strip()[-700:]}")
    if "--json" in running.arguments and not running.trial.before:
        found += [f"stdout is not one JSON object: {out[-400:]}"] if not _is_json(out, code) else []
    if seconds > limit_of(running):
        found.append(f"{seconds:.1f} s")
    # The memory of a training grows with batches and pictures, which flags make larger.
    if memory > MOST_MEMORY and not (running.trial.family == "flags" and "train" in running.arguments[0]):
        found.append(f"{memory} MiB")
    after = listing(place.root, place.out)
    ignored = {str(place.logs / name) for name in ("stdout", "stderr", "talk")}
    changed = [n for n in before_and_after(running.before, after) if n not in ignored]
    if running.trial.rewrites:
        changed = [name for name in changed if not name.startswith(str(place.root / running.trial.rewrites))]
    found += [f"changed outside of the output: {changed[:5]}"] if changed else []
    left = [str(path) for path in place.out.rglob("*.tmp")] if place.out.is_dir() else []
    found += [f"temporary files left: {left[:3]}"] if left else []
    talked = place.logs / "talk"
    return found + ([line for line in talked.read_text().splitlines() if line[0] != "#"] if talked.exists() else [])


def before_and_after(before: Listing, after: Listing) -> list[str]:
    """Return the names in which two listings differ, without pages, which get links to the pages after them."""
    changed = (name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return sorted(name for name in changed if not name.endswith(f"/{LINKED}"))


def _is_json(out: str, code: int) -> bool:
    if code in (75, 130) and not out:
        return True
    try:
        return isinstance(json.loads(out), dict) and out.count("\n") == 1
    except ValueError:
        return out.lstrip().startswith("{") and _is_pretty(out)


def _is_pretty(out: str) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(out), dict)
    return False


class Pass:
    """A run through all trials."""

    def __init__(self, given: argparse.Namespace, base: Path, world: Path) -> None:
        """Take the settings of the command line."""
        self.given, self.base, self.world = given, base, world
        self.outcomes = {name: Outcome() for name in FAMILIES}
        self.slow: list[tuple[int, Trial]] = []
        self.at_work: dict[int, Running] = {}

    def start(self, number: int, trial: Trial, again: bool = False) -> None:
        """Start one input."""
        child, running = begin(number, trial, self.base, self.world, self.given.seed, again)
        self.at_work[child] = running

    def wait(self) -> None:
        """Wait until a child has ended, or end it."""
        while True:
            for child, running in list(self.at_work.items()):
                seconds = time.monotonic() - running.begin - in_queue(child)
                if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    del self.at_work[child]
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child, signal.SIGKILL)  # what it has left behind, while its number is its own
                    _, status, used = os.wait4(child, 0)
                    code = os.waitstatus_to_exitcode(status)
                    return self.judge(running, code, seconds, used.ru_maxrss // 1024)
                if seconds > KILLED:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child, signal.SIGKILL)
            time.sleep(0.01)

    def judge(self, running: Running, code: int, seconds: float, memory: int) -> None:
        """Keep what was seen of a child that has ended."""
        if seconds > limit_of(running) and not running.again:
            self.slow.append((running.number, running.trial))
            self.remove(running)
            return
        outcome = self.outcomes[running.trial.family]
        outcome.inputs += 1
        outcome.calls += len(running.trial.calls or ())
        outcome.codes[code] += 1
        outcome.longest, outcome.memory = max(outcome.longest, seconds), max(outcome.memory, memory)
        faults = faults_of(running, code, seconds, memory)
        for fault in faults:
            line = " ".join(arg if len(arg) < 80 else f"{arg[:60]}...({len(arg)})" for arg in running.arguments)
            outcome.broken.append(f"{running.trial.family} / {running.trial.name}: s4 {line!r}\n    {fault}")
            print(outcome.broken[-1], flush=True)
        if self.given.verbose:
            last = said_in(running.place.logs / "stderr").strip().splitlines()[-1:]
            print(f"{running.trial.family} / {running.trial.name}: {code}, {seconds:.1f} s, {memory} MiB {last}")
        if faults and self.given.keep:
            kept = self.given.keep / f"{running.number}"
            with contextlib.suppress(shutil.Error):  # pipes and sockets
                shutil.copytree(running.place.root, kept, symlinks=True, dirs_exist_ok=True)
        self.remove(running)

    def remove(self, running: Running) -> None:
        """Remove the folder of an input, whatever lies in it."""
        shutil.rmtree(running.place.root, ignore_errors=True)

    def run(self, trials: list[Trial]) -> None:
        """Run all trials, and those that took long once more, alone."""
        for number, trial in enumerate(trials):
            self.start(number, trial)
            while len(self.at_work) >= self.given.jobs:
                self.wait()
            if number % 100 == 99:
                print(f"{number + 1} of {len(trials)} inputs are started", file=sys.stderr, flush=True)
        while self.at_work:
            self.wait()
        for attempt in range(TRIES):
            slow, self.slow = self.slow, []
            for number, trial in slow:
                self.start(number, trial, again=attempt == TRIES - 1)
                self.wait()


def chosen(given: argparse.Namespace) -> list[Trial]:
    """Return the trials that the command line asks for."""
    trials = []
    for name in given.family or FAMILIES:
        generator = random.Random(f"{given.seed} {name}")
        made = [Trial(name, *rest) for rest in FAMILIES[name](generator)]
        generator.shuffle(made)
        trials += made[: max(1, round(len(made) * given.share))]
    random.Random(given.seed).shuffle(trials)  # so that a fault of any family is seen early
    return trials


def table(outcomes: dict[str, Outcome], trials: list[Trial]) -> str:
    """Return the table of the families as Markdown."""
    rows = ["| family | inputs | exit codes | longest (s) | most memory (MiB) | broken |", "|---|---|---|---|---|---|"]
    total = Outcome()
    for name, one in outcomes.items():
        if not one.inputs:
            continue
        rows.append(_row(name, one))
        total.inputs, total.calls, total.codes = (
            total.inputs + one.inputs,
            total.calls + one.calls,
            total.codes + one.codes,
        )
        total.longest, total.memory = max(total.longest, one.longest), max(total.memory, one.memory)
        total.broken += one.broken
    return "\n".join([*rows, _row("all", total)])


def _row(name: str, one: Outcome) -> str:
    inputs = f"{one.inputs:,}" + (f" and {one.calls:,} requests" if one.calls else "")
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(one.codes.items()))
    return f"| {name} | {inputs} | {codes} | {one.longest:.1f} | {one.memory:,} | {len(one.broken)} |"


def parsed() -> argparse.Namespace:
    """Return the settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", help="run the inputs alone whose name has this text")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Run what the command line says, and print the table."""
    given = parsed()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries that write the inputs
    for name in _MODULES:
        __import__(f"pipelines.{name}")
    if given.keep:
        given.keep.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as folder:
        base = Path(folder).resolve()
        world = write_world(base / "world")
        trials = [one for one in chosen(given) if not given.only or given.only in one.name]
        work = Pass(given, base, world)
        before = listing(world), sorted(os.listdir(base))
        start = time.monotonic()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        try:
            work.run(trials)
        finally:
            for child in work.at_work:
                os.killpg(child, signal.SIGKILL)
        print(f"seed {given.seed}, {len(trials)} inputs, {time.monotonic() - start:.0f} s", flush=True)
        print(table(work.outcomes, trials))
        changed = before_and_after(before[0], listing(world)) + sorted({*os.listdir(base)} ^ {*before[1]})
        if changed:
            print(f"changed in the shared folder: {changed[:10]}")
    return int(bool(changed) or any(one.broken for one in work.outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
