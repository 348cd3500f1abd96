"""`eks:call` and `eks:runJob` against a small API server of Kubernetes, over TLS."""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from engine import Engine, ExecutionFailed
from engine.integrations.kubernetes import KubernetesHandler
from engine.runtime import jobs
from tests.aws_environment import with_credentials
from tests.certificates import write_certificate
from tests.definitions import machine
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine import ExecutionHandle

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"}, "spec": {"backoffLimit": 0}}


def status(code: int, reason: str) -> Reply:
    return Reply(json.dumps({"kind": "Status", "reason": reason, "code": code}).encode(), code)


class Cluster:
    """Jobs by name, the answers to other paths, and what was asked."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.others: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self.endpoint = self.authority = ""

    async def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if not asked.headers["authorization"].startswith("Bearer k8s-aws-v1."):
            return status(401, "Unauthorized")
        path = asked.path.partition("?")[0]
        if path in self.others:
            return self.others[path]
        name = path.removeprefix(f"{JOBS}/")
        if asked.method == "POST" and path == JOBS:
            job = json.loads(asked.body)
            name = job["metadata"]["name"]
            if name in self.jobs:
                return status(409, "AlreadyExists")
            self.jobs[name] = job
            return Reply(json.dumps(job).encode(), 201)
        if name not in self.jobs:
            return status(404, "NotFound")
        job = self.jobs.pop(name) if asked.method == "DELETE" else self.jobs[name]
        return Reply(json.dumps(job).encode())

    def end(self, condition: str) -> None:
        for job in self.jobs.values():
            job["status"] = {"conditions": [{"type": condition, "status": "True"}]}

    def questions(self) -> int:
        return sum(asked.method == "GET" for asked in self.asked)


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS_MIN", 0.02)
    monkeypatch.setattr(jobs, "_FINE_MS", 10)
    with_credentials(monkeypatch)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    write_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    one = Cluster()
    async with stub_lambda(one, tls=tls) as stub:
        one.endpoint = stub.url.replace("127.0.0.1", "localhost")
        one.authority = base64.b64encode((tmp_path / "cert.pem").read_bytes()).decode()
        yield one


def of_aws() -> Engine:
    return Engine.in_memory({"*": "aws:"}, region="eu-west-1")


async def begin(one: Engine, cluster: Cluster, action: str, **given: Any) -> ExecutionHandle:
    about = {"ClusterName": "c", "CertificateAuthority": cluster.authority, "Endpoint": cluster.endpoint, **given}
    task = {"Type": "Task", "Resource": f"arn:aws:states:::eks:{action}", "Parameters": about}
    return await one.start_execution(machine(task))


async def result(cluster: Cluster, action: str, **given: Any) -> Any:
    async with of_aws() as one:
        return await (await begin(one, cluster, action, **given)).result()


async def failure(cluster: Cluster, action: str, **given: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await result(cluster, action, **given)
    return caught.value.error, str(caught.value.cause)


# ── eks:call ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_is_one_request_of_the_kubernetes_api(cluster: Cluster) -> None:
    cluster.others[PODS] = Reply(b'{"items":[]}')
    query = {"labelSelector": ["job-name=pi"], "limit": ["5"]}
    found = await result(cluster, "call", Method="GET", Path=PODS, QueryParameters=query)
    assert (found["StatusCode"], found["StatusText"], found["ResponseBody"]) == (200, "OK", {"items": []})
    assert found["Headers"]["Content-Type"] == ["application/json"]
    (asked,) = cluster.asked
    assert asked.method == "GET"
    assert parse_qs(urlsplit(asked.path).query) == query


async def test_bodies_are_json_or_a_text_that_is_it(cluster: Cluster) -> None:
    cluster.others["/api/v1/namespaces"] = Reply(b"{}", 201)
    for body in ({"kind": "Namespace"}, '{"kind":"Namespace"}'):
        await result(cluster, "call", Method="POST", Path="/api/v1/namespaces", RequestBody=body)
    assert [asked.body for asked in cluster.asked] == [b'{"kind":"Namespace"}'] * 2
    assert cluster.asked[0].headers["content-type"] == "application/json"


async def test_who_asks_is_known_by_a_request_that_is_signed_for_the_cluster_alone(cluster: Cluster) -> None:
    cluster.others[PODS] = Reply(b"{}")
    await result(cluster, "call", Method="GET", Path=PODS)
    token = cluster.asked[0].headers["authorization"].removeprefix("Bearer k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = parse_qs(url.query)
    assert url.netloc == "sts.eu-west-1.amazonaws.com"
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Credential"][0].startswith("AKID/")


async def test_a_refusal_has_the_status_as_its_name(cluster: Cluster) -> None:
    error, cause = await failure(cluster, "call", Method="GET", Path=f"{JOBS}/none")
    assert error == "EKS.404"
    assert json.loads(cause)["reason"] == "NotFound"


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({"Method": "BREW"}, "'Method'"),
        ({"Path": "api"}, "'Path'"),
        ({"Path": "/api?watch=1"}, "'Path'"),
        ({"Endpoint": "http://cluster.example.com"}, "'Endpoint'"),
        ({"CertificateAuthority": "no base 64"}, "'CertificateAuthority'"),
        ({"CertificateAuthority": base64.b64encode(b"no certificate").decode()}, "'CertificateAuthority'"),
        ({"QueryParameters": {"limit": "5"}}, "'QueryParameters'"),
    ],
)
async def test_arguments_that_cannot_be_used_are_told_before_anything_is_sent(
    cluster: Cluster, given: Any, finding: str
) -> None:
    error, cause = await failure(cluster, "call", **{"Method": "GET", "Path": PODS, **given})
    assert error == "States.Runtime"
    assert finding in cause
    assert cluster.asked == []


async def test_a_cluster_of_another_authority_is_not_talked_to(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other")
    other = base64.b64encode((tmp_path / "other" / "cert.pem").read_bytes()).decode()
    error, cause = await failure(cluster, "call", Method="GET", Path=PODS, CertificateAuthority=other)
    assert error == "EKS.SdkClientException"
    assert "certificate verify failed" in cause
    assert cluster.asked == []


# ── eks:runJob ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job", [JOB, json.dumps(JOB)])
async def test_a_job_is_begun(cluster: Cluster, job: Any) -> None:
    found = await result(cluster, "runJob", Job=job)
    assert found["StatusCode"] == 201
    assert found["ResponseBody"]["metadata"]["name"] == "pi"
    assert cluster.jobs["pi"]["spec"] == {"backoffLimit": 0}


async def test_a_job_is_waited_for_and_its_logs_are_read(cluster: Cluster) -> None:
    pod = {"metadata": {"name": "pi-x"}, "spec": {"containers": [{"name": "one"}, {"name": "two"}]}}
    cluster.others[PODS] = Reply(json.dumps({"items": [pod]}).encode())
    cluster.others[f"{PODS}/pi-x/log"] = Reply(b'{"pi":3.14}')
    logs = {"RetrieveLogs": True, "LogParameters": {"tailLines": ["6"]}}
    async with of_aws() as one:
        execution = await begin(one, cluster, "runJob.sync", Job=JOB, LogOptions=logs)
        await until(lambda: cluster.questions() > 2)
        cluster.end("Complete")
        output = await execution.result()
    assert output["metadata"]["name"] == "pi"
    containers = output["logs"]["pods"]["pi-x"]["containers"]
    assert containers == {"one": {"log": {"pi": 3.14}}, "two": {"log": {"pi": 3.14}}}
    asked = [urlsplit(asked.path) for asked in cluster.asked if asked.path.startswith(PODS)]
    assert parse_qs(asked[0].query) == {"labelSelector": ["job-name=pi"]}
    assert parse_qs(asked[1].query) == {"container": ["one"], "tailLines": ["6"]}


async def test_logs_may_stay_texts_and_what_cannot_be_read_is_told_in_their_place(cluster: Cluster) -> None:
    pod = {"metadata": {"name": "pi-x"}, "spec": {"containers": [{"name": "one"}]}}
    cluster.others[PODS] = Reply(json.dumps({"items": [pod]}).encode())
    for log, expected in [
        (Reply(b'{"pi":3.14}'), {"log": '{"pi":3.14}'}),
        (status(400, "BadRequest"), {"error": "EKS.400"}),
    ]:
        cluster.others[f"{PODS}/pi-x/log"] = log
        async with of_aws() as one:
            logs = {"RetrieveLogs": True, "RawLogs": True}
            execution = await begin(one, cluster, "runJob.sync", Job=JOB, LogOptions=logs)
            await until(lambda: cluster.jobs)
            cluster.end("Complete")
            output = await execution.result()
        cluster.jobs.clear()
        assert expected.items() <= output["logs"]["pods"]["pi-x"]["containers"]["one"].items()


async def test_a_job_that_failed_fails_the_task_with_the_job_as_its_cause(cluster: Cluster) -> None:
    async with of_aws() as one:
        execution = await begin(one, cluster, "runJob.sync", Job=JOB)
        await until(lambda: cluster.jobs)
        cluster.end("Failed")
        with pytest.raises(ExecutionFailed) as caught:
            await execution.result()
    assert caught.value.error == "States.TaskFailed"
    assert json.loads(str(caught.value.cause))["status"]["conditions"][0]["type"] == "Failed"


async def test_a_job_is_deleted_with_its_pods_when_its_execution_is_stopped(cluster: Cluster) -> None:
    async with of_aws() as one:
        execution = await begin(one, cluster, "runJob.sync", Job=JOB)
        await until(lambda: cluster.questions() > 0)
        await execution.stop()
        await until(lambda: not cluster.jobs)
    (deletion,) = [asked for asked in cluster.asked if asked.method == "DELETE"]
    assert json.loads(deletion.body)["propagationPolicy"] == "Background"


async def test_a_job_of_the_name_is_not_taken_for_ones_own(cluster: Cluster) -> None:
    cluster.jobs["pi"] = JOB
    error, cause = await failure(cluster, "runJob.sync", Job=JOB)
    assert error == "EKS.409"
    assert json.loads(cause)["reason"] == "AlreadyExists"


async def test_a_request_that_is_made_again_finds_the_job_of_the_first(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = KubernetesHandler.submit
    found: list[Any] = []

    async def twice(self: Any, request: Any, channel: Any, workplace: Any) -> Any:
        import msgspec

        again = msgspec.structs.replace(request, may_have_run=True)
        found.append(await self.find(again, workplace))
        found.append((await submit(self, request, channel, workplace)).job)
        found.append(await self.find(again, workplace))
        found.append((await submit(self, again, channel, workplace)).job)
        cluster.end("Complete")
        return await submit(self, again, channel, workplace)

    monkeypatch.setattr(KubernetesHandler, "submit", twice)
    await result(cluster, "runJob.sync", Job=JOB)
    assert found == [None, {"Name": "pi"}, {"Name": "pi"}, {"Name": "pi"}]
    assert len(cluster.jobs) == 1
