"""Fails on words that begin with an x, with an exit status that says how many there are."""

import json
import os
import sys

words = json.load(sys.stdin)["text"].split()
unknown = [word for word in words if word.startswith("x")]
if unknown:
    print(f"{os.environ['ASL_STATE_NAME']}: who knows {', '.join(unknown)}?", file=sys.stderr)
    sys.exit(len(unknown))
json.dump({"mistakes": 0}, sys.stdout)
