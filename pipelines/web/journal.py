"""The journal of corrections while several servers may add to it: each sees what the others wrote.

All writers of a folder take turns by a lock of the journal file itself (`flock`). On a file system without such locks,
only the threads of one server take turns.
"""

import fcntl
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.data.record_files import Record
from pipelines.data.review import REVIEW, actions_by_picture, live_actions
from pipelines.errors import InputError
from pipelines.file_errors import read_error, write_error
from pipelines.journal import Journal
from pipelines.regular_files import open_regular, open_to_append


class SharedJournal:
    """All actions of a label folder, those of other servers too.

    Attributes:
        path: The journal file.
        order: Image ids in the order of the actions, so that a reader can ask what is new since action N.
        lock: Held by the thread that reads or writes. Whoever keeps what follows from the actions takes this one too:
            of two locks, two threads could each hold one and wait for the other.
    """

    def __init__(self, labels: Path) -> None:
        """Read what is there.

        Args:
            labels: The label folder.

        Raises:
            InputError: The journal is damaged [journal-damaged] [review-damaged].
        """
        self.path = labels / REVIEW
        self.order: list[str] = []
        self._journal = Journal(self.path)
        self._of: dict[str, list[Record]] = defaultdict(list)
        self._of_session: dict[str, list[Record]] = defaultdict(list)
        self._read_to = 0
        self.lock = threading.RLock()
        self.refresh()

    def about(self, image_id: str) -> list[Record]:
        """Return the actions about a picture, the oldest first."""
        return list(self._of.get(image_id, ()))

    def pictures(self) -> list[str]:
        """Return the image ids that some action is about."""
        return list(self._of)

    def refresh(self) -> None:
        """Read what was added since the last time.

        Raises:
            InputError: The journal is damaged.
        """
        with self.lock:
            size = self._size()
            if size < self._read_to:  # somebody put another file there
                self.order, self._read_to = [], 0
                self._of.clear()
                self._of_session.clear()
            if size == self._read_to:
                return
            actions, end = self._journal.read_from(self._read_to)
            actions_by_picture(actions, self.path)
            self._read_to = end
            for action in actions:
                self.order.append(action["image_id"])
                self._of[action["image_id"]].append(action)
                self._of_session[action.get("session", "")].append(action)

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise read_error(self.path, error) from error

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other thread or server writes, and keep them waiting while the context is open.

        Inside, everything that others wrote is known, and the label maps may be written.

        Raises:
            MachineError: The journal cannot be written to.
        """
        with self.lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = open_to_append(self.path)
            except OSError as error:
                raise write_error(self.path, error) from error
            with file:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                self._mend()
                self.refresh()
                yield

    def _mend(self) -> None:
        """Cut off the line that a killed writer left torn; the lock says that nobody is writing it."""
        with open_regular(self.path) as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    Journal(self.path).repair()

    def add(self, action: dict[str, Any]) -> Record:
        """Add an action in a `turn`, force it on to the disk, and return it with its id and time.

        Raises:
            MachineError: The disk is full, or the journal cannot be written to.
        """
        record = {"id": uuid.uuid4().hex, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **action}
        self._journal.append(record)
        self._journal.sync()
        self.refresh()
        return record

    def last(self, session: str, reviewer: str, image_id: str) -> Record | None:
        """Return the action that an undo takes back.

        That is the last one of this page. A page that has done nothing yet takes back the last one of the same reviewer
        on the picture.

        Args:
            session: The page.
            reviewer: The person.
            image_id: The picture that the page shows.
        """
        of_page = self._of_session[session] if session else []
        own = [action for action in self._of[image_id] if action["reviewer"] == reviewer]
        for actions in (of_page, own):
            for action in reversed(actions):
                if any(live["id"] == action["id"] for live in live_actions(self._of[action["image_id"]])):
                    return action
        return None


def require_writable(labels: Path) -> None:
    """Check that corrections can be written into a label folder.

    Raises:
        InputError: They cannot [no-permission].
    """
    if not os.access(labels, os.W_OK):
        message = f"{labels}: the folder cannot be written to, one for corrections expected"
        raise InputError(f"{message}; copy it, or change its permissions", "no-permission")
