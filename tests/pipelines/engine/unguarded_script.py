"""Works with processes as a script of a user does: without asking for the name of the main module."""

import sys

from pipelines.engine.picture_workers import PictureWorkers
from pipelines.engine.signals import StopRequest
from pipelines.events import Events
from tests.pipelines.engine import light_work

IS_SCRIPT = True
with PictureWorkers(light_work.LightWork(), 2, Events()) as workers, StopRequest() as stop:
    items = [(f"p{number}", sys.argv[2]) for number in range(1000)]
    done = list(workers.answers(getattr(light_work, sys.argv[1]), items, lambda: stop.asked))
sys.stdout.write(f"{len(done)} done")
