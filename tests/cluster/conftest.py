"""Before Ray is imported: nothing is sent home, no file of the user's decides about a token, and
workers are as nice as the tests (Ray's 15 more starve them where the machine has other work)."""

import os

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
