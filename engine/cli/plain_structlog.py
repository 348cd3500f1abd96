"""structlog without rich, which it imports for tracebacks on a terminal: 5 MB and 30 ms of each server and worker.

Here for what is imported first by the commands whose log is JSON; whoever needs rich imports it later as ever.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = ["structlog"]

if TYPE_CHECKING or "structlog" in sys.modules or "rich" in sys.modules:
    import structlog
else:
    sys.modules["rich"] = None  # so that importing it is an ImportError, which structlog takes as: not installed
    try:
        import structlog
    finally:
        del sys.modules["rich"]
