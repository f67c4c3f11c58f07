"""Locks of folders, with real processes where it matters that the processes are two."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines import folder_lock
from pipelines.errors import ConfigError, MachineError
from pipelines.files import remove_stale_temporaries
from pipelines.folder_lock import is_held_elsewhere, require_free, sole_writer, was_held
from tests.pipelines.holder import ROOT, end, held_by_another, start_holder

LOCK = ".s4-lock"


def hold(folder: Path, told: list[str] | None = None, part: tuple[int, int] = (1, 1), file: str = "") -> Any:
    return sole_writer(folder, "s4 train", (told if told is not None else []).append, part, file)


def killed(folder: Path, part: tuple[int, int] = (1, 1)) -> dict[str, Any]:
    """The content of the lock that a killed process left."""
    process = start_holder(folder, part)
    process.kill()
    process.communicate()
    (lock,) = folder.glob(".s4-lock*")
    content: dict[str, Any] = json.loads(lock.read_text())
    assert content["pid"] == process.pid
    return content


def rewrite(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / LOCK).read_text())
    (folder / LOCK).write_text(json.dumps({**content, **changes}))


def test_a_lock_is_there_while_the_work_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "b"):
        assert os.listdir(tmp_path / "a" / "b") == [LOCK]
        content = json.loads((tmp_path / "a" / "b" / LOCK).read_text())
        assert (content["pid"], content["host"]) == (os.getpid(), platform.node())
        # Field 22 of /proc/PID/stat, see proc(5); the name of a test's process has no space.
        assert content["process_start"] == int(Path("/proc/self/stat").read_text().split()[21])
    assert os.listdir(tmp_path) == []  # an error before the first file leaves no empty folders


def test_what_was_written_stays_and_so_do_folders_that_were_there(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with hold(tmp_path / "old" / "new"):
        (tmp_path / "old" / "new" / "file").touch()
    assert os.listdir(tmp_path / "old" / "new") == ["file"]
    with hold(tmp_path / "old"), hold(tmp_path / "old" / "other"):
        pass
    assert os.listdir(tmp_path / "old") == ["new"]


def test_a_lock_is_removed_after_errors(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold(tmp_path):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_second_process_is_refused_with_who_holds_the_folder(tmp_path: Path) -> None:
    with held_by_another(tmp_path) as process:
        for refused in (hold(tmp_path).__enter__, lambda: require_free(tmp_path)):
            with pytest.raises(ConfigError, match=r"\[folder-busy\]") as caught:
                refused()
            message = str(caught.value)
            assert str(tmp_path) in message
            assert f"s4 test (process {process.pid} on {platform.node()}, since 20" in message
            assert "remove" not in message  # the process is there: nobody should remove its lock
            assert caught.value.exit_code == 2
        assert os.listdir(tmp_path) == [LOCK]
    require_free(tmp_path)
    with hold(tmp_path):
        pass


def test_a_second_thread_is_refused(tmp_path: Path) -> None:
    def second() -> None:
        with hold(tmp_path):
            pass

    with hold(tmp_path), ThreadPoolExecutor(1) as pool, pytest.raises(ConfigError, match="folder-busy"):
        pool.submit(second).result()


def test_the_lock_of_a_killed_process_is_taken_over_with_a_word(tmp_path: Path) -> None:
    pid = killed(tmp_path)["pid"]
    require_free(tmp_path)
    told: list[str] = []
    with hold(tmp_path, told):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        assert os.listdir(tmp_path) == [LOCK]
    assert len(told) == 1
    assert f"process {pid} on {platform.node()}" in told[0]
    assert "is gone, its lock is taken over" in told[0]


def test_a_process_that_ended_but_was_not_waited_for_is_gone(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # now it is a zombie: kill(pid, 0) would find it
    with hold(tmp_path):
        pass
    process.communicate()


def test_a_process_number_in_other_hands_is_no_holder(tmp_path: Path) -> None:
    start = killed(tmp_path)["process_start"]
    rewrite(tmp_path, pid=os.getpid(), process_start=start - 1)
    with hold(tmp_path):
        pass
    killed(tmp_path)
    own = int(Path("/proc/self/stat").read_text().split()[21])
    rewrite(tmp_path, process_start=-1)  # unknown, but there is no process of the number
    with hold(tmp_path):
        pass
    killed(tmp_path)
    rewrite(tmp_path, pid=os.getpid(), process_start=own)
    with pytest.raises(ConfigError, match="folder-busy"):
        require_free(tmp_path)


def test_a_machine_that_was_started_anew_has_no_old_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = folder_lock._line
    monkeypatch.setattr(folder_lock, "_line", lambda path: "m1" if path == "/etc/machine-id" else line(path))
    killed(tmp_path)
    rewrite(tmp_path, machine="m1", boot="an earlier one", pid=os.getpid())
    with hold(tmp_path):
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"boot": "of elsewhere", "host": "node7", "machine": "m2"},
        {"boot": "of elsewhere", "host": "node7", "machine": "m1"},  # a copied disk image
        {"boot": "of elsewhere", "machine": "m2"},  # two machines of one name
        {"boot": "of elsewhere", "machine": ""},
        {"namespace": "pid:[1]"},  # another container on this system
        {"boot": ""},
    ],
)
def test_of_a_holder_elsewhere_nothing_is_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    line = folder_lock._line
    monkeypatch.setattr(folder_lock, "_line", lambda path: "m1" if path == "/etc/machine-id" else line(path))
    killed(tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(ConfigError, match=r"if that process is gone, remove .*/\.s4-lock \[folder-busy\]"):
        hold(tmp_path).__enter__()
    assert is_held_elsewhere(tmp_path)
    (tmp_path / LOCK).unlink()
    with hold(tmp_path):
        pass


def test_of_many_processes_one_takes_a_stale_lock_over(tmp_path: Path) -> None:
    """Twelve processes wait for the same moment. One gets the folder, and the others are told of that one."""
    killed(tmp_path / "out")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom pipelines.folder_lock import sole_writer\n"
        "from pipelines.errors import ConfigError\nsys.stdin.readline()\n"
        "try:\n with sole_writer(Path(sys.argv[1]), 's4 test', lambda line: None):\n"
        "  print('got', flush=True); sys.stdin.read()\n"
        "except ConfigError as error: print(error.rule, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    many = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(12)
    ]
    for process in many:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.stdout.readline().strip() for process in many if process.stdout is not None)
    assert said == [*["folder-busy"] * 11, "got"]
    for process in many:
        end(process)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "out"])
    assert [name for name in os.listdir(tmp_path / "out")] == []


def test_a_takeover_that_was_killed_is_taken_over_too(tmp_path: Path) -> None:
    old = killed(tmp_path)
    claim = tmp_path / f"{LOCK}.{old['token']}"
    claim.write_text(json.dumps({**old, "token": "0" * 32}))
    with hold(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]
    # Whoever was slow finds another lock than the stale one, and does not replace it.
    mine = folder_lock.Holder.here("s4 train")
    with held_by_another(tmp_path):
        before = (tmp_path / LOCK).read_text()
        assert not folder_lock._taken_over(tmp_path / LOCK, folder_lock.Holder(**old), mine, print)
        assert (tmp_path / LOCK).read_text() == before


def test_shards_of_one_division_work_together_and_no_others(tmp_path: Path) -> None:
    with held_by_another(tmp_path, (1, 3)):
        with hold(tmp_path, part=(2, 3)), hold(tmp_path, part=(3, 3)):
            require_free(tmp_path / "elsewhere", (1, 3))
        for part in ((1, 3), (1, 1), (1, 2), (2, 4)):
            with pytest.raises(ConfigError, match="folder-busy"):
                require_free(tmp_path, part)
            with pytest.raises(ConfigError, match="folder-busy"):
                hold(tmp_path, part=part).__enter__()
        assert os.listdir(tmp_path) == [".s4-lock-1-of-3"]


def test_a_killed_shard_is_no_obstacle_to_another_division(tmp_path: Path) -> None:
    killed(tmp_path, (2, 3))
    with hold(tmp_path, part=(1, 3)):
        assert sorted(os.listdir(tmp_path)) == [".s4-lock-1-of-3", ".s4-lock-2-of-3"]  # shard 2 takes its own over
    with hold(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]


def test_the_lock_of_a_file_leaves_the_folder_free(tmp_path: Path) -> None:
    with held_by_another(tmp_path, file="a.csv"), hold(tmp_path, file="b.csv"), hold(tmp_path):
        with pytest.raises(ConfigError, match="folder-busy"):
            hold(tmp_path, file="a.csv").__enter__()


def test_a_forked_child_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    with hold(tmp_path):
        lock, mine = tmp_path / LOCK, folder_lock._read(tmp_path / LOCK)
        assert mine is not None
        child = folder_lock.Holder(**{**mine.__dict__, "pid": os.getpid() + 1})
        folder_lock._release(lock, child)
        assert lock.exists()


def test_a_lock_that_was_taken_away_by_hand_is_not_taken_from_the_next(tmp_path: Path) -> None:
    with hold(tmp_path):
        (tmp_path / LOCK).unlink()
        process = start_holder(tmp_path)
    assert (tmp_path / LOCK).exists()
    end(process)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": 1}', "[" * 100_000])
def test_a_lock_without_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(folder_lock, "_TRIES", 2)
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(ConfigError, match=r"\.s4-lock: a lock that cannot be read.*remove it.*\[folder-busy\]"):
        hold(tmp_path).__enter__()
    assert (tmp_path / LOCK).read_text() == content


@pytest.mark.parametrize("pid", [0, -1, True, "1"])
def test_a_number_that_no_process_has_names_nobody(tmp_path: Path, pid: Any) -> None:
    """Signal 0 to process 0 or -1 would go to many."""
    killed(tmp_path)
    rewrite(tmp_path, pid=pid)
    assert folder_lock._read(tmp_path / LOCK) is None


def test_file_systems_without_links_have_locks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with hold(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]
        with pytest.raises(ConfigError, match="folder-busy"):
            hold(tmp_path).__enter__()
    assert os.listdir(tmp_path) == []


def test_a_link_whose_answer_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An NFS client may send a request twice, and hear of its own link as one that exists."""
    link = os.link

    def lose(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError

    monkeypatch.setattr(os, "link", lose)
    with hold(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError) as caught:
        hold(tmp_path / "file" / "out").__enter__()
    assert str(caught.value).startswith(f"{tmp_path}/file/out: ")
    assert LOCK not in str(caught.value)


def test_temporaries_stay_while_another_machine_works_there(tmp_path: Path) -> None:
    gone = killed(tmp_path, (2, 3))
    (tmp_path / "labels").mkdir()
    stale = tmp_path / "labels" / f".a.png.{gone['pid']}.tmp"
    stale.touch()

    def sweep() -> int:
        return remove_stale_temporaries(tmp_path, ["labels"], lambda: not is_held_elsewhere(tmp_path))

    lock = tmp_path / ".s4-lock-2-of-3"
    lock.write_text(json.dumps({**gone, "boot": "of elsewhere", "machine": "of elsewhere"}))
    assert was_held(tmp_path)
    assert sweep() == 0
    assert stale.exists()
    lock.write_text(json.dumps(gone))
    assert sweep() == 1
    assert not stale.exists()


def test_a_signal_that_ends_the_process_leaves_a_lock_that_the_next_takes_over(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert was_held(tmp_path)
    with hold(tmp_path):
        pass
    assert not was_held(tmp_path)
