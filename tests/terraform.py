"""Terraform with HashiCorp's provider for AWS, unchanged, where both are on this machine.

The provider is in a filesystem mirror: where Terraform itself looks for one, under /opt, or where
ASL_TEST_TERRAFORM_PLUGINS says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "registry.terraform.io/hashicorp/aws/5.100.0"
COMMAND_SECONDS = 120

REQUIRED = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}
"""


def mirror() -> Path | None:
    """Where the provider is."""
    given = os.environ.get("ASL_TEST_TERRAFORM_PLUGINS")
    places = [
        *([Path(given)] if given else []), Path.home() / ".terraform.d/plugins",
        Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins"), *Path("/opt").glob("*"),
    ]  # fmt: skip
    return next((place for place in places if (place / PROVIDER).is_dir()), None)


has_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None or mirror() is None,
    reason=f"no terraform, or no {PROVIDER}: ASL_TEST_TERRAFORM_PLUGINS names a filesystem mirror",
)


class Terraform:
    """`terraform` in a folder of its own, with these variables of the environment besides the user's other ones."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        place = f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror()}" }}\n}}\n'
        (folder / "terraform.rc").write_text(place)
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "ASL_", "TF_"))}
        self._environment = {
            **inherited, **variables, "HOME": str(folder), "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1",
        }  # fmt: skip

    def configure(self, configuration: str) -> None:
        (self.folder / "main.tf").write_text(REQUIRED + configuration)

    def __call__(self, command: str, *words: str) -> str:
        """What a command says; it must succeed."""
        result = subprocess.run(
            ["terraform", command, "-no-color", *words], cwd=self.folder, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout
        return result.stdout

    def apply(self, *words: str) -> str:
        # One call after another, so that two recordings are alike.
        return self("apply", "-auto-approve", "-input=false", "-parallelism=1", *words)
