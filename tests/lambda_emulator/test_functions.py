"""Versions of functions."""

from __future__ import annotations

from dataclasses import replace

from engine.lambda_emulator.functions import FunctionVersion

LATEST = FunctionVersion(
    account_id="000000000000", region="eu-central-1", name="f", revision_id="r1", log_group="/aws/lambda/f"
)


def test_an_arn_has_the_qualifier_it_is_asked_for():
    assert LATEST.arn() == "arn:aws:lambda:eu-central-1:000000000000:function:f"
    assert LATEST.arn("live") == "arn:aws:lambda:eu-central-1:000000000000:function:f:live"


def test_only_published_versions_are_snap_started():
    """lambda.md 7: `$LATEST` is never snapshotted."""
    asked = replace(LATEST, snap_start="PublishedVersions")
    assert not asked.is_snap_started
    assert replace(asked, version="1").is_snap_started
    assert not replace(LATEST, version="1").is_snap_started
