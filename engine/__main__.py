"""`python -m engine` is `asl`."""

from __future__ import annotations

from engine.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m engine")
