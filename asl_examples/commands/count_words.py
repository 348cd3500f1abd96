"""Counts the words of {"text": "..."}."""

import json
import sys

event = json.load(sys.stdin)
json.dump({"words": len(event["text"].split())}, sys.stdout)
