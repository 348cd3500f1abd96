"""The runtime for Python: asks the Runtime API for invocations and calls the handler (lambda.md 5).

Run as a script by the interpreter of a function, which need have neither this package nor anything else: the standard
library alone. Where AWS's own `awslambdaric` is installed there, that is run instead; snapshots (SnapStart) are made
here. What a handler sees, and what becomes of its exceptions, is what awslambdaric does; the texts are its.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from types import SimpleNamespace

# What is not needed to begin is imported where it is: a cold start is mostly that.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from typing import Any, NoReturn

_BASE = "/2018-06-01/runtime"
_EXIT_INIT, _EXIT_BEFORE_SNAPSHOT, _EXIT_AFTER_RESTORE = 1, 64, 65
_NO_BREAK_SPACE = "\u00a0"
_HERE = os.path.abspath(__file__)


class _Fault(Exception):
    """An error that the runtime words itself."""

    def __init__(self, error_type: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []


# ── the Runtime API ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Client:
    """One connection, kept. `http.client` would take three times the time of a warm invocation, and 20 ms to import."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._file: io.BufferedReader | None = None
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[dict[str, str], bytes]:
        """The head and body of the answer."""
        self.send(method, path, body, **headers)
        return self._answer(f"{method} {path}")

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        """Asks, and does not wait for the answer."""
        if self._socket is None:
            self._socket = socket.create_connection((self._host, self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = self._socket.makefile("rb")
        lines = [f"{method} {_BASE}{path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body)

    def _answer(self, what: str) -> tuple[dict[str, str], bytes]:
        assert self._file is not None
        status = self._file.readline().split(b" ", 2)
        if len(status) < 2:
            sys.exit(0)  # the emulator has gone
        head: dict[str, str] = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("utf-8").partition(":")
            head[name.lower()] = value.strip()
        body = self._file.read(int(head.get("content-length", 0)))
        if not 200 <= int(status[1]) < 300 and int(status[1]) != 413:
            raise RuntimeError(f"{what}: the Runtime API answered {status[1].decode()}: {body.decode()}")
        return head, body

    def reconnect(self, address: str) -> None:
        """After a fork: the address is another one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._host, _, port = address.partition(":")
        self._port = int(port)


# ── what the handler gets ───────────────────────────────────────────────────────────────────────────────────────────


def _slots(names: tuple[str, ...], given: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{name: given.get(name) for name in names})


_restored: dict[str, str] = {}
_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class LambdaContext:
    """The second argument of a handler (lambda.md 5.2)."""

    def __init__(self, head: dict[str, str]) -> None:
        environment = os.environ.get
        self.aws_request_id = head["lambda-runtime-aws-request-id"]
        self.log_group_name = environment("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environment("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        # A copy of a snapshot has no variable that names it.
        self.function_version = environment("AWS_LAMBDA_FUNCTION_VERSION") or _restored.get("version")
        self.invoked_function_arn = head.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = head.get("lambda-runtime-aws-tenant-id")
        self.client_context = None
        given = head.get("lambda-runtime-client-context")
        if given:
            try:
                context = json.loads(given)
                self.client_context = _slots(("custom", "env", "client"), context)
                if self.client_context.client is not None:
                    self.client_context.client = _slots(_CLIENT, self.client_context.client)
            except Exception as error:  # noqa: BLE001  whatever it is, it is told so
                text = f"Unable to parse Client Context JSON: {error}"
                raise _Fault("Runtime.LambdaContextUnmarshalError", text) from None
        self.identity = _slots(("cognito_identity_id", "cognito_identity_pool_id"), {})
        self._deadline = int(head["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is timed out."""
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Writes to the log."""
        sys.stdout.write(str(message))


class _Unbuffered:
    """A standard stream that holds nothing back: the process is frozen between invocations."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def writelines(self, lines: Any) -> None:
        self.stream.writelines(lines)
        self.stream.flush()


# ── results and errors ──────────────────────────────────────────────────────────────────────────────────────────────


class _Marshaller:
    """JSON as Lambda writes it: with blanks, a Decimal as a number, ASCII alone until Python 3.11."""

    def __init__(self) -> None:
        newer = sys.version_info >= (3, 12)
        self._mark = f"\x00{os.urandom(8).hex()}:"
        self._has_decimals = False
        self._encode = json.JSONEncoder(ensure_ascii=not newer, default=self._default).encode

    def _default(self, value: Any) -> Any:
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            self._has_decimals = True
            return f"{self._mark}{value}"
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    def __call__(self, result: Any) -> tuple[bytes, str]:
        if isinstance(result, bytes):
            return result, "application/unknown"
        self._has_decimals = False
        try:
            text = self._encode(result)
            if self._has_decimals:
                import re

                mark = re.escape(json.dumps(self._mark)[1:-1])
                text = re.sub(f'"{mark}([^"]*)"', r"\1", text)
            return text.encode(), "application/json"
        except Exception as error:  # noqa: BLE001  the methods of the value's own classes run here
            raise _Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def _error(error: BaseException, request_id: str) -> dict[str, Any]:
    """{"errorMessage", "errorType", "requestId", "stackTrace"}, without the frames that are ours."""
    import traceback

    if isinstance(error, _Fault):
        return _error_body(error.message, error.error_type, request_id, error.trace)
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if os.path.abspath(frame.filename) != _HERE), 0)
    tuples: Any = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames[first:]]
    return _error_body(str(error), type(error).__name__, request_id, traceback.format_list(tuples))


def _error_body(message: str, error_type: str, request_id: str, trace: list[str]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def _log_error(error: dict[str, Any]) -> None:
    if _logs_json():
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stdout.write(json.dumps({"timestamp": stamp, "level": "ERROR", **error}, ensure_ascii=False) + "\n")
        return
    title = ": ".join(part for part in (error["errorType"], error["errorMessage"]) if part)
    lines = [f"[ERROR] {title}", "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines():
            bare = line.lstrip(" ")
            lines.append(_NO_BREAK_SPACE * (len(line) - len(bare)) + bare)
    sys.stdout.write("\r".join(lines) + "\n")  # carriage returns: one event of the log


def _logs_json() -> bool:
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


# ── logging ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_current_request_id = ""


def _set_up_logging() -> None:
    """The root logger writes as it does at Lambda. The module is imported when the function does: it takes 10 ms."""
    import logging
    import traceback

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            record.aws_request_id = _current_request_id
            sys.stdout.write(self.format(record))

    class JsonFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
            line: dict[str, Any] = {"timestamp": stamp, "level": record.levelname}
            plain = isinstance(record.msg, dict) and not record.args
            line |= {"message": record.msg if plain else record.getMessage(), "logger": record.name}
            if record.exc_info and record.exc_info[0] is not None:
                line["stackTrace"] = traceback.format_tb(record.exc_info[2])
                line["errorType"] = record.exc_info[0].__name__
                line["errorMessage"] = str(record.exc_info[1])
            line["requestId"] = _current_request_id
            if record.exc_info:
                line["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
            line.update((name, value) for name, value in vars(record).items() if name not in known and name not in line)
            return json.dumps(line, ensure_ascii=False, default=str) + "\n"

    known = {*vars(logging.makeLogRecord({})), "aws_request_id"}
    handler = Handler()
    text = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
    )
    text.converter = time.gmtime
    handler.setFormatter(JsonFormatter() if _logs_json() else text)
    root = logging.getLogger()
    root.addHandler(handler)
    level = {"TRACE": "DEBUG"}.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
    level = level or os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


class _LoggingFinder:
    """Sets the root logger up as soon as somebody imports `logging`."""

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> Any:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _set_up_logging()

        loader.exec_module = exec_module
        return spec


def _log_as_lambda() -> None:
    if "logging" in sys.modules:
        _set_up_logging()
    else:
        sys.meta_path.insert(0, _LoggingFinder())


# ── the runtime ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _load(handler: str) -> Any:
    """The function that `module.name` names."""
    module_name, _, name = handler.rpartition(".")
    if not module_name and "." not in handler:
        text = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise _Fault("Runtime.MalformedHandlerName", text)
    if module_name.split(".")[0] in sys.builtin_module_names:
        text = f"Cannot use built-in module {module_name} as a handler module"
        raise _Fault("Runtime.BuiltInModuleConflict", text)
    import importlib

    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise _Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        text = f"Syntax error in module '{module_name}': {error}"
        raise _Fault("Runtime.UserCodeSyntaxError", text, trace) from None
    try:
        return getattr(module, name)
    except AttributeError:
        raise _Fault("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'") from None


def _fail(client: _Client, path: str, error: dict[str, Any], error_type: str, code: int) -> NoReturn:
    """Reports a failure outside of an invocation, and ends."""
    _log_error(error)
    body = json.dumps(error).encode()
    client.request("POST", path, body, Lambda_Runtime_Function_Error_Type=error_type.replace("\n", " "))
    sys.stdout.flush()
    os._exit(code)


def _serve(client: _Client, handler: Any) -> NoReturn:
    """Invocations, one after the other."""
    global _current_request_id
    marshal = _Marshaller()
    while True:
        head, payload = client.request("GET", "/invocation/next")
        request_id = _current_request_id = head["lambda-runtime-aws-request-id"]
        trace_id = head.get("lambda-runtime-trace-id")
        if trace_id is None:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        else:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        try:
            context = LambdaContext(head)
            try:
                event = json.loads(payload)
            except Exception as error:  # noqa: BLE001  whatever it is, it is told so
                raise _Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None
            body, content_type = marshal(handler(event, context))
        except Exception as error:  # noqa: BLE001  user code: it becomes the function's error
            failed = _error(error, request_id)
            _log_error(failed)
            data = json.dumps(failed, ensure_ascii=sys.version_info < (3, 12)).encode("utf-8", "replace")
            error_type = failed["errorType"]
            path = f"/invocation/{request_id}/error"
            client.request("POST", path, data, Lambda_Runtime_Function_Error_Type=error_type)
        else:
            client.request("POST", f"/invocation/{request_id}/response", body, Content_Type=content_type)
        # What it made is not kept until the next invocation.
        context = event = body = payload = None  # type: ignore[assignment]


# ── SnapStart ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _hold_snapshot(client: _Client) -> None:
    """Runs the hooks before the snapshot, and then makes environments of this process until it is killed.

    The emulator sends an order with the descriptor of a log for each of them. It is carried out in a process of its
    own, whose parent ends at once: so the spawner becomes the parent. Only there this function returns.

        {"environment": {...}, "scratch": "/…", "task": "/…", "runtime": "/…", "layers": [...], "mount_points": "/…",
         "namespace": true, "version": "3", "spawner": 4711}     and the answer: {"pid": 4712}
    """
    import asl_confinement  # type: ignore[import-not-found]  # a neighbour of this script
    from snapshot_restore_py import get_before_snapshot  # the function's, or ours

    orders = socket.socket(fileno=int(os.environ.pop("_ASL_ORDERS_FD")))
    mounts = int(os.environ.pop("_ASL_MOUNTS_FD"))
    try:
        hooks = get_before_snapshot()
        while hooks:
            function, args, kwargs = hooks.pop()
            function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  user code, and awslambdaric takes anything too
        _fail(client, "/init/error", _error(error, ""), "Runtime.BeforeSnapshotError", _EXIT_BEFORE_SNAPSHOT)
    if os.listdir(os.environ.get("TMPDIR", "/tmp")):  # noqa: S108  its own
        import shutil  # noqa: F401  for the copies, which have no time to lose
    import gc

    gc.collect()
    gc.freeze()  # what all environments share stays shared: no collection writes to it
    client.send("GET", "/restore/next")
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(orders, 65_536, 1)
        if not data:
            os._exit(0)  # the emulator has gone
        order = json.loads(data)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            if os.fork():
                os._exit(0)
            os.setsid()
            os.write(writer, str(os.getpid()).encode())
            orders.close()
            os.close(reader)
            os.close(writer)
            _restore(client, asl_confinement, order, descriptors[0], mounts)
            return
        os.close(writer)
        os.close(descriptors[0])
        os.waitpid(child, 0)
        pid = int(os.read(reader, 32))
        os.close(reader)
        orders.sendall(json.dumps({"pid": pid}).encode())


def _restore(client: _Client, confinement: Any, order: dict[str, Any], log: int, mounts: int) -> None:
    """Makes this process an environment: its log, its files, its variables, and the hooks after the restoring."""
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
    while os.getppid() != order["spawner"]:
        time.sleep(0.0002)  # until the parent has been reaped; the kernel tells nobody
    confinement.die_with(order["spawner"])
    snapshot = os.open(os.environ.get("TMPDIR", "/tmp"), os.O_RDONLY)  # noqa: S108  the snapshot's own
    scratch = "/tmp" if order["namespace"] else order["scratch"]  # noqa: S108  its own too
    if order["namespace"]:
        confinement.return_to(mounts)
        confinement.see_as_lambda(
            **{name: order[name] for name in ("task", "runtime", "scratch", "layers", "mount_points")}
        )
        os.chdir("/var/task")
    else:
        order["environment"] |= dict.fromkeys(("TMPDIR", "TMP", "TEMP"), scratch)
    if os.listdir(snapshot) and not os.listdir(scratch):  # files are part of a snapshot
        import shutil  # the template has it already

        shutil.copytree(f"/proc/self/fd/{snapshot}", scratch, symlinks=True, dirs_exist_ok=True)
    os.close(snapshot)
    os.close(mounts)
    confinement.drop_capabilities()
    os.environ.update(order["environment"])
    _restored["version"] = order["version"]
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None  # it is found once, and that was the snapshot's
    client.reconnect(os.environ["AWS_LAMBDA_RUNTIME_API"])
    from snapshot_restore_py import get_after_restore

    try:
        for function, args, kwargs in get_after_restore():
            function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  user code, and awslambdaric takes anything too
        _fail(client, "/restore/error", _error(error, ""), "Runtime.AfterRestoreError", _EXIT_AFTER_RESTORE)


# ── the beginning ───────────────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Initialises, and serves for ever."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    name = os.environ["_HANDLER"]
    is_snap_start = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
    task_root = os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())
    sys.path[0] = task_root  # what stood there is the directory of this file
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path[1:1] = [f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    if not is_snap_start and os.environ.get("ASL_LAMBDA_CLIENT") != "built-in":
        _run_awslambdaric(name)
    sys.stdout = _Unbuffered(sys.stdout)
    sys.stderr = _Unbuffered(sys.stderr)
    client = _Client(address)
    _log_as_lambda()
    try:
        handler = _load(name)
    except Exception as error:  # noqa: BLE001  user code: it becomes the function's error
        failed = _error(error, "")
        _fail(client, "/init/error", failed, failed["errorType"], _EXIT_INIT)
    if is_snap_start:
        _hold_snapshot(client)
    _serve(client, handler)


def _run_awslambdaric(handler: str) -> None:
    """AWS's own client, where the function's interpreter or the function itself has it."""
    from importlib.util import find_spec

    if find_spec("awslambdaric") is None:
        return
    from awslambdaric.__main__ import main as run

    run(["bootstrap.py", handler])


if __name__ == "__main__":
    main()
