"""The resources that the program declares, times list prices: idle for a month, and a million requests."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hf_lambda.manifest import PreparedEntry
from local.cost.memory import NeededMemory
from local.cost.models import ModelForecast
from local.cost.warm_up import Item, nat_item, relay_items, warm_up_items
from local.program.functions import WARMUP_COMMAND, Function
from local.program.mock import Registrations, Resource
from local.program.resources import functions
from warmup import prices
from warmup.prices import Price
from warmup.protocol.records import Record

GB = 10**9
UNSAID_MS = 1000.0
"""Of a request, where neither anybody nor the Hub says how long it takes."""
LOG_BYTES = 600
"""That a request writes: some 300 of ours and as much of Lambda's."""
COLD_STARTS = 1000
IMAGE_GB = {"slim": (0.1238, 0.1079), "full": (0.1238, 1.0125)}
"""Base image, which targets share, and what is above it; docs/image.md, x86_64, before compression."""
NO_COST_IDLE = frozenset(
    {
        *(f"aws:ec2/{each}" for each in ("vpc:Vpc", "subnet:Subnet", "routeTable:RouteTable", "route:Route")),
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/vpcEndpointRouteTableAssociation:VpcEndpointRouteTableAssociation",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        *(f"aws:iam/{each}" for each in ("role:Role", "rolePolicy:RolePolicy")),
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        *(f"aws:efs/{each}" for each in ("mountTarget:MountTarget", "accessPoint:AccessPoint")),
        *(f"aws:efs/{each}" for each in ("fileSystemPolicy:FileSystemPolicy", "backupPolicy:BackupPolicy")),
        *(f"aws:ecr/{each}" for each in ("repository:Repository", "lifecyclePolicy:LifecyclePolicy")),
        *(f"aws:lambda/{each}" for each in ("alias:Alias", "permission:Permission")),
        "aws:lambda/functionUrl:FunctionUrl",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "aws:secretsmanager/secretVersion:SecretVersion",  # the secret is what has a price
        "aws:sqs/queue:Queue",  # by what is sent and read
        "aws:sfn/stateMachine:StateMachine",  # by what its executions do
        *(f"aws:sns/{each}" for each in ("topic:Topic", "topicSubscription:TopicSubscription")),
        "aws:cloudwatch/logGroup:LogGroup",  # by what is written and kept
        "aws:ec2/flowLog:FlowLog",  # as a log
        *(f"aws:s3/{each}" for each in ("bucketPolicy:BucketPolicy",)),
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    }
)
"""Types whose resources have no price of their own, or one by use alone."""


@dataclass(frozen=True)
class Line(Record):
    """`usd` None: a quantity alone, and `formula` says why; the sum is without it."""

    what: str
    quantity: float
    unit: str
    usd: float | None
    formula: str


@dataclass(frozen=True)
class UsedPrice(Record):
    """A price that a line was made with."""

    name: str
    usd: float
    unit: str
    page: str
    read: str
    date: str


@dataclass(frozen=True)
class EndpointCost(Record):
    """A million requests of one endpoint, all warm."""

    name: str
    memory_mb: int
    architecture: str
    milliseconds: float
    usd: float
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Estimate(Record):
    """What `make cost --json` writes. `idle_usd` is the sum of the lines that have money."""

    stack: str
    region: str
    idle_usd: float
    idle: tuple[Line, ...]
    endpoints: tuple[EndpointCost, ...]
    warm_up_usd: float
    warm_up: tuple[Line, ...]
    """Of one model of a gigabyte, once."""
    prices: tuple[UsedPrice, ...]
    notes: tuple[str, ...]


@dataclass
class _Prices:
    """Which prices lines were made with, in their order."""

    used: dict[str, Price] = field(default_factory=dict)

    def take(self, name: str, price: Price) -> float:
        self.used[name] = price
        return price.usd

    def rows(self) -> tuple[UsedPrice, ...]:
        return tuple(
            UsedPrice(name, each.usd, each.unit, each.page, each.read, each.date)
            for name, each in self.used.items()
        )


def estimate(
    stack: str,
    region: str,
    registered: Registrations,
    *,
    forecasts: Sequence[ModelForecast] = (),
    milliseconds: Mapping[str, float] | None = None,
    needed: Sequence[NeededMemory] = (),
    notes: Sequence[str] = (),
) -> Estimate:
    """`forecasts`: what the Hub says, by script; `milliseconds`: of a request by script, which goes first.
    `needed`: what the language models of scripts take of memory."""
    taken, resources = _Prices(), registered.resources
    of_hub = {each.script: each for each in forecasts}
    versions = 2 if "release" in registered.outputs else 1  # gated, the one before stays for a rollback
    idle = tuple(_idle(resources, of_hub, versions, taken))
    architectures = {
        each.id: str((each.inputs.get("architectures") or ["x86_64"])[0])
        for each in resources
        if each.type == "aws:lambda/function:Function"
    }
    endpoints = tuple(
        _endpoint(
            each, architectures[each.function_name], resources, of_hub, milliseconds or {}, needed, taken
        )
        for each in functions(resources)
        if each.is_endpoint
    )
    warm_up = tuple(_warm_up(resources, architectures, taken))
    said = [*notes]
    if region != prices.REGION:
        said.append(f"prices are those of {prices.REGION}; in {region} they may be others")
    said += [
        f"{each.script}: what memory {each.model} takes is known once `make up` or a warm-up has prepared it"
        for each in needed
        if each.made is None
    ]
    total = sum(line.usd for line in idle if line.usd is not None)
    once = sum(line.usd for line in warm_up if line.usd is not None)
    return Estimate(
        stack,
        region,
        round(total, 4),
        idle,
        endpoints,
        round(once, 4),
        warm_up,
        taken.rows(),
        tuple(said),
    )


def _warm_up(
    resources: Sequence[Resource], architectures: Mapping[str, str], taken: _Prices
) -> Iterator[Line]:
    items: list[Item] = []
    for each in functions(resources):
        architecture = architectures[each.function_name]
        if each.is_relay:
            items += relay_items(GB, each.memory_mb, each.storage_mb, architecture)
        elif each.command == WARMUP_COMMAND:
            items += warm_up_items(GB, each.memory_mb, architecture)
    if any(each.type == "aws:ec2/natGateway:NatGateway" for each in resources):
        items.append(nat_item(GB))
    for item in items:
        for name, price in item.used:
            taken.take(name, price)
        yield _line(item.what, item.quantity, item.unit, item.usd, item.formula)


def _idle(
    resources: Sequence[Resource],
    forecasts: Mapping[str, ModelForecast],
    versions: int,  # with a snapshot, of each endpoint that has them
    taken: _Prices,
) -> Iterator[Line]:
    left = Counter(
        each.type for each in resources if each.type.startswith("aws:") and each.type not in NO_COST_IDLE
    )

    def every(type_: str) -> int:
        return left.pop(type_, 0)

    hours = prices.MONTH_HOURS
    for what, type_, name, price in (
        ("NAT gateways", "aws:ec2/natGateway:NatGateway", "NAT gateway", prices.NAT_GATEWAY),
        ("public IPv4 addresses", "aws:ec2/eip:Eip", "public IPv4 address", prices.PUBLIC_IPV4),
    ):
        number = every(type_)
        usd = taken.take(name, price) if number else price.usd
        yield _line(what, number, "", number * hours * usd, f"{number} x {hours} h x {_dollars(usd)}")
    number = every("aws:lambda/function:Function")
    yield _line("functions", number, "", 0.0, "billed while they run alone")
    every("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
    yield from _provisioned(resources, taken)
    yield from _snapshots(resources, versions, taken)
    in_image = {each.name for each in functions(resources) if each.models}
    made, points = every("aws:efs/fileSystem:FileSystem"), _any(resources, "aws:efs/accessPoint:AccessPoint")
    if points:
        in_cache = {name: each for name, each in forecasts.items() if name not in in_image}
        yield _stored(made, in_cache, taken)
    yield _images(resources, taken)
    if in_image:
        own = {name: each for name, each in forecasts.items() if name in in_image}
        yield _in_images(sorted(in_image), own, taken)
    for what, type_, name, price, note in (
        ("secrets (the Hub's token)", "aws:secretsmanager/secret:Secret", "secret", prices.SECRET, ""),
        ("keys (KMS)", "aws:kms/key:Key", "key", prices.KMS_KEY, "; what is asked of it comes on top"),
        (
            "dashboards",
            "aws:cloudwatch/dashboard:Dashboard",
            "dashboard",
            prices.DASHBOARD,
            "; an account's first 3 are free",
        ),
        (
            "alarms",
            "aws:cloudwatch/metricAlarm:MetricAlarm",
            "alarm",
            prices.ALARM,
            "; an account's first 10 are free",
        ),
    ):
        if number := every(type_):
            usd = taken.take(name, price)
            yield _line(what, number, "", number * usd, f"{number} x {_dollars(usd)}{note}")
    if number := every("aws:cloudwatch/logMetricFilter:LogMetricFilter"):
        usd = taken.take("custom metric", prices.CUSTOM_METRIC)
        yield _line("metrics of failures", number, "", 0.0, f"{_dollars(usd)} each in a month with a failure")
    every("aws:scheduler/schedule:Schedule")
    yield from _pings(resources, taken)
    if number := every("aws:s3/bucket:Bucket"):
        usd = taken.take("S3, stored", prices.S3_STORAGE)
        formula = f"{_dollars(usd)} for each GB and month; models lie there for days at most, on their way"
        yield _line("bucket", number, "", None, formula)
    for resource in resources:
        if resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint":
            every(resource.type)
            if (resource.inputs.get("vpcEndpointType") or "Gateway") != "Gateway":
                yield _line(f"endpoint {resource.name}", 1, "", None, "an interface; it has no price here")
    for type_, number in sorted(left.items()):
        yield _line(type_.rpartition(":")[2], number, "", None, f"{type_} has no price here")


def _provisioned(resources: Sequence[Resource], taken: _Prices) -> Iterator[Line]:
    of_type = {each.id: each for each in resources if each.type == "aws:lambda/function:Function"}
    for each in resources:
        if each.type != "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig":
            continue
        function = of_type[each.inputs["functionName"]].inputs
        architecture = str((function.get("architectures") or ["x86_64"])[0])
        number, memory_mb = int(each.inputs["provisionedConcurrentExecutions"]), int(function["memorySize"])
        usd = taken.take(f"provisioned concurrency, {architecture}", prices.PROVISIONED[architecture])
        yield _line(
            f"provisioned concurrency of {each.name}",
            number,
            "",
            number * memory_mb / 1024 * prices.MONTH_S * usd,
            f"{number} x {memory_mb} MB / 1024 x {prices.MONTH_S:,} s x ${usd:.10f}",
        )


_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}


def _pings(resources: Sequence[Resource], taken: _Prices) -> Iterator[Line]:
    """Of `keepWarm`. A cron expression says no number."""
    for each in resources:
        if each.type != "aws:scheduler/schedule:Schedule":
            continue
        expression = str(each.inputs["scheduleExpression"])
        found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
        if found is None:
            yield _line(f"pings of {each.name}", 1, "", None, f"{expression}: as many as it says")
            continue
        pings = prices.MONTH_HOURS * 60 / (int(found[1]) * _MINUTES[found[2]])
        usd = taken.take("scheduled invocation", prices.SCHEDULED) + taken.take("requests", prices.REQUESTS)
        formula = f"{pings:,.0f} x {_dollars(usd)} / 1,000,000; and some milliseconds of the function each"
        yield _line(f"pings of {each.name}", 1, "", pings * usd / 1_000_000, formula)


def _snapshots(resources: Sequence[Resource], versions: int, taken: _Prices) -> Iterator[Line]:
    """Of the versions that a stack keeps of an endpoint with `snapStart`."""
    for each in functions(resources):
        if not each.snap_start:
            continue
        usd = taken.take("snapshot, kept", prices.SNAPSHOT_KEPT)
        kept = versions * each.memory_mb / 1024 * prices.MONTH_S * usd
        many = f"{versions} (one for a rollback) x " if versions > 1 else ""
        formula = (
            f"{many}{each.memory_mb} MB / 1024 x {prices.MONTH_S:,} s x ${usd:.10f}, by a secondary source "
            f"of {prices.SNAPSHOT_KEPT.date}; AWS deletes one that nobody called for 14 days"
        )
        yield _line(f"snapshot of {each.name}", versions, "", kept, formula)


def _any(resources: Sequence[Resource], type_: str) -> bool:
    return any(each.type == type_ for each in resources)


def _in_images(names: Sequence[str], forecasts: Mapping[str, ModelForecast], taken: _Prices) -> Line:
    """What the models of `names` add to their images."""
    usd = taken.take("ECR storage", prices.ECR_STORAGE)
    what = f"models in images (ECR): {', '.join(names)}"
    sizes = [forecasts[name].stored_bytes if name in forecasts else None for name in names]
    known = [each for each in sizes if each is not None]
    if len(known) < len(sizes):
        return _line(
            what, 1, "GB", None, f"{_dollars(usd)} for each GB; HUB=... asks a Hub how many there are"
        )
    stored = sum(known) / GB
    formula = (
        f"{stored:.3f} GB x {_dollars(usd)}, by sizes that the Hub says; pushes of other models add to it"
    )
    return _line(what, stored, "GB", stored * usd, formula)


def _stored(made: int, forecasts: Mapping[str, ModelForecast], taken: _Prices) -> Line:
    usd = taken.take("EFS storage", prices.EFS_STORAGE)
    what = "cached models (EFS)" if made else "cached models (EFS, a file system that is there)"
    sizes = [each.stored_bytes for each in forecasts.values()]
    known = [each for each in sizes if each is not None]
    if not known or len(known) < len(sizes):
        return _line(
            what, 1, "GB", None, f"{_dollars(usd)} for each GB; HUB=... asks a Hub how many there are"
        )
    stored = sum(known) / GB
    return _line(
        what, stored, "GB", stored * usd, f"{stored:.3f} GB x {_dollars(usd)}, by sizes that the Hub says"
    )


def _images(resources: Sequence[Resource], taken: _Prices) -> Line:
    usd = taken.take("ECR storage", prices.ECR_STORAGE)
    targets = sorted(
        {
            str(each.inputs["build"]["target"])
            for each in resources
            if each.type == "docker:index/image:Image" and each.inputs["build"].get("target")
        }
    )
    shared = max((IMAGE_GB[each][0] for each in targets), default=0.0)
    size = shared + sum(IMAGE_GB[each][1] for each in targets)
    formula = f"{size:.2f} GB x {_dollars(usd)}: {' and '.join(targets)}, uncompressed; pushes add to it"
    return _line("images (ECR)", size, "GB", size * usd, formula)


def _endpoint(
    function: Function,
    architecture: str,
    resources: Sequence[Resource],
    forecasts: Mapping[str, ModelForecast],
    milliseconds: Mapping[str, float],
    needed: Sequence[NeededMemory],
    taken: _Prices,
) -> EndpointCost:
    found = forecasts.get(function.name)
    if function.name in milliseconds:
        took, why = milliseconds[function.name], "as you say"
    elif found and found.warm_ms is not None:
        took, why = found.warm_ms, found.measured
    else:
        took, why = UNSAID_MS, "nobody measured it: say yours with MS="
    memory_mb = function.memory_mb
    gb_second = taken.take(f"duration, {architecture}", prices.DURATION[architecture])
    requests = taken.take("requests", prices.REQUESTS)
    compute = prices.million_usd(memory_mb, took, architecture) - prices.MILLION_REQUESTS_USD
    lines = [
        _line(
            "compute",
            took,
            "ms",
            compute,
            f"10^6 x {memory_mb} MB / 1024 x {math.ceil(took) / 1000:g} s x ${gb_second:.10f} ({why})",
        ),
        _line("requests", 1, "million", requests, f"1 x ${requests:.2f}"),
        _logs(function, resources, taken),
    ]
    if any(
        each.type.endswith(":ProvisionedConcurrencyConfig") and each.name == function.name
        for each in resources
    ):
        lines.append(
            _line("provisioned instances", 1, "", None, "what they answer is billed less than `compute` says")
        )
    if function.snap_start:
        usd, size = taken.take("snapshot, restored", prices.SNAPSHOT_RESTORED), memory_mb / 1024
        formula = (
            f"{COLD_STARTS:,} x {size:g} GB x ${usd:.10f} is ${COLD_STARTS * size * usd:.2f}, by a secondary "
            f"source of {prices.SNAPSHOT_RESTORED.date}, not in the sum"
        )
        lines.append(_line(f"{COLD_STARTS:,} instances restored", size * COLD_STARTS, "GB", None, formula))
    if found and found.cold_bytes is not None and not function.models:
        usd, size = taken.take("EFS, read", prices.EFS_READ), found.cold_bytes / GB
        total = f"{COLD_STARTS:,} x {size:.3f} GB x {_dollars(usd)} is ${COLD_STARTS * size * usd:.2f}"
        formula = f"{total}, not in the sum"
        lines.append(_line(f"{COLD_STARTS:,} cold starts (EFS)", size * COLD_STARTS, "GB", None, formula))
    if function.url:
        usd = taken.take("data out", prices.DATA_OUT)
        formula = f"{_dollars(usd)} for each GB of answers; the address itself has no price"
        lines.append(_line("function URL", 1, "GB", None, formula))
    lines += [
        _memory(each.model, each.made, memory_mb)
        for each in needed
        if each.script == function.name and each.made
    ]
    every = sum(line.usd for line in lines if line.usd is not None)
    return EndpointCost(function.name, memory_mb, architecture, took, round(every, 4), tuple(lines))


def _memory(model: str, made: PreparedEntry, memory_mb: int) -> Line:
    """What a language model takes, beside what its function has; memory is billed in `compute`."""
    enough = "" if made.memory_mb <= memory_mb else ": raise it, or give the pipeline a smaller max_context"
    formula = f"{made.precision}, a text of {made.context} tokens, by the last `make up` of this machine"
    what = f"memory that {model} takes"
    return _line(what, made.memory_mb, "MB", None, f"{formula}; memoryMb is {memory_mb}{enough}")


def _logs(function: Function, resources: Sequence[Resource], taken: _Prices) -> Line:
    written = taken.take("logs, written", prices.LOGS_WRITTEN)
    kept = taken.take("logs, kept", prices.LOGS_KEPT)
    size = LOG_BYTES * 10**6 / GB
    days = next(
        int(each.inputs.get("retentionInDays") or 0)
        for each in resources
        if each.type == "aws:cloudwatch/logGroup:LogGroup" and each.name == function.name
    )
    months = days * 24 / prices.MONTH_HOURS if days else 1.0
    how_long = f"{days} days" if days else "for ever, here its first month"
    formula = (
        f"{size:g} GB x {_dollars(written)}, and x {_dollars(kept)} x {months:.2f} months: kept {how_long}"
    )
    return _line("logs", size, "GB", size * (written + kept * months), formula)


def _line(what: str, quantity: float, unit: str, usd: float | None, formula: str) -> Line:
    return Line(what, round(quantity, 6), unit, None if usd is None else round(usd, 4), formula)


def _dollars(usd: float) -> str:
    """With two digits behind the point, or as many as it needs."""
    return f"${usd:.2f}" if round(usd, 2) == usd else f"${usd:g}"
