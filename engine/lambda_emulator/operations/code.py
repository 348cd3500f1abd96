"""Code that requests bring: taken, checked, and given back (lambda.md 3.4, 4)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.deployment_packages import (
    BadPackage,
    EmptyPackage,
    PackageTooLarge,
    digest_of,
    shown_digest,
)
from engine.lambda_emulator.errors import (
    CodeStorageExceededException,
    InvalidParameterValueException,
    NotImplementedException,
    RequestEntityTooLargeException,
    ResourceNotFoundException,
)
from engine.lambda_emulator.records import Package, function_key, layer_key
from engine.lambda_emulator.s3_objects import s3_object
from engine.lambda_emulator.store import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import Configuration, LayerUse

_NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_ENDPOINT = re.compile(r"(?:http|runtime-api)://[^/\s]+/?")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """What a request brought.

    Attributes:
        code_sha256: As AWS shows it.
        packages: For the store.
    """

    code_sha256: str
    package: Package | None
    image_uri: str | None
    packages: Mapping[Digest, bytes]


async def new_code(emulator: Emulator, given: Mapping[str, Any], package_type: str) -> NewCode:
    """Takes the code of a function.

    Args:
        given: `ZipFile`, or `S3Bucket`, `S3Key` and `S3ObjectVersion`, or `ImageUri`.

    Raises:
        InvalidParameterValueException: Not such code as the package type wants, not a zip, or too much in it.
        RequestEntityTooLargeException: The zip is too large to come with the request.
        NotImplementedException: An image in a registry.
    """
    image_uri = given.get("ImageUri")
    if package_type == "Image":
        if not image_uri:
            raise InvalidParameterValueException(
                "Please provide ImageUri when updating a function with packageType Image."
            )
        return _image(image_uri)
    if image_uri:
        raise InvalidParameterValueException(
            "Please don't provide ImageUri when updating a function with packageType Zip."
        )
    package, data = await new_package(emulator, given)
    return NewCode(
        code_sha256=shown_digest(package.digest),
        package=package,
        image_uri=None,
        packages={package.digest: data},
    )


def _image(image_uri: str) -> NewCode:
    if _ENDPOINT.fullmatch(image_uri) is None:
        raise NotImplementedException(
            f"ImageUri {image_uri}: images of a registry are not run here. Start a container of it, and give its "
            "address: http://HOST:PORT where it answers as the Runtime Interface Emulator does, or "
            "runtime-api://HOST:PORT where it is to find its Runtime API"
        )
    return NewCode(
        code_sha256=hashlib.sha256(image_uri.encode()).hexdigest(), package=None, image_uri=image_uri, packages={}
    )


async def new_package(emulator: Emulator, given: Mapping[str, Any]) -> tuple[Package, bytes]:
    """Takes a zip, of a function or of a layer. Raises as `new_code`."""
    if given.get("S3ObjectStorageMode") == "REFERENCE":
        raise NotImplementedException("S3ObjectStorageMode REFERENCE: packages are always copied here")
    data = given.get("ZipFile")
    bucket, key = given.get("S3Bucket"), given.get("S3Key")
    if (data is None) == (bucket is None and key is None):
        raise InvalidParameterValueException("Please provide either ZipFile or S3Bucket and S3Key.")
    if data is None:
        if bucket is None or key is None:
            raise InvalidParameterValueException("Please provide both S3Bucket and S3Key.")
        data = await s3_object(
            bucket, key, given.get("S3ObjectVersion"), region=emulator.region, limits=emulator.limits
        )
    elif len(data) > emulator.limits.zip_bytes_max:
        raise RequestEntityTooLargeException(f"Zipped size must be smaller than {emulator.limits.zip_bytes_max} bytes")
    digest = digest_of(data)
    try:
        unzipped = await emulator.code.add(digest, data)
    except EmptyPackage:
        raise InvalidParameterValueException("Uploaded file must be a non-empty zip") from None
    except BadPackage as error:
        raise InvalidParameterValueException(_NOT_A_ZIP) from error
    except PackageTooLarge:
        raise _too_large(emulator) from None
    return Package(digest=digest, code_size=len(data), unzipped_size=unzipped), data


def _too_large(emulator: Emulator) -> InvalidParameterValueException:
    return InvalidParameterValueException(
        f"Unzipped size must be smaller than {emulator.limits.unzipped_bytes_max} bytes"
    )


def check_unzipped(emulator: Emulator, package: Package | None, layers: Sequence[LayerUse]) -> None:
    """Raises InvalidParameterValueException: a function and its layers have too many bytes together."""
    own = 0 if package is None else package.unzipped_size
    if own + sum(layer.package.unzipped_size for layer in layers) > emulator.limits.unzipped_bytes_max:
        raise _too_large(emulator)


async def check_code_storage(emulator: Emulator, more: int) -> None:
    """Raises CodeStorageExceededException: the account's packages would have more bytes than they may."""
    if await code_storage(emulator) + more > emulator.limits.code_storage_bytes_max:
        raise CodeStorageExceededException("Code storage limit exceeded.")


async def code_storage(emulator: Emulator) -> int:
    """Bytes of the packages of all versions of the account's functions and layers, in this region."""
    of = (emulator.account_id, emulator.region, "")
    functions = await emulator.library.usage(function_key(*of))
    layers = await emulator.library.usage(layer_key(*of))
    return functions.code_bytes + layers.code_bytes


def location(emulator: Emulator, package: Package) -> str:
    """Where the zip can be got: the digest, which nobody guesses, is the right to it, as in a presigned URL."""
    return f"{emulator.url}/lambda-code/{package.digest}.zip"


def shown_code(emulator: Emulator, configuration: Configuration) -> dict[str, Any]:
    """A FunctionCodeLocation."""
    if configuration.package_type == "Image":
        return {
            "RepositoryType": "ECR",
            "ImageUri": configuration.image_uri,
            "ResolvedImageUri": configuration.image_uri,
        }
    if configuration.package is None:
        return {}  # files of this machine, which are not packed
    return {"RepositoryType": "S3", "Location": location(emulator, configuration.package)}


async def code_zip(emulator: Emulator, digest: str) -> bytes:
    """The zip that `Location` leads to. Raises ResourceNotFoundException."""
    data = await emulator.library.package(Digest(digest)) if _DIGEST.fullmatch(digest) else None
    if data is None:
        raise ResourceNotFoundException(f"No function and no layer has a package with the SHA-256 {digest}")
    return data
