"""What all tests share."""

import os
import signal

# Before anything loads torch: tests run side by side on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script's shell starts background commands with SIGINT ignored, which their children inherit:
# `make test &` would wait in vain for what Ctrl-C does.
signal.signal(signal.SIGINT, signal.default_int_handler)
