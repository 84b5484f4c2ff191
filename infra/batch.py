"""`batch: true`: a state machine that takes a file of events in S3 through an endpoint.

Pages of AWS that comments name are those of https://docs.aws.amazon.com/step-functions/latest/dg/.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json
from warmup.protocol.outputs import LINES_OF_A_CHILD

from .naming import function_name
from .role import add_policy, make_role
from .s3_way import partition_of
from .settings import Settings

_INPUT_BYTES = 200 * 1024
"""Of a child; it may get, and answer, 256 KiB (service-quotas.html)."""
_EXPRESS_TIMEOUT_S = 150
"""Of an endpoint whose children are Express workflows, which are billed by time and not by states. They end
after five minutes (service-quotas.html), and what Lambda refuses is sent again for up to 70 s."""
_LABEL = "Lines"
_SERVICE_ERRORS = [
    # bp-lambda-serviceexception.html: "As a best practice, proactively handle these exceptions".
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    # "When Lambda hits the maximum number of invocations, the error is Lambda.TooManyRequestsException."
    "Lambda.TooManyRequestsException",
]


class BatchMachine(pulumi.ComponentResource):
    """Of one endpoint. Its role reads and writes `batchBucket`, and invokes the alias and nothing else."""

    arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        script: str,
        settings: Settings,
        region: str,
        function_arn: pulumi.Input[str],  # of the alias
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:BatchMachine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = make_role(
            name,
            service="states.amazonaws.com",
            description=f"Takes files of events through {function_name(script)}",
            settings=settings,
            opts=child,
        )
        bucket, _, folder = settings.batch_bucket.partition("/")
        objects = f"arn:{partition_of(region)}:s3:::{bucket}/{folder}*"
        # iam-policies-eg-dist-map.html has these for ItemReader, ResultWriter and the map itself.
        policy = add_policy(
            name,
            role,
            [
                {
                    "Sid": "ReadEventsAndWriteResults",
                    "Effect": "Allow",
                    "Action": [
                        "s3:GetObject",
                        "s3:PutObject",
                        "s3:ListMultipartUploadParts",
                        "s3:AbortMultipartUpload",
                    ],
                    "Resource": objects,
                },
                {
                    "Sid": "AskEndpoint",
                    "Effect": "Allow",
                    "Action": "lambda:InvokeFunction",
                    "Resource": function_arn,
                },
            ],
            child,
        )
        express = settings.endpoints[script].timeout_seconds <= _EXPRESS_TIMEOUT_S
        machine = aws.sfn.StateMachine(
            function_name(name),
            role_arn=role.arn,
            definition=pulumi.Output.json_dumps(definition(function_arn, express=express)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        add_policy(
            f"{name}-children",
            role,
            [
                {
                    "Sid": "StartChildren",
                    "Effect": "Allow",
                    "Action": "states:StartExecution",
                    "Resource": machine.arn,
                },
                {
                    "Sid": "FollowChildren",
                    "Effect": "Allow",
                    "Action": [
                        "states:DescribeExecution",
                        "states:StopExecution",
                        "states:RedriveExecution",
                    ],
                    "Resource": machine.arn.apply(_executions),
                },
            ],
            child,
        )
        self.arn = machine.arn
        self.register_outputs({"arn": self.arn})


def _executions(machine_arn: str) -> list[str]:
    """Of the machine, and of its children."""
    own = machine_arn.replace(":stateMachine:", ":execution:")
    return [f"{own}:*", f"{own}/{_LABEL}:*"]


def definition(function_arn: Json, *, express: bool) -> dict[str, Json]:
    """In Amazon States Language. Its input is that of warmup/batch/states.py."""
    return {
        "Comment": "A file of JSON lines, each an event, through an endpoint",
        "StartAt": "Lines",
        "States": {
            "Lines": {
                "Type": "Map",
                "Label": _LABEL,
                # input-output-itemreader.html: InputType "JSONL".
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSONL"},
                    "Parameters": {"Bucket.$": "$.input.bucket", "Key.$": "$.input.key"},
                },
                # input-output-itemselector.html: before the batcher, so that each line has its number.
                "ItemSelector": {
                    "line.$": "States.MathAdd($$.Map.Item.Index, 1)",
                    "event.$": "$$.Map.Item.Value",
                },
                # input-output-itembatcher.html: "Step Functions adds the items to an Items array."
                "ItemBatcher": {"MaxItemsPerBatch": LINES_OF_A_CHILD, "MaxInputBytesPerBatch": _INPUT_BYTES},
                "MaxConcurrencyPath": "$.children",
                "ToleratedFailurePercentagePath": "$.toleratedPercent",
                "ItemProcessor": {
                    "ProcessorConfig": {
                        "Mode": "DISTRIBUTED",
                        "ExecutionType": "EXPRESS" if express else "STANDARD",
                    },
                    "StartAt": "Batch",
                    "States": {"Batch": _batch(function_arn)},
                },
                # input-output-resultwriter.html: FLATTEN makes one line of each answer of a batch.
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {
                        "Bucket.$": "$$.Execution.Input.results.bucket",
                        "Prefix.$": "$$.Execution.Input.results.prefix",
                    },
                    "WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSONL"},
                },
                "End": True,
            }
        },
    }


def _batch(function_arn: Json) -> dict[str, Json]:
    """What one child execution does. What is wrong with a line is its output; what is wrong with the endpoint
    fails the child, which counts against the tolerated percentage."""
    of_line = {"line.$": "$.line"}
    status = "$.said.payload.statusCode"
    has_status = {"Variable": status, "IsNumeric": True}
    return {
        "Type": "Map",
        "ItemsPath": "$.Items",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "Ask",
            "States": {
                "Ask": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Parameters": {"FunctionName": function_arn, "Payload.$": "$.event"},
                    "ResultSelector": {"payload.$": "$.Payload"},
                    "ResultPath": "$.said",
                    # concepts-error-handling.html: JitterStrategy "FULL", MaxDelaySeconds.
                    "Retry": [
                        {
                            "ErrorEquals": _SERVICE_ERRORS,
                            "IntervalSeconds": 2,
                            "MaxAttempts": 6,
                            "BackoffRate": 2,
                            "MaxDelaySeconds": 20,
                            "JitterStrategy": "FULL",
                        }
                    ],
                    "Catch": [
                        {"ErrorEquals": _SERVICE_ERRORS, "ResultPath": "$.error", "Next": "Busy"},
                        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"},
                    ],
                    "Next": "Judge",
                },
                "Judge": {
                    "Type": "Choice",
                    "Choices": [
                        {
                            "And": [has_status, {"Variable": status, "NumericEquals": 503}],
                            "Next": "NotServed",
                        },
                        {
                            "And": [has_status, {"Variable": status, "NumericGreaterThanEquals": 400}],
                            "Next": "Refused",
                        },
                        {
                            "And": [has_status, {"Variable": "$.said.payload.body", "IsPresent": True}],
                            "Next": "Answered",
                        },
                    ],
                    "Default": "Plain",
                },
                "Answered": {
                    "Type": "Pass",
                    "Parameters": {**of_line, "answer.$": "$.said.payload.body"},
                    "End": True,
                },
                "Plain": {
                    "Type": "Pass",
                    "Parameters": {**of_line, "answer.$": "$.said.payload"},
                    "End": True,
                },
                "Refused": {
                    "Type": "Pass",
                    "Parameters": {**of_line, "error": {"status.$": status, "body.$": "$.said.payload.body"}},
                    "End": True,
                },
                "Failed": {"Type": "Pass", "Parameters": {**of_line, "error.$": "$.error"}, "End": True},
                "NotServed": {
                    "Type": "Fail",
                    "Error": "NotServed",
                    "CausePath": "States.JsonToString($.said.payload.body)",
                },
                "Busy": {"Type": "Fail", "Error": "Busy", "CausePath": "$.error.Cause"},
            },
        },
        "End": True,
    }
