"""What is run: one version of a function, as it stood when it was published or last changed.

No operation here and nothing that runs: the control plane makes these of its documents, the execution environments and
the invocations read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LATEST = "$LATEST"


class Code(Protocol):
    """The files of a deployment package or of a layer."""

    @property
    def digest(self) -> str:
        """Names the content: two of the same digest have the same files."""
        ...

    async def directory(self) -> Path:
        """Where they are unpacked; nobody writes there, and it stays while a function that names it is run.

        Raises:
            OSError: They cannot be unpacked. The invocation then fails as one of an unusable function.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """How a function's log is written (AWS: LoggingConfig)."""

    log_format: Literal["Text", "JSON"] = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the user overrides of an image's own settings (AWS: ImageConfig)."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionVersion:
    """`$LATEST` or a published version.

    Attributes:
        version: `$LATEST`, or a number.
        revision_id: Changes with each change of code or configuration; environments of another one are retired.
        code: None for `package_type` Image.
        endpoint: For `package_type` Image: where its container is. `http://host:port` is one that answers as the
            Runtime Interface Emulator does (lambda.md 5.4); `runtime-api://host:port` is where the Runtime API listens,
            for a container that was started with `AWS_LAMBDA_RUNTIME_API=host:port`.
        timeout: Seconds.
        memory_size: MB, and `ephemeral_storage` too.
        environment: The function's own variables.
        layers: In the order of the configuration; files of a later one hide those of an earlier one.
        log_group: `/aws/lambda/<name>` unless the configuration says otherwise.
    """

    account_id: str
    region: str
    name: str
    revision_id: str
    version: str = LATEST
    package_type: Literal["Zip", "Image"] = "Zip"
    runtime: str | None = None
    handler: str | None = None
    code: Code | None = None
    layers: tuple[Code, ...] = ()
    endpoint: str | None = None
    image_config: ImageConfig = ImageConfig()
    architectures: tuple[str, ...] = ("x86_64",)
    timeout: int = 3
    memory_size: int = 128
    ephemeral_storage: int = 512
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    snap_start: Literal["None", "PublishedVersions"] = "None"
    tracing: Literal["PassThrough", "Active"] = "PassThrough"
    logging_config: LoggingConfig = LoggingConfig()
    log_group: str

    def arn(self, qualifier: str | None = None) -> str:
        """The function's ARN; with a qualifier (version or alias) that of what it names."""
        arn = f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"
        return arn if qualifier is None else f"{arn}:{qualifier}"

    @property
    def is_snap_started(self) -> bool:
        """Whether environments are copies of one that was initialised when the version was published (lambda.md 7)."""
        return self.snap_start == "PublishedVersions" and self.version != LATEST
