"""What is kept of a function and of a layer, and its text in the store.

Fields are AWS's members in snake_case; documents inside them that we only show keep AWS's member names. Times are
milliseconds since the epoch. Qualifiers are `$LATEST`, version numbers and alias names, as texts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.store import Digest, Document, Key

FORMAT = 1
"""Of the documents. A newer one is refused: its function was written by a newer server on the same database."""

State = Literal["Pending", "Active", "Inactive", "Failed"]
UpdateStatus = Literal["InProgress", "Successful", "Failed"]

CREATING = "The function is being created."


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A zip that was taken.

    Attributes:
        code_size: Bytes of the zip.
        unzipped_size: Bytes of its files.
    """

    digest: Digest
    code_size: int
    unzipped_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUse:
    """A layer version as a function names it: the function keeps the package when the layer version goes."""

    arn: str
    package: Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What becomes of a Pending or InProgress configuration by itself (lambda.md 3.1): nobody has to be there for it.

    Attributes:
        at: From when on it is Active and Successful.
        revision_id: Its revision then.
    """

    at: int
    revision_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """`$LATEST` or a published version (AWS: FunctionConfiguration).

    Attributes:
        content_id: Changes with code and configuration alone; a revision id changes with a policy and a state as well.
        package: None for `package_type` Image.
        code_sha256: As AWS shows it: base64, or that of an image's address.
        environment: None where none was ever given.
    """

    role: str
    last_modified: int
    revision_id: str
    content_id: str
    version: str = LATEST
    description: str = ""
    package_type: Literal["Zip", "Image"] = "Zip"
    runtime: str | None = None
    handler: str | None = None
    package: Package | None = None
    image_uri: str | None = None
    code_sha256: str = ""
    timeout: int = 3
    memory_size: int = 128
    ephemeral_storage: int = 512
    environment: dict[str, str] | None = None
    layers: tuple[LayerUse, ...] = ()
    architectures: tuple[str, ...] = ("x86_64",)
    snap_start: Literal["None", "PublishedVersions"] = "None"
    tracing_mode: Literal["PassThrough", "Active"] = "PassThrough"
    logging_config: dict[str, str] = field(default_factory=dict)
    image_config: dict[str, Any] | None = None
    dead_letter_target: str | None = None
    vpc_config: dict[str, Any] | None = None
    kms_key_arn: str | None = None
    state: State = "Pending"
    state_reason: str | None = CREATING
    state_reason_code: str | None = "Creating"
    last_update_status: UpdateStatus | None = None
    last_update_status_reason: str | None = None
    last_update_status_reason_code: str | None = None
    settling: Settling | None = None

    @property
    def code_size(self) -> int:
        """Bytes of the package; 0 of an image."""
        return 0 if self.package is None else self.package.code_size

    def is_settled(self, now: int) -> bool:
        """Whether what was under way has come to its end by itself: Active and Successful."""
        return self.settling is not None and now >= self.settling.at

    def settled(self, now: int) -> Configuration:
        """As it stands at this time."""
        if self.settling is None or not self.is_settled(now):
            return self
        return replace(self.active(), revision_id=self.settling.revision_id)

    def active(self) -> Configuration:
        """With all that was under way done."""
        return replace(
            self,
            state="Active",
            state_reason=None,
            state_reason_code=None,
            last_update_status="Successful",
            last_update_status_reason=None,
            last_update_status_reason_code=None,
            settling=None,
        )


# What a change of the configuration does not make another version of.
_NOT_COMPARED = frozenset(
    {
        "version", "description", "last_modified", "revision_id", "content_id", "state", "state_reason",
        "state_reason_code", "last_update_status", "last_update_status_reason", "last_update_status_reason_code",
        "settling",
    }
)  # fmt: skip


def is_same_content(one: Configuration, other: Configuration) -> bool:
    """Whether publishing the one after the other would publish the same again (lambda.md 3.2)."""
    names = Configuration.__dataclass_fields__.keys() - _NOT_COMPARED
    return all(getattr(one, name) == getattr(other, name) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A name for a version, or for two of them.

    Attributes:
        additional_version_weights: By version number: the share of the second version, 0 to 1.
    """

    name: str
    function_version: str
    revision_id: str
    description: str = ""
    additional_version_weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPolicy:
    """Who may use a layer version; kept and shown, and asked of nobody.

    Attributes:
        statements: By Sid, in IAM's JSON.
    """

    revision_id: str
    statements: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedConcurrency:
    """Environments that are to be there before they are needed (AWS: ProvisionedConcurrencyConfig)."""

    requested: int
    last_modified: int
    status: Literal["IN_PROGRESS", "READY", "FAILED"] = "IN_PROGRESS"
    status_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeSettings:
    """What becomes of asynchronous invocations (AWS: FunctionEventInvokeConfig)."""

    last_modified: int
    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUrl:
    """An address at which a function answers HTTP (AWS: FunctionUrlConfig)."""

    url_id: str
    auth_type: Literal["NONE", "AWS_IAM"]
    creation_time: int
    last_modified_time: int
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"
    cors: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeManagement:
    """When the runtime may change below a function (AWS: RuntimeManagementConfig); kept and shown."""

    update_runtime_on: Literal["Auto", "FunctionUpdate", "Manual"] = "Auto"
    runtime_version_arn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRecord:
    """A function, with everything that goes when it is deleted. Mappings by qualifier, where nothing else is said.

    Attributes:
        versions: By number.
        published: The number of the last version that was published.
        aliases: By name.
        policies: Who may do what with the function (`$LATEST`), a version or an alias: statements in IAM's JSON, by
            Sid. Kept and shown, and asked of nobody.
    """

    account_id: str
    region: str
    name: str
    latest: Configuration
    versions: dict[int, Configuration] = field(default_factory=dict)
    published: int = 0
    aliases: dict[str, Alias] = field(default_factory=dict)
    policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    reserved_concurrency: int | None = None
    provisioned: dict[str, ProvisionedConcurrency] = field(default_factory=dict)
    event_invoke_settings: dict[str, EventInvokeSettings] = field(default_factory=dict)
    urls: dict[str, FunctionUrl] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    runtime_management: dict[str, RuntimeManagement] = field(default_factory=dict)
    recursive_loop: Literal["Allow", "Terminate"] = "Terminate"
    format: int = FORMAT

    @property
    def key(self) -> Key:
        """Of its document."""
        return function_key(self.account_id, self.region, self.name)

    def arn(self, qualifier: str | None = None) -> str:
        """Of the function, or of a version or alias."""
        arn = f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"
        return arn if qualifier is None else f"{arn}:{qualifier}"

    @property
    def provisioned_total(self) -> int:
        """Of all versions and aliases."""
        return sum(one.requested for one in self.provisioned.values())

    @property
    def held_concurrency(self) -> int:
        """What other functions cannot have of the account's concurrent executions."""
        return self.provisioned_total if self.reserved_concurrency is None else self.reserved_concurrency

    def configuration(self, version: str) -> Configuration | None:
        """Of `$LATEST` or a number."""
        if version == LATEST:
            return self.latest
        return self.versions.get(int(version)) if version.isdecimal() else None

    def with_configuration(self, configuration: Configuration) -> FunctionRecord:
        """With this in place of the configuration of the same version."""
        if configuration.version == LATEST:
            return replace(self, latest=configuration)
        return replace(self, versions=self.versions | {int(configuration.version): configuration})


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerVersion:
    """One version of a layer; it never changes, but for its policy."""

    version: int
    package: Package
    code_sha256: str
    created_date: int
    description: str = ""
    compatible_runtimes: tuple[str, ...] | None = None
    compatible_architectures: tuple[str, ...] | None = None
    license_info: str | None = None
    policy: LayerPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """A layer. It stays when its last version is deleted, so that no number is used twice.

    Attributes:
        published: The number of its last version.
    """

    account_id: str
    region: str
    name: str
    versions: dict[int, LayerVersion] = field(default_factory=dict)
    published: int = 0
    format: int = FORMAT

    @property
    def key(self) -> Key:
        """Of its document."""
        return layer_key(self.account_id, self.region, self.name)

    def arn(self, version: int | None = None) -> str:
        """Of the layer, or of one of its versions."""
        arn = f"arn:aws:lambda:{self.region}:{self.account_id}:layer:{self.name}"
        return arn if version is None else f"{arn}:{version}"


def function_key(account_id: str, region: str, name: str) -> Key:
    """Names a function's document."""
    return Key(kind="function", account_id=account_id, region=region, name=name)


def layer_key(account_id: str, region: str, name: str) -> Key:
    """Names a layer's document."""
    return Key(kind="layer", account_id=account_id, region=region, name=name)


def new_revision_id() -> str:
    """A revision id."""
    return str(uuid.uuid4())


Record = FunctionRecord | LayerRecord

_encode = msgspec.json.Encoder().encode
_decode_function = msgspec.json.Decoder(FunctionRecord).decode
_decode_layer = msgspec.json.Decoder(LayerRecord).decode


class UnreadableRecord(Exception):
    """The document was written by a newer server."""

    def __init__(self, key: Key, format: object) -> None:
        super().__init__(
            f"{key.kind} {key.name}: its document has format {format}, this server reads up to {FORMAT}: "
            "upgrade this server, a newer one uses the same database"
        )


def document_of(record: Record) -> Document:
    """The next state of a record, for the store."""
    if isinstance(record, LayerRecord):
        packages = [version.package for version in record.versions.values()]
        code_bytes = sum(package.code_size for package in packages)
        handles = frozenset[str]()
        reserved = 0
    else:
        configurations = [record.latest, *record.versions.values()]
        own = [one.package for one in configurations if one.package is not None]
        packages = own + [layer.package for one in configurations for layer in one.layers]
        code_bytes = sum(package.code_size for package in own)
        handles = frozenset(url.url_id for url in record.urls.values())
        reserved = record.held_concurrency
    return Document(
        key=record.key,
        tag=uuid.uuid4().hex,
        text=_encode(record).decode(),
        packages=frozenset(package.digest for package in packages),
        code_bytes=code_bytes,
        handles=handles,
        reserved=reserved,
    )


def record_of(document: Document) -> Record:
    """What a document says.

    Raises:
        UnreadableRecord: See there.
    """
    decode = _decode_function if document.key.kind == "function" else _decode_layer
    try:
        record: Record = decode(document.text)
    except msgspec.ValidationError:
        found = msgspec.json.decode(document.text).get("format")
        if found == FORMAT:
            raise
        raise UnreadableRecord(document.key, found) from None
    if record.format != FORMAT:
        raise UnreadableRecord(document.key, record.format)
    return record
