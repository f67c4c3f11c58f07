"""What holds for all tests."""

import os

from hypothesis import HealthCheck, settings

# The tests run in a process a core: threads of torch beside them would wait for each other. Before torch is imported;
# commands that tests start take it over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# To wait until files are on the disk takes much of the time of all tests, and shows nothing without a power cut. That
# files are synced, and in which order, is tested by who calls. Commands in processes of their own do wait.
os.fsync = lambda descriptor: None

# The same few examples in every run, so that a change alone can make a test fail. `--hypothesis-profile thorough` looks
# at many more, other ones in each run.
_EVERYWHERE = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fast", max_examples=25, derandomize=True, **_EVERYWHERE)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_EVERYWHERE)
settings.load_profile("fast")
