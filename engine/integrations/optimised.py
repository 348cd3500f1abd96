"""The optimised integrations as one table: services, actions, jobs (integrations.md 1.3, 3, 5).

Which patterns an action may be called in stands with the language (`engine.asl.resource.OPTIMISED`). Here is how it is
called: what AWS's API names it, where that is not its own name; and of a job what it is known by, how it is asked
about, when it is over, and how it is stopped. A new service is a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.integrations.optimised_emr import EMR
from engine.integrations.optimised_rows import Job, Service, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.optimised_rows import Source


def _sagemaker(kind: str, status: str) -> Job:
    name = f"{kind}JobName"
    return Job(
        known_by={name: ("ARGUMENTS", name)},
        ask=f"Describe{kind}Job",
        ask_with={name: name},
        status=status,
        good=words("Completed"),
        bad=words("Failed Stopped"),
        stop=f"Stop{kind}Job",
        stop_with={name: name},
    )


def _eks(kind: str, names: Mapping[str, str], *, is_deleted: bool) -> Job:
    return Job(
        known_by={name: ("ARGUMENTS", name) for name in names},
        ask=f"Describe{kind}",
        ask_with=names,
        status=f"{kind}.Status",
        good=frozenset() if is_deleted else words("ACTIVE"),
        bad=words("FAILED" if kind == "Cluster" else "DELETE_FAILED" if is_deleted else "CREATE_FAILED"),
        gone_is_good=is_deleted,
        stop="" if is_deleted else f"Delete{kind}",
        stop_with=names,
    )


_EKS_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "Cluster": {"Name": "Name"},
    "FargateProfile": {"ClusterName": "ClusterName", "FargateProfileName": "FargateProfileName"},
    "Nodegroup": {"ClusterName": "ClusterName", "NodegroupName": "NodegroupName"},
}

_BUILD_OVER = words("FAILED FAULT TIMED_OUT STOPPED")

_BUILD_BATCH: Final = Job(
    known_by={"Id": ("ANSWER", "BuildBatch.Id")},
    ask="BatchGetBuildBatches",
    ask_with={"Ids": "Id"},
    together=100,
    items="BuildBatches",
    same=("Id", "Id"),
    wrapped_as="BuildBatch",
    status="BuildBatchStatus",
    good=words("SUCCEEDED"),
    bad=_BUILD_OVER,
    stop="StopBuildBatch",
    stop_with={"Id": "Id"},
)

_SERVERLESS = {"ApplicationId": "ApplicationId"}


def _application(good: str, bad: str, *, source: Source = "ARGUMENTS") -> Job:
    return Job(
        known_by={"ApplicationId": (source, "ApplicationId")},
        ask="GetApplication",
        ask_with=_SERVERLESS,
        status="Application.State",
        good=words(good),
        bad=words(bad),
    )


def _job_run(source: Source, good: str, bad: str) -> Job:
    known: dict[str, tuple[Source, str]] = {
        "ApplicationId": ("ARGUMENTS", "ApplicationId"),
        "JobRunId": (source, "JobRunId"),
    }
    names = {name: name for name in known}
    return Job(
        known_by=known,
        ask="GetJobRun",
        ask_with=names,
        output="JobRun",
        status="State",
        good=words(good),
        bad=words(bad),
        stop="CancelJobRun",
        stop_with=names,
    )


SERVICES: Final[Mapping[str, Service]] = {
    "athena": Service(
        client="athena",
        prefix="Athena",
        name="AmazonAthena",
        base="AmazonAthenaException",
        jobs={
            "startQueryExecution": Job(
                known_by={"QueryExecutionId": ("ANSWER", "QueryExecutionId")},
                ask="BatchGetQueryExecution",
                ask_with={"QueryExecutionIds": "QueryExecutionId"},
                together=50,
                items="QueryExecutions",
                same=("QueryExecutionId", "QueryExecutionId"),
                wrapped_as="QueryExecution",
                status="Status.State",
                good=words("SUCCEEDED"),
                bad=words("FAILED CANCELLED"),
                stop="StopQueryExecution",
                stop_with={"QueryExecutionId": "QueryExecutionId"},
            )
        },
    ),
    "batch": Service(
        client="batch",
        prefix="Batch",
        name="AWSBatch",
        base="AWSBatchException",
        jobs={
            "submitJob": Job(
                known_by={"JobId": ("ANSWER", "JobId")},
                ask="DescribeJobs",
                ask_with={"Jobs": "JobId"},
                together=100,
                items="Jobs",
                same=("JobId", "JobId"),
                status="Status",
                good=words("SUCCEEDED"),
                bad=words("FAILED"),
                stop="TerminateJob",
                stop_with={"JobId": "JobId", "Reason": "'Stopped by its state machine'"},
            )
        },
    ),
    "bedrock": Service(
        client="bedrock",
        prefix="Bedrock",
        name="AmazonBedrock",
        base="AmazonBedrockException",
        jobs={
            "createModelCustomizationJob": Job(
                known_by={"JobArn": ("ANSWER", "JobArn")},
                ask="GetModelCustomizationJob",
                ask_with={"JobIdentifier": "JobArn"},
                status="Status",
                good=words("Completed"),
                bad=words("Failed Stopped"),
                stop="StopModelCustomizationJob",
                stop_with={"JobIdentifier": "JobArn"},
            )
        },
        elsewhere=words("invokeModel"),
    ),
    "codebuild": Service(
        client="codebuild",
        prefix="CodeBuild",
        name="AWSCodeBuild",
        base="AWSCodeBuildException",
        jobs={
            "startBuild": Job(
                known_by={"Id": ("ANSWER", "Build.Id")},
                ask="BatchGetBuilds",
                ask_with={"Ids": "Id"},
                together=100,
                items="Builds",
                same=("Id", "Id"),
                wrapped_as="Build",
                status="BuildStatus",
                good=words("SUCCEEDED"),
                bad=_BUILD_OVER,
                stop="StopBuild",
                stop_with={"Id": "Id"},
            ),
            "startBuildBatch": _BUILD_BATCH,
            "retryBuildBatch": _BUILD_BATCH,
        },
    ),
    "databrew": Service(
        client="databrew",
        prefix="DataBrew",
        name="AWSGlueDataBrew",
        base="AWSGlueDataBrewException",
        jobs={
            "startJobRun": Job(
                known_by={"Name": ("ARGUMENTS", "Name"), "RunId": ("ANSWER", "RunId")},
                ask="DescribeJobRun",
                ask_with={"Name": "Name", "RunId": "RunId"},
                status="State",
                good=words("SUCCEEDED"),
                bad=words("FAILED STOPPED TIMEOUT"),
                stop="StopJobRun",
                stop_with={"Name": "Name", "RunId": "RunId"},
            )
        },
    ),
    "dynamodb": Service(client="dynamodb", prefix="DynamoDB", name="AmazonDynamoDBv2", base="AmazonDynamoDBException"),
    "ecs": Service(
        client="ecs",
        prefix="ECS",
        name="AmazonECS",
        base="AmazonECSException",
        jobs={
            "runTask": Job(
                known_by={"Cluster": ("ANSWER", "Tasks.0.ClusterArn"), "TaskArn": ("ANSWER", "Tasks.0.TaskArn")},
                ask="DescribeTasks",
                ask_with={"Cluster": "Cluster", "Tasks": "TaskArn"},
                together=100,
                items="Tasks",
                same=("TaskArn", "TaskArn"),
                status="LastStatus",
                good=words("STOPPED"),
                bad=frozenset(),
                stop="StopTask",
                stop_with={"Cluster": "Cluster", "Task": "TaskArn", "Reason": "'Stopped by its state machine'"},
            )
        },
    ),
    "eks": Service(
        client="eks",
        prefix="EKS",
        name="AmazonEKS",
        base="AmazonEKSException",
        jobs={
            **{f"create{kind}": _eks(kind, names, is_deleted=False) for kind, names in _EKS_NAMES.items()},
            **{f"delete{kind}": _eks(kind, names, is_deleted=True) for kind, names in _EKS_NAMES.items()},
        },
        elsewhere=words("call runJob"),
    ),
    "elasticmapreduce": EMR,
    "emr-containers": Service(
        client="emr-containers",
        prefix="EMRContainers",
        name="AmazonEMRContainers",
        base="AmazonEMRContainersException",
        jobs={
            "startJobRun": Job(
                known_by={"Id": ("ANSWER", "Id"), "VirtualClusterId": ("ANSWER", "VirtualClusterId")},
                ask="DescribeJobRun",
                ask_with={"Id": "Id", "VirtualClusterId": "VirtualClusterId"},
                output="JobRun",
                status="State",
                good=words("COMPLETED"),
                bad=words("FAILED CANCELLED"),
                stop="CancelJobRun",
                stop_with={"Id": "Id", "VirtualClusterId": "VirtualClusterId"},
            ),
            "deleteVirtualCluster": Job(
                known_by={"Id": ("ARGUMENTS", "Id")},
                ask="DescribeVirtualCluster",
                ask_with={"Id": "Id"},
                output="VirtualCluster",
                status="State",
                good=words("TERMINATED"),
                bad=words("ARRESTED"),
                gone_is_good=True,
            ),
        },
    ),
    "emr-serverless": Service(
        client="emr-serverless",
        prefix="EMRServerless",
        name="AWSEMRServerless",
        base="AWSEMRServerlessException",
        jobs={
            "createApplication": _application("CREATED STARTED", "TERMINATED", source="ANSWER"),
            "startApplication": _application("STARTED", "TERMINATED STOPPED"),
            "stopApplication": _application("STOPPED", "TERMINATED"),
            "deleteApplication": _application("TERMINATED", ""),
            "startJobRun": _job_run("ANSWER", "SUCCESS", "FAILED CANCELLED"),
            "cancelJobRun": _job_run("ARGUMENTS", "CANCELLED", "SUCCESS FAILED"),
        },
    ),
    "events": Service(
        client="events",
        prefix="EventBridge",
        name="AmazonEventBridge",
        base="AmazonEventBridgeException",
        has_metadata=False,
    ),
    "glue": Service(
        client="glue",
        prefix="Glue",
        name="AWSGlue",
        base="AWSGlueException",
        jobs={
            "startJobRun": Job(
                known_by={"JobName": ("ARGUMENTS", "JobName"), "RunId": ("ANSWER", "JobRunId")},
                ask="GetJobRun",
                ask_with={"JobName": "JobName", "RunId": "RunId"},
                output="JobRun",
                status="JobRunState",
                good=words("SUCCEEDED STOPPED"),
                bad=words("FAILED TIMEOUT ERROR"),
                stop="BatchStopJobRun",
                stop_with={"JobName": "JobName", "JobRunIds": "RunId"},
            )
        },
    ),
    "mediaconvert": Service(
        client="mediaconvert",
        prefix="MediaConvert",
        name="AWSMediaConvert",
        base="AWSMediaConvertException",
        jobs={
            "createJob": Job(
                known_by={"Id": ("ANSWER", "Job.Id")},
                ask="GetJob",
                ask_with={"Id": "Id"},
                status="Job.Status",
                good=words("COMPLETE"),
                bad=words("ERROR CANCELED"),
                stop="CancelJob",
                stop_with={"Id": "Id"},
            )
        },
    ),
    "sagemaker": Service(
        client="sagemaker",
        prefix="SageMaker",
        name="AmazonSageMaker",
        base="AmazonSageMakerException",
        jobs={
            "createHyperParameterTuningJob": _sagemaker("HyperParameterTuning", "HyperParameterTuningJobStatus"),
            "createLabelingJob": _sagemaker("Labeling", "LabelingJobStatus"),
            "createProcessingJob": _sagemaker("Processing", "ProcessingJobStatus"),
            "createTrainingJob": _sagemaker("Training", "TrainingJobStatus"),
            "createTransformJob": _sagemaker("Transform", "TransformJobStatus"),
        },
    ),
    "sns": Service(client="sns", prefix="SNS", name="AmazonSNS", base="AmazonSNSException"),
    "sqs": Service(client="sqs", prefix="SQS", name="AmazonSQS", base="AmazonSQSException"),
}
"""Services that a Task may call in optimised form. Those whose answers are not AWS's API's are not here."""
