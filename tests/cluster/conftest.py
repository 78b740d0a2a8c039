"""Before Ray is imported: nothing is sent home, and no file of the user's decides about a token."""

import os

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
