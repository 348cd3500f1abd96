"""Errors that cross layers. Five kinds, five treatments: docs/architecture.md, "Errors"."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class StatesError(Exception):
    """A state failed. This is data: Retry and Catch look at it, and an uncaught one ends the execution.

    Attributes:
        error: The Error Name, such as `States.Timeout` or the user's own; None when a Task was failed without one.
        cause: Text for a person; None when there is none.
        location: For `States.QueryEvaluationError`: the field at fault, such as `Output/result`.
        located: The cause is only the tail of AWS's text: whoever knows the state puts
            "An error occurred while executing the state 'S' (entered at the event id #2). " before it.
    """

    def __init__(
        self, error: str | None, cause: str | None = None, *, location: str | None = None, located: bool = False
    ) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause
        self.location = location
        self.located = located


class PayloadTooLarge(StatesError):
    """A value outgrew the payload limit; the interpreter, which knows whose value it is, words the cause."""

    def __init__(self) -> None:
        super().__init__("States.DataLimitExceeded")


class TaskFailed(StatesError):
    """Raised by a handler to end its Task with exactly this Error Name and cause; `None` leaves the key away."""


class StoreUnavailable(Exception):
    """The store cannot be reached, or went away during a call: whether the call took effect is not known.

    Of a `commit` the outcome is unknown until `recover` has answered and `written` was asked; after a `claim`,
    `claim_one` or `start_all` the worker may own what it was never told of, until `recover` has answered and `owned`
    was asked; every other call may simply be made again.

    Attributes:
        nobody_is_connected: The server itself refuses connections (it is down, starting or stopping), so no other
            worker can have declared this one dead meanwhile. False: it may be this worker alone that is cut off.
        is_final: The server answered, and refuses this caller: a wrong password, no such database. Waiting does not
            help. False: nobody can tell.
    """

    def __init__(self, message: str = "", *, nobody_is_connected: bool = False, is_final: bool = False) -> None:
        super().__init__(message)
        self.nobody_is_connected = nobody_is_connected
        self.is_final = is_final


class ApiError(Exception):
    """The caller is wrong: one AWS error code. The class's name is the code, the text AWS's (api.md 4).

    Attributes:
        members: What AWS's error body has besides the message, where it has more: attributes of these names, in
            snake_case. One that is None is left out.
    """

    members: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Callable[..., ApiError], tuple[object, ...]]:
        return revived, (type(self), self.message, {name: getattr(self, name) for name in self.members})


def revived(kind: type[ApiError], message: str, members: Mapping[str, str | None] | None = None) -> ApiError:
    """An error that came from another process. Its class is not called: most word their message themselves."""
    error = kind.__new__(kind)
    ApiError.__init__(error, message)
    for name, value in (members or {}).items():
        setattr(error, name, value)
    return error


class ValidationException(ApiError):
    """A request that breaks a rule which no more special error stands for."""

    members = ("reason",)

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class InvalidArn(ApiError):
    """Not an ARN, or that of another kind of resource."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid Arn: '{reason}'")

    @classmethod
    def of_role(cls, role_arn: str) -> Self:
        """Not the ARN of a role."""
        error = cls(role_arn)
        error.args = (f"Invalid Role Arn: '{role_arn}'",)
        error.message = error.args[0]
        return error


class ResourceNotFound(ApiError):
    """An alias, a Map Run or a resource with tags that does not exist."""

    members = ("resource_name",)

    def __init__(
        self,
        message: str = "Request references a resource that does not exist.",
        *,
        resource_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.resource_name = resource_name

    @classmethod
    def of_tags(cls, resource_arn: str) -> Self:
        """Nothing that can have tags has this ARN."""
        return cls(f"Resource not found: '{resource_arn}'", resource_name=resource_arn)


class ExecutionAlreadyExists(ApiError):
    """The name is taken by an execution that has another input or is over (execution.md 7)."""

    def __init__(self, execution_arn: str) -> None:
        super().__init__(f"Execution Already Exists: '{execution_arn}'")


class ExecutionDoesNotExist(ApiError):
    """No execution has this ARN, or it is no longer kept."""

    def __init__(self, execution_arn: str) -> None:
        super().__init__(f"Execution Does Not Exist: '{execution_arn}'")


class ExecutionNotRedrivable(ApiError):
    """The execution is open, succeeded, too old or too long (execution.md 9.1)."""


class InvalidName(ApiError):
    """A name of 1 to 80 characters without those of asl.md 1.2 was expected."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Invalid Name: '{name}'")


class InvalidExecutionInput(ApiError):
    """The input is not JSON, or too large."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid State Machine Execution Input: '{reason}'")


class InvalidOutput(ApiError):
    """The output given to SendTaskSuccess is not JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid Output: '{reason}'")


class InvalidToken(ApiError):
    """Nobody minted this token."""

    def __init__(self) -> None:
        super().__init__("Invalid Token: 'Invalid token'")


class TaskTimedOut(ApiError):
    """Nobody waits for this Task any more: it is over, or its execution is."""

    def __init__(self) -> None:
        super().__init__("Task Timed Out: 'Provided task does not exist anymore'")


class ActivityDoesNotExist(ApiError):
    """No activity has this ARN."""

    def __init__(self, activity_arn: str) -> None:
        super().__init__(f"Activity Does Not Exist: '{activity_arn}'")


class ActivityAlreadyExists(ApiError):
    """The name is taken by an activity with another encryption."""

    def __init__(self, activity_arn: str) -> None:
        super().__init__(f"Activity Already Exists: '{activity_arn}'")


class ActivityLimitExceeded(ApiError):
    """The account has as many activities as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The maximum number of activities has been reached: {most}")


class ActivityWorkerLimitExceeded(ApiError):
    """So many workers poll for the Tasks of one activity as may."""

    def __init__(self) -> None:
        super().__init__("The maximum number of workers concurrently polling for activity tasks has been reached.")


class StateMachineAlreadyExists(ApiError):
    """The name is taken by a state machine with another definition or type."""

    def __init__(self, state_machine_arn: str) -> None:
        super().__init__(f"State Machine Already Exists: '{state_machine_arn}'")


class StateMachineDoesNotExist(ApiError):
    """No state machine has this ARN."""

    def __init__(self, state_machine_arn: str) -> None:
        super().__init__(f"State Machine Does Not Exist: '{state_machine_arn}'")


class StateMachineLimitExceeded(ApiError):
    """The account has as many state machines as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The maximum number of state machines has been reached: {most}")


class StateMachineDeleting(ApiError):
    """The state machine is being deleted: nothing of it can be started or changed."""

    def __init__(self, state_machine_arn: str) -> None:
        super().__init__(f"State Machine is being deleted: '{state_machine_arn}'")


class ConflictException(ApiError):
    """The request does not fit how things stand (api.md 6)."""

    @classmethod
    def of_revision(cls, given: str, current: str) -> Self:
        """A version of a revision that is not the current one."""
        return cls(
            f"Failed to publish the State Machine version for revision {given}. "
            f"The current State Machine revision is {current}."
        )

    @classmethod
    def of_aliases(cls, names: Iterable[str]) -> Self:
        """A version that these aliases lead to cannot go."""
        return cls(
            "Version to be deleted must not be referenced by an alias. "
            f"Current list of aliases referencing this version: [{', '.join(names)}]"
        )

    @classmethod
    def of_alias(cls) -> Self:
        """An alias that is there has another routing or description."""
        return cls(
            "Failed to create alias because an alias with the same name and a different routing configuration "
            "already exists."
        )


class ServiceQuotaExceededException(ApiError):
    """A state machine has as many versions, or aliases, as it can have."""

    def __init__(self, things: str, most: int) -> None:
        super().__init__(f"A state machine can have {most} {things} at most; delete some")


class TooManyTags(ApiError):
    """A resource would have more tags than it can."""

    members = ("resource_name",)

    def __init__(self, resource_arn: str) -> None:
        super().__init__("A resource can have 50 tags at most")
        self.resource_name = resource_arn


class MissingRequiredParameter(ApiError):
    """UpdateStateMachine with nothing to update (api.md 4)."""

    def __init__(self) -> None:
        super().__init__(
            "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration "
            "must be specified"
        )


class InvalidLoggingConfiguration(ApiError):
    """A loggingConfiguration that does not say where to log to (api.md 4)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid Logging Configuration: {reason}")


class InvalidEncryptionConfiguration(ApiError):
    """An encryptionConfiguration whose members do not fit together (api.md 4)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid Encryption Configuration: {reason}")


class StateMachineTypeNotSupported(ApiError):
    """Express executions cannot do this."""

    def __init__(self) -> None:
        super().__init__("This operation is not supported by this type of state machine")
