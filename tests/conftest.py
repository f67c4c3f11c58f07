"""What holds for all tests."""

import os

# The tests run in a process a core: threads of torch beside them would wait for each other. Before torch is imported;
# commands that tests start take it over.
os.environ.setdefault("OMP_NUM_THREADS", "1")
