"""What AWS's tools are told by `asl env`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import PROCESS, asl, environment

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
import json, boto3
session = boto3.Session()
keys = session.get_credentials()
client = session.client("stepfunctions")
print(json.dumps([client.meta.endpoint_url, client.meta.region_name, keys.access_key, keys.secret_key, keys.token]))
"""
KEYS = """
[a]
aws_access_key_id=A
aws_secret_access_key=sa
[b c]
aws_access_key_id=B
aws_secret_access_key=sb
aws_session_token=tb
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "the keys"
    path.write_text(KEYS)
    return path


def boto3_after(*words: str) -> list[str | None]:
    """What boto3 uses in a shell after `eval "$(asl env ...)"`."""
    stale = {"AWS_ACCESS_KEY_ID": "stale", "AWS_SECRET_ACCESS_KEY": "stale", "AWS_SESSION_TOKEN": "stale"}
    script = 'eval "$("$@")" && exec "$PYTHON" -c "$ASK"'
    ran = subprocess.run(
        ["sh", "-c", script, "sh", *PROCESS, "env", *words],
        env=environment(PYTHON=sys.executable, ASK=ASK, PYTHONWARNINGS="default", **stale),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(ran.stdout)
    assert isinstance(found, list)
    return found


def test_a_shell_takes_it_and_boto3_goes_to_the_server() -> None:
    assert boto3_after() == ["http://127.0.0.1:8083", "us-east-1", "000000000000", "dummy", None]


def test_a_file_of_keys_takes_the_place_of_dummy_ones(keys: Path) -> None:
    url = "https://sfn.example:8443"
    assert boto3_after("--url", url, "--access-keys", str(keys)) == [url, "us-east-1", "A", "sa", None]
    assert boto3_after("--access-keys", str(keys), "--profile", "b c")[2:] == ["B", "sb", "tb"]


def test_secrets_of_a_file_are_not_printed(keys: Path) -> None:
    assert "sb" not in asl("env", "--access-keys", str(keys), "--profile", "b c").stdout


def test_programs_get_json_and_other_shells_their_own_words() -> None:
    told = json.loads(asl("env", "--json").stdout)
    assert told["AWS_ENDPOINT_URL_SFN"] == "http://127.0.0.1:8083"
    assert told["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"
    assert told["AWS_SESSION_TOKEN"] is None
    assert "set -gx AWS_SECRET_ACCESS_KEY dummy;\nset -e AWS_SESSION_TOKEN;" in asl("env", "--shell", "fish").stdout
    assert (
        "$Env:AWS_SECRET_ACCESS_KEY = 'dummy'\n$Env:AWS_SESSION_TOKEN = ''"
        in asl("env", "--shell", "powershell").stdout
    )


def test_the_region_and_account_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_REGION", "eu-west-1")
    monkeypatch.setenv("ASL_ACCOUNT_ID", "123456789012")
    told = json.loads(asl("env", "--json").stdout)
    assert (told["AWS_REGION"], told["AWS_ACCESS_KEY_ID"]) == ("eu-west-1", "123456789012")


def test_what_cannot_be_used_is_told(keys: Path) -> None:
    assert "--access-keys /nowhere: No such file" in asl("env", "--access-keys", "/nowhere").stderr
    assert "has a, b c" in asl("env", "--access-keys", str(keys), "--profile", "x").stderr
    for url in ("nonsense", "http://host:port", "ftp://host"):
        assert f"--url {url}: expected http://HOST:PORT" in asl("env", "--url", url).stderr
    assert "--profile is a section" in asl("env", "--profile", "x").stderr
