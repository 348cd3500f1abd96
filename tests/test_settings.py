"""What the environment says."""

from __future__ import annotations

import pytest

from engine.settings import Settings


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "c"}, "c"),
        ({"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "b"),
        ({"ASL_REGION": "a", "AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "a"),
        ({"ASL_REGION": "", "AWS_REGION": "b"}, "b"),
    ],
)
def test_our_own_variable_goes_before_those_of_aws(environment, region):
    assert Settings.from_environment(environment).region == region


def test_the_database_is_ours_alone_to_name():
    assert Settings.from_environment({"ASL_DATABASE_URL": "postgresql://x"}).database_url == "postgresql://x"
    assert Settings.from_environment({"DATABASE_URL": "postgresql://x"}).database_url is None
    assert Settings.from_environment({"ASL_DATABASE_URL": ""}).database_url is None


def test_the_account_is_twelve_zeros_unless_given():
    assert Settings.from_environment({}).account_id == "000000000000"
    assert Settings.from_environment({"ASL_ACCOUNT_ID": "123456789012"}).account_id == "123456789012"


def test_the_cluster_of_dask_handlers_is_named_by_a_variable():
    assert Settings.from_environment({}).dask_scheduler is None
    assert Settings.from_environment({"ASL_DASK_SCHEDULER": "tcp://d:8786"}).dask_scheduler == "tcp://d:8786"
