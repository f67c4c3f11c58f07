"""Processes that a command starts for itself: they import no main module, and end with the process that started them.

They are started by `spawn`: `fork` is not safe beside the threads of torch.
"""

import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.context import SpawnProcess
from typing import Any

from pipelines.engine.signals import ASKING

_STARTING = threading.Lock()


class OwnProcess(SpawnProcess):
    """A process that imports no main module, begins with all signals of `ASKING` blocked, and ends with its parent."""

    def start(self) -> None:
        """Start the process.

        A process takes over which signals are blocked. So none can come before `run` decides about them.
        """
        with _STARTING:
            main = vars(sys.modules["__main__"])
            known: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
            before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
            main.pop("__file__", None)  # without these two, there is nothing to import in the process
            main["__spec__"] = None
            try:
                super().start()
            finally:
                main.update(known)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Work, in the process."""
        end_with_parent()
        super().run()


def end_with_parent() -> None:
    """End this process when the one that started it ends, however that ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
