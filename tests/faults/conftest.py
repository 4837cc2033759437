"""The fault matrix borrows the tools of the connectors' and of the daemon's tests."""

import sys
from pathlib import Path

for folder in ("connectors", "daemon"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
