"""What all tests share."""

import os

# Before anything loads torch: tests run side by side on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
