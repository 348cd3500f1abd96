"""Answers of the Lambda API that are no success: a class for each of AWS's codes, named as the code (lambda.md 1, 2.1).

A function that fails is no error of the API: its outcome is an answer like any other.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

ErrorType = Literal["User", "Service"]


class LambdaError(Exception):
    """One answer that is no success.

    Attributes:
        status: Of the HTTP answer.
        type: Whose fault it is, as the member `Type` says it; None leaves that away, as AWS does for some codes.
        message: For a person.
        members: What AWS's error has besides these, by AWS's names.
    """

    status: ClassVar[int] = 400
    type: ErrorType | None = "User"

    def __init__(
        self, message: str, *, type: ErrorType | Literal["of the code"] | None = "of the code", **members: Any
    ):
        """`type`: when this one differs from what the code mostly has."""
        super().__init__(message)
        self.message = message
        self.members = members
        if type != "of the code":
            self.type = type

    @property
    def code(self) -> str:
        """AWS's name of it."""
        return self.__class__.__name__


class InvalidParameterValueException(LambdaError):
    """A parameter, or several together, that Lambda cannot work with."""


class ValidationException(LambdaError):
    """A member that breaks what the service model, or a limit, says of it."""

    type = None


class InvalidRequestContentException(LambdaError):
    """A payload that is not JSON."""


class ResourceNotFoundException(LambdaError):
    """What the request names does not exist."""

    status = 404


class ProvisionedConcurrencyConfigNotFoundException(LambdaError):
    """No provisioned concurrency is configured there."""

    status = 404


class CodeSigningConfigNotFoundException(LambdaError):
    """There is no such code signing configuration."""

    status = 404


class ResourceConflictException(LambdaError):
    """It exists already, or is not in a state that allows this."""

    status = 409


class ResourceInUseException(LambdaError):
    """Something else still uses it."""


class PreconditionFailedException(LambdaError):
    """The RevisionId is not the current one."""

    status = 412


class RequestEntityTooLargeException(LambdaError):
    """The request is longer than the operation takes."""

    status = 413
    type = None


class UnsupportedMediaTypeException(LambdaError):
    """The payload's content type is not JSON."""

    status = 415


class TooManyRequestsException(LambdaError):
    """Throttled. Members: `Reason`, and `retryAfterSeconds`, which goes in the header `Retry-After`."""

    status = 429


class AccessDeniedException(LambdaError):
    """The caller may not do this."""

    status = 403
    type = None


class CodeStorageExceededException(LambdaError):
    """The account's code would need more than it may."""


class PolicyLengthExceededException(LambdaError):
    """A resource policy would be longer than 20 KB."""


class SnapStartException(LambdaError):
    """A hook after the restoring of a snapshot failed."""


class SnapStartTimeoutException(LambdaError):
    """The restoring of a snapshot took too long."""

    status = 408


class SnapStartNotReadyException(LambdaError):
    """The version's snapshot is still being made."""

    status = 409


class ResourceNotReadyException(LambdaError):
    """The function is being brought back from inactivity."""

    status = 502
    type = "Service"


class ServiceException(LambdaError):
    """A fault of the emulator."""

    status = 500
    type = "Service"


class Unavailable(ServiceException):
    """The same, while something that the emulator needs does not answer: clients come again."""

    status = 503

    @property
    def code(self) -> str:
        """See `LambdaError`."""
        return ServiceException.__name__


class NotImplementedException(LambdaError):
    """An operation of AWS's, or a feature, that this emulator does not have. AWS has no such code."""

    status = 501
    type = "Service"
