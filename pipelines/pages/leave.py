"""The page that a command leaves beside its result: it never fails the command, and it costs little time."""

import os
from collections.abc import Callable
from pathlib import Path

from pipelines.events import Events
from pipelines.pages.result import Result

_LEAST, _SHARE = 5.0, 0.03  # seconds to draw pictures in, and the share of the command's time where that is more


def leave_page(path: Path, result: Callable[[], Result], seconds: float, events: Events) -> None:
    """Write the page of a result; where that fails, warn.

    Of the processes of torchrun, that of rank 0 writes.

    Args:
        path: The HTML file.
        result: Function that reads what is to be shown.
        seconds: Time that the command took. The pictures may take 3 % of that, or five seconds.
        events: Receives the warning.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    try:
        from pipelines.pages.page import write_page  # brings matplotlib, which no work before needs

        write_page(path, result(), max(_LEAST, _SHARE * seconds))
    except Exception as error:  # whatever it is: the result of the command is whole
        told = str(error) or type(error).__name__
        events.warn(f"{path}: no report was written ({told}); the result itself is whole [report-failed]")
