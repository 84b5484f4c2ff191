"""The config of a stack: every key with its type, bounds and meaning, and every mistake reported at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import pulumi
from annotated_types import Ge, Le
from pulumi.runtime import config as runtime_config
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError

from discovery import Script, ScriptError, read_scripts
from discovery.names import image_modules
from warmup.protocol.outputs import MOST_CANARY_MINUTES
from warmup.protocol.records import Json

from .account import Account
from .keys import (
    Allowed,
    ApiKeys,
    BucketFolder,
    Email,
    FileSystemId,
    Flag,
    Instances,
    KeyArn,
    Keys,
    MemoryMb,
    Method,
    Name,
    Names,
    Number,
    PolicyArn,
    RetentionDays,
    ScheduleExpression,
    SubnetIds,
    Texts,
    Token,
    Url,
    Variables,
    VpcId,
    WholeNumber,
    allowed,
    is_secret,
    keys_of,
    nearest,
    read_object,
    wrong_keys,
)
from .naming import RELAY, RELEASE, REMOTE_CODE, function_name, refused_names

T = TypeVar("T")


class Tolerance(Keys):
    """How far int8 may be from transformers; None keeps the warm-up's default."""

    probability: Annotated[Number, Ge(0), Le(1)] | None = None
    cosine: Annotated[Number, Ge(-1), Le(1)] | None = None
    same_text: Annotated[Number, Ge(0), Le(1)] | None = None
    int8_kl: Annotated[Number, Ge(0), Le(10)] | None = None
    int8_same_choice: Annotated[Number, Ge(0), Le(1)] | None = None
    int8_perplexity: Annotated[Number, Ge(0), Le(10)] | None = None
    int4_kl: Annotated[Number, Ge(0), Le(10)] | None = None
    int4_same_choice: Annotated[Number, Ge(0), Le(1)] | None = None
    int4_perplexity: Annotated[Number, Ge(0), Le(10)] | None = None


class Cors(Keys):
    """Which web pages may call an endpoint from a browser; without an origin none may."""

    origins: tuple[Name, ...] = ()
    methods: tuple[Method, ...] = ("*",)
    headers: tuple[Name, ...] = ("content-type",)


class EndpointSettings(Keys):
    """Keys of every endpoint, which `endpoints.<script>` may override."""

    memory_mb: MemoryMb = Field(
        description="Memory of an endpoint, 128 to 10240 MB. Processors grow with it (1 per 1,769 MB). New "
        "AWS accounts may be held to 3,008 MB."
    )
    timeout_seconds: Annotated[WholeNumber, Ge(1), Le(900)] = Field(
        description="Longest time one request may take, 1 to 900 s."
    )
    reserved_concurrency: Annotated[WholeNumber, Ge(-1), Le(100_000)] = Field(
        description="Most instances of an endpoint at once, set aside from the account's limit. -1 reserves "
        "none and limits none; 0 stops the endpoint."
    )
    provisioned_concurrency: Instances = Field(
        description="Instances of an endpoint that are kept initialised, so that no request waits for a cold "
        "start. Billed by the hour. 0 keeps none."
    )
    keep_warm: ScheduleExpression = Field(
        description="When an instance of an endpoint is pinged, without inference, so that Lambda keeps it - "
        "for instance rate(5 minutes). It costs cents, and promises less than `provisionedConcurrency`. "
        "Empty - never."
    )
    function_url: Literal["none", "iam", "public"] = Field(
        description="HTTPS address of an endpoint - none, iam (callers sign with AWS credentials) or public "
        "(anybody may call and you pay)."
    )
    api_keys: ApiKeys = Field(
        description="One or two keys that callers of an endpoint over HTTP send as `Authorization: Bearer "
        "...`, each of at least 32 characters: `pulumi config set --secret --path endpoints.chat.apiKeys[0] "
        "...`. The function holds their SHA-256 alone. Empty - none is asked for."
    )
    cors: Annotated[
        Cors,
        BeforeValidator(read_object),
        Allowed(
            'an object of origins, methods and headers, for instance {"origins": ["https://example.com"]}'
        ),
    ] = Field(
        description="Web pages that may call the HTTPS address of an endpoint from a browser - `origins`, "
        "`methods` (default: all) and `headers` (default: content-type), each a list. Empty - none."
    )
    async_: Flag = Field(
        alias="async",
        description="Asynchronous requests (InvocationType Event) to an endpoint: what became of each is a "
        "message of 14 days in one of two queues, of answers and of failures, which `make results FN=` "
        "reads.",
    )
    async_retries: Annotated[WholeNumber, Ge(0), Le(2)] = Field(
        description="How often Lambda tries an asynchronous request again that failed, 0 to 2, with `async`."
    )
    async_max_age_seconds: Annotated[WholeNumber, Ge(60), Le(21_600)] = Field(
        description="So long an asynchronous request may wait and be tried again, 60 to 21600 s, with "
        "`async`."
    )
    batch: Flag = Field(
        description="A state machine (Step Functions) that takes files of events in `batchBucket` through an "
        "endpoint: `python -m warmup batch FN s3://... -o s3://...`."
    )
    cold_download: Flag = Field(
        description="Lets an endpoint download its model in the first request when the cache has none. It "
        "then writes to the cache, and needs egress nat, natPerAz or ipv6."
    )
    log_retention_days: RetentionDays = Field(
        description="Days that CloudWatch keeps the logs - 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, "
        "400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653; 0 keeps them for ever."
    )
    log_messages: Flag = Field(
        description="Logs the messages of exceptions too. They quote what callers sent, so without it the "
        "log has their type, file, line and function alone."
    )
    tracing: Literal["passThrough", "active"] = Field(
        description="X-Ray traces of an endpoint - passThrough (Lambda traces what a traced caller sends) or "
        "active (Lambda samples requests itself). For all functions it is the warm-up's too. No SDK is in "
        "the image."
    )
    image: Literal["auto", "slim", "full"] = Field(
        description="Image of an endpoint - slim (models that the warm-up prepares), full (with torch and "
        "transformers) or auto (what its script needs)."
    )
    storage: Literal["efs", "image"] = Field(
        description="Where an endpoint finds its models - efs (the cache that the warm-up fills) or image "
        "(its own image, built from what `python -m warmup fetch` brought: no VPC, no cache, no warm-up). An "
        "endpoint with image reaches the internet."
    )
    snap_start: Flag = Field(
        description="Restores new instances of an endpoint from a snapshot that was taken with the model "
        "loaded, billed for as long as it is there. Needs storage image."
    )
    environment: Variables = Field(
        description="Environment variables of an endpoint, for instance `pulumi config set --secret --path "
        "endpoints.sentiment.environment.API_KEY ...`. Every value is kept as a secret."
    )
    tags: Annotated[Texts, Allowed('an object of texts, for instance {"team": "search"}')] = Field(
        description="Tags on everything that can have tags, beside `project` and `stack`; on one endpoint, "
        "tags of its function."
    )


class Settings(EndpointSettings):
    """Keys of the whole stack, and for each script the settings of its endpoint."""

    endpoints: Mapping[str, EndpointSettings] = Field(
        description="What one endpoint does differently, by script name, for instance `pulumi config set "
        "--path endpoints.sentiment.memoryMb 1024`. Takes every key above."
    )
    """One for each script. There `image` is slim or full, and `tags` are the endpoint's own alone."""
    architecture: Literal["x86_64", "arm64"] = Field(
        description="Processors of all functions - x86_64 or arm64 (a fifth cheaper; the image is built for "
        "it, by emulation on another machine)."
    )
    build_args: Annotated[
        Texts, Allowed('an object of texts, for instance {"BASE_IMAGE": "python:3.11-slim-bookworm"}')
    ] = Field(description="Build arguments of inference/Dockerfile, for instance BASE_IMAGE.")
    az_count: Annotated[WholeNumber, Ge(1), Le(6)] = Field(
        description="Availability zones, 1 to 6. Each has a private subnet and a mount target of the cache."
    )
    zones: Annotated[
        Names, Allowed('a list of availability zones, for instance ["us-east-1a", "us-east-1b"]')
    ] = Field(
        description="The availability zones by name, as many as azCount. Empty - the first of the region. "
        "Subnets that exist stay in their zone."
    )
    egress: Literal["relay", "nat", "natPerAz", "ipv6", "none"] = Field(
        description="How models come from the Hub - relay (a function outside the VPC brings them through "
        "S3; the network costs nothing and nothing in it reaches the internet), nat (one NAT gateway), "
        "natPerAz (one in each zone), ipv6 (free, for Hub hosts that answer on IPv6) or none (as relay, but "
        "the machine that runs the warm-up downloads)."
    )
    relay_storage_mb: Annotated[WholeNumber, Ge(512), Le(10240)] = Field(
        description="/tmp of the relay, 512 to 10240 MB, billed while it runs. No file of a model may be "
        "larger."
    )
    vpc_id: VpcId = Field(
        description="An existing VPC to deploy into, with `subnetIds`; docs/operations.md says what it must "
        "have. Chosen before the first deployment. Empty - a VPC of its own."
    )
    subnet_ids: SubnetIds = Field(
        description="Private subnets of `vpcId`, one for each zone and as many as azCount. With egress nat "
        "or ipv6 they need a route to the Hub."
    )
    file_system_id: FileSystemId = Field(
        description="An existing EFS file system in `vpcId` for the cache; it gets an access point, and "
        "mount targets in zones without. Empty - a file system of its own."
    )
    input_bucket: BucketFolder = Field(
        description="A bucket of this region, or a folder of it (`my-bucket/uploads`), whose objects "
        'requests may name as files - `{"image": "s3://my-bucket/uploads/a.jpg"}`. Endpoints may read these '
        "and nothing else of S3. Empty - none."
    )
    batch_bucket: BucketFolder = Field(
        description="A bucket of this account and region, or a folder of it (`my-bucket/batches`), where "
        "`batch` reads events and writes results. Empty - none."
    )
    permissions_boundary: PolicyArn = Field(
        description="ARN of the policy that bounds the permissions of every role, for accounts that ask for "
        "one. Empty - none."
    )
    kms_key_arn: KeyArn = Field(
        description="Customer managed key of KMS that encrypts logs, cache, images, environments, staged "
        "files, alarms and the token - the ARN of one in this region, or new for one of the stack's own (a "
        "dollar a month). Chosen before the first deployment, since the cache and the images would be "
        "replaced. Empty - AWS's own keys."
    )
    flow_logs: Flag = Field(
        description="Logs what connects to what in the stack's own VPC, to CloudWatch, for logRetentionDays."
    )
    dead_letters: Flag = Field(
        description="A queue that keeps, for 14 days, the events of asynchronous invocations that failed for "
        "good - of the warm-up and of every endpoint. They hold what callers sent."
    )
    immutable_tags: Flag = Field(
        description="Tags of images are digests of what they are built of, and ECR lets nobody move them. "
        "Without it an image has the name of its target."
    )
    keep_versions: Annotated[WholeNumber, Ge(0), Le(20)] = Field(
        description="Published versions of an endpoint that are kept beside the one that its alias `live` "
        "serves, 0 to 20. Older ones are deleted."
    )
    release: Literal["direct", "gated"] = Field(
        description="When a new version of an endpoint serves - direct (at once) or gated (once `python -m "
        "warmup` has warmed its models, asked it, and sent it some of the requests first)."
    )
    canary: Annotated[WholeNumber, Ge(0), Le(50)] = Field(
        description="Percent of the requests that a new version gets first, with `release` gated, 0 to 50. 0 "
        "- none, it serves once it has answered the warm-up."
    )
    canary_minutes: Annotated[WholeNumber, Ge(1), Le(1440)] = Field(
        description="So long it gets no more than `canary` percent, 1 to 1440 minutes; one failure, and the "
        "version before serves alone again."
    )
    hub_endpoint: Url = Field(description="The Hub, or a mirror of it.")
    hf_token: Token = Field(
        description="Token for private and gated models, kept in Secrets Manager for what downloads alone. "
        "Set it with `pulumi config set --secret hfToken`."
    )
    warmup_memory_mb: MemoryMb = Field(
        description="Memory of the warm-up, 128 to 10240 MB. The default is enough for 600 million parameters"
        " stored in fp32; docs/prepared.md has what was measured."
    )
    warmup_concurrency: Annotated[WholeNumber, Ge(-1), Le(1000)] = Field(
        description="Most instances of the warm-up, and of the relay, at once, set aside from the account's "
        "limit, at least 2. -1 reserves none and limits none."
    )
    tolerance: Annotated[
        Tolerance,
        BeforeValidator(read_object),
        Allowed(
            "an object of probability (0 to 1), cosine (-1 to 1), sameText (0 to 1), and for language models "
            "int8Kl (0 to 10), int8SameChoice (0 to 1), int8Perplexity (0 to 10) and the same of int4, or of "
            "some of them"
        ),
    ] = Field(
        description="How far int8 may be from transformers before fp32 is served - `probability` (largest "
        "difference, 0 to 1), `cosine` of embeddings (at least, -1 to 1), `sameText` (share of "
        "generations word for word, 0 to 1); of language models `int8Kl` (mean KL divergence in nats), "
        "`int8SameChoice` (share of sure next tokens), `int8Perplexity` (its growth), and the same of int4. "
        "What is left out keeps its default."
    )
    warm_on_deploy: Flag = Field(
        description="Starts the warm-up at the end of every deployment that changes the image, without "
        "waiting for it. With `release` gated a function then asks the new versions and lets them serve."
    )
    dashboard: Flag = Field(
        description="A CloudWatch dashboard of all functions (an account's first three are free)."
    )
    alarm_email: Email = Field(
        description="Address that alarms (errors, failures, throttles, duration) and budget notices go to. "
        "Empty - no alarms."
    )
    monthly_budget_usd: Annotated[WholeNumber, Ge(0), Le(1_000_000_000)] = Field(
        description="Monthly cost of the whole account, in USD, that `alarmEmail` is warned about at 80 %. 0 "
        "- no budget."
    )
    allow_remote_code: Flag = Field(
        description="Lets scripts with `trust_remote_code=True` run code of the repository that their model "
        "comes from, at the commit that they name: in their endpoints, and before that in a second warm-up "
        "function without the token."
    )
    protect: Flag = Field(
        description="Guards the cache, the image repository, the VPC and the token against deletion. `pulumi "
        "destroy` then stops until it is false again; with --skip-preview it removes everything else first."
    )

    _secret_keys: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def in_image(self) -> tuple[str, ...]:
        """Endpoints whose models are in their image."""
        return tuple(name for name, each in self.endpoints.items() if each.storage == "image")

    @property
    def has_cache(self) -> bool:
        """Whether any endpoint reads the cache: without, there is no network, no cache and no warm-up."""
        return len(self.in_image) < len(self.endpoints)

    @property
    def is_staged(self) -> bool:
        """Whether models come through a bucket, and nothing in the network reaches the internet."""
        return self.egress in STAGED

    @property
    def releases_by_itself(self) -> bool:
        """Whether a function lets new versions serve, after a deployment."""
        return self.release == "gated" and self.warm_on_deploy

    def keep_secret(self, key: str, value: T) -> T | pulumi.Output[T]:
        """`value`; where the key is a secret of the config, marked as one for the state."""
        return pulumi.Output.secret(value) if key in self._secret_keys else value


def read_settings(folder: Path) -> tuple[Settings, Account, tuple[Script, ...]]:
    """What the stack is set to, and the scripts of `folder`. Raises RunError with a line for each mistake."""
    try:
        scripts, mistakes = read_scripts(folder), []
    except ScriptError as error:
        scripts, mistakes = (), str(error).splitlines()
    if not scripts and not mistakes:
        mistakes = [f"{folder.name}/ has no script; it needs one, such as sentiment.py"]
    # Without the scripts nobody can tell whether an override is for one of them.
    reader = _Reader(None if mistakes else scripts)
    mistakes += reader.mistakes
    if reader.settings and reader.account and not mistakes:
        mistakes += _contradictions(reader.settings, reader.account.region, scripts)
    if reader.settings is None or reader.account is None or mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise pulumi.RunError("\n".join([f"{count} in stack {pulumi.get_stack()}:", *mistakes]))
    _warn_of_open_models(reader.settings, scripts)
    for warning in _warnings(reader.settings, scripts):
        pulumi.log.warn(warning)
    return reader.settings, reader.account, scripts


STAGED = ("relay", "none")
"""Modes of `egress` in which models come through a bucket."""
LOCAL_STACK = "local"
"""The one that runs on one machine, where the Hub may be any address."""


class _Reader:
    """Reads the config of the stack; `settings` is None where `mistakes` has more than contradictions."""

    def __init__(self, scripts: Sequence[Script] | None) -> None:
        """`scripts`: None where they could not be read."""
        self.mistakes: list[str] = []
        self._config = pulumi.Config()
        raw = {key: self._config.get(key) for key in keys_of(Settings)}
        given = {key: value for key, value in raw.items() if value is not None}
        overrides = self._overrides(given.pop("endpoints", None), scripts)
        every = {key: value for key, value in given.items() if key in keys_of(EndpointSettings)}
        endpoints = {
            script.name: self._endpoint(script, every, overrides.get(script.name, {}))
            for script in scripts or ()
        }
        self.settings = self._settings(given, endpoints)
        self.account = self._account()
        self._refuse_unknown_keys()
        self._warn_of_exposed_secrets()

    def _settings(
        self, given: Mapping[str, str], endpoints: Mapping[str, EndpointSettings | None]
    ) -> Settings | None:
        try:
            settings = Settings.model_validate(
                {**given, "endpoints": {name: each for name, each in endpoints.items() if each}}
            )
            settings._secret_keys = frozenset(key for key in given if self._is_secret(key))
            return settings
        except ValidationError as error:
            for key, kind in wrong_keys(error).items():
                if kind == "missing":
                    self._report_missing(key)
                else:
                    field = keys_of(Settings)[key]
                    secret = is_secret(field) or runtime_config.is_config_secret(self._config.full_key(key))
                    shown = "what is set" if secret else f"{given[key]!r}"
                    self.mistakes.append(f"{key} is {shown}; must be {allowed(field)}")
            return None

    def _endpoint(
        self, script: Script, every: Mapping[str, str], override: Mapping[str, Json]
    ) -> EndpointSettings | None:
        try:
            found = EndpointSettings.model_validate({**every, **override})
        except ValidationError as error:
            # What is wrong with every endpoint is reported once, by its own key.
            for key in (key for key in wrong_keys(error) if key in override):
                field = keys_of(EndpointSettings)[key]
                shown = "what is set" if is_secret(field) else _as_text(override[key])
                self.mistakes.append(f"endpoints.{script.name}.{key} is {shown}; must be {allowed(field)}")
            return None
        # What is downloaded in the first request is not prepared, so it needs torch.
        needed = "full" if found.cold_download else script.image
        image = needed if found.image == "auto" else found.image
        return found.model_copy(
            update={"image": image, "tags": found.tags if "tags" in override else {}},
        )

    def _overrides(self, raw: str | None, scripts: Sequence[Script] | None) -> dict[str, dict[str, Json]]:
        """Per script, the keys that it may override; the rest is a mistake."""
        if raw is None:
            self._report_missing("endpoints")
            return {}
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            text = 'must be an object of script names, for instance {"sentiment": {"memoryMb": 1024}}'
            self.mistakes.append(f"endpoints is {raw!r}; {text}")
            return {}
        names = None if scripts is None else [script.name for script in scripts]
        overrides = {}
        for name, values in found.items():
            where = f"endpoints.{name}"
            if names is not None and name not in names:
                self.mistakes.append(f"{where}: there is no inference/{name}.py; {nearest(name, names)}")
            if not isinstance(values, dict):
                self.mistakes.append(f"{where} is {json.dumps(values)}; must be an object of keys")
            else:
                overrides[name] = {
                    key: value for key, value in values.items() if self._is_override(where, key, value)
                }
        return overrides

    def _is_override(self, where: str, key: str, raw: Json) -> bool:
        of_endpoints, of_stack = keys_of(EndpointSettings), keys_of(Settings)
        if key in of_endpoints:
            return True
        if key in of_stack:
            shown = "set" if is_secret(of_stack[key]) else json.dumps(raw)
            self.mistakes.append(f"{where}.{key} is {shown}; {key} is for the whole stack alone")
        else:
            hint = nearest(key, of_endpoints)
            self.mistakes.append(f"{where}.{key} is {json.dumps(raw)}; there is no such key; {hint}")
        return False

    def _account(self) -> Account | None:
        config = pulumi.Config("aws")
        raw = {key: config.get(key) for key in keys_of(Account)}
        given = {key: value for key, value in raw.items() if value}
        try:
            return Account.model_validate(given)
        except ValidationError as error:
            for key, kind in wrong_keys(error).items():
                if kind == "missing":
                    self.mistakes.append(
                        f"aws:{key} is missing; set it: pulumi config set aws:{key} us-east-1"
                    )
                else:
                    field = keys_of(Account)[key]
                    self.mistakes.append(f"aws:{key} is {given[key]!r}; must be {allowed(field)}")
            return None

    def _refuse_unknown_keys(self) -> None:
        known = keys_of(Settings)
        for full_key in sorted({*runtime_config.CONFIG.get(), *runtime_config.get_config_env()}):
            namespace, _, key = full_key.partition(":")
            if namespace == self._config.name and key not in known:
                self.mistakes.append(f"{key}: there is no such key; {nearest(key, known)}")
            elif namespace == "aws" and key not in keys_of(Account):
                # The program makes its own provider, for the default tags: no other key would reach it.
                fix = "use `tags`" if key == "defaultTags" else nearest(key, keys_of(Account))
                self.mistakes.append(f"aws:{key}: this program does not take it; {fix}")
            elif namespace not in (self._config.name, "aws", "pulumi") and key in known:
                # "pulumi" is the CLI's own: `pulumi new` writes pulumi:tags. Keys of another project Pulumi
                # itself ignores, and a default would rule instead.
                project = pulumi.get_project()
                self.mistakes.append(
                    f"{full_key}: this project is {project}; write {key} without a namespace"
                )

    def _is_secret(self, key: str) -> bool:
        return runtime_config.is_config_secret(self._config.full_key(key))

    def _warn_of_exposed_secrets(self) -> None:
        """A token that lies readable in the stack file is soon in the history of a repository."""
        if self._config.get("hfToken") and not self._is_secret("hfToken"):
            pulumi.log.warn("hfToken is in plain text; encrypt it: pulumi config set --secret hfToken")
        for key, path in (("apiKeys", "apiKeys[0]"), ("endpoints", "endpoints.<script>.apiKeys[0]")):
            raw = self._config.get(key) or ""
            if not self._is_secret(key) and _holds_api_keys(key, raw):
                pulumi.log.warn(
                    f"apiKeys are in plain text; encrypt them: pulumi config set --secret --path '{path}'"
                )
        if self._is_secret("buildArgs"):
            pulumi.log.warn(
                "buildArgs is a secret of the config, but whoever can pull the image reads build arguments "
                "in its history; docs/image.md shows how pip's credentials stay out of it"
            )

    def _report_missing(self, key: str) -> None:
        self.mistakes.append(f"{key} is missing; Pulumi.yaml must hold its default")


def _holds_api_keys(key: str, raw: str) -> bool:
    """Whether the config `key` says any API key, for all endpoints or for one."""
    try:
        found = json.loads(raw)
    except ValueError:
        return False
    overrides = found.values() if key == "endpoints" and isinstance(found, dict) else ()
    every = (
        [found] if key == "apiKeys" else [each.get("apiKeys") for each in overrides if isinstance(each, dict)]
    )
    return any(every)


def _warn_of_open_models(settings: Settings, scripts: Sequence[Script]) -> None:
    """Whoever finds the address of an API can use it up."""
    for script in scripts:
        endpoint = settings.endpoints[script.name]
        is_api = script.speaks_openai or script.speaks_tei
        if is_api and endpoint.function_url == "public" and not endpoint.api_keys:
            pulumi.log.warn(
                f"{script.name} answers anybody on the internet, and you pay; ask for a key: pulumi config "
                f'set --secret --path "endpoints.{script.name}.apiKeys[0]" "$(openssl rand -hex 32)"'
            )


def _as_text(raw: Json) -> str:
    return f"{raw!r}" if isinstance(raw, str) else json.dumps(raw)


def _warnings(settings: Settings, scripts: Sequence[Script]) -> list[str]:
    """What works, and is perhaps not what was meant."""
    notes = dict.fromkeys(note for script in scripts for note in script.unseen)
    found = [
        f"{note}. The warm-up does not fetch it, and `prune` leaves unnamed models alone" for note in notes
    ]
    for script in scripts:
        wanted = script.path.with_name("requirements.txt")
        lacking = [name for name in script.beyond_slim if name not in image_modules("requirements-*.txt")]
        if lacking and not wanted.exists():
            found.append(
                f"{script.name} imports {', '.join(lacking)}, which no image has; name the package in "
                f"{wanted.parent.name}/requirements.txt, unless buildArgs' BASE_IMAGE brings it"
            )
        if script.takes_raw_http and settings.endpoints[script.name].function_url != "none":
            found.append(
                f"{script.name} is a plain script: at its HTTPS address it gets the HTTP request itself, not "
                'the JSON in it, and does not read it. Write json.loads(event["body"]), or `@endpoint`'
            )
    return found


def _contradictions(settings: Settings, region: str, scripts: Sequence[Script]) -> list[str]:
    """Values that are allowed one by one and do not go together: keys, values, what to set instead."""
    own = ["warmup", *([REMOTE_CODE] if settings.allow_remote_code else [])]
    because = {
        **({RELAY: "egress relay"} if settings.egress == "relay" else {}),
        **({RELEASE: "release gated and warmOnDeploy true"} if settings.releases_by_itself else {}),
    }
    found = refused_names([*own, *because, *(script.name for script in scripts)])
    found += [
        f"{script.name}: with {because[script.name.lower()]} a function of this project has the name; rename "
        "it"
        for script in scripts
        if script.name.lower() in because
    ]
    found += _of_release(settings, scripts)
    found += _of_remote_code(settings, scripts)
    if settings.egress == "none" and settings.warm_on_deploy:
        found.append(
            "warmOnDeploy is true with egress none, where the command stages the models; set one of them"
        )
    if settings.release == "gated" and not settings.keep_versions:
        found.append(
            "keepVersions is 0 with release gated; must be at least 1, or there is nothing to go back to"
        )
    if settings.monthly_budget_usd and not settings.alarm_email:
        found.append(
            f"monthlyBudgetUsd is {settings.monthly_budget_usd} without alarmEmail; set whom to tell"
        )
    hub = urlsplit(settings.hub_endpoint)
    # A relay is in no network of ours: whatever port, it reaches it.
    on_aws = pulumi.get_stack() != LOCAL_STACK and not settings.is_staged
    if on_aws and (hub.scheme != "https" or hub.port not in (None, 443)):
        shown = "what is set" if "hubEndpoint" in settings._secret_keys else settings.hub_endpoint
        found.append(
            f"hubEndpoint is {shown}; must be https on port 443, all that the network lets "
            "out, or egress relay or none, which download elsewhere"
        )
    found += _contradictions_of_network(settings)
    if settings.warmup_concurrency in (0, 1):
        found.append(
            f"warmupConcurrency is {settings.warmup_concurrency}; must be -1 or at least 2, since "
            "the warm-up is asked how far it is while it works"
        )
    if ":" in settings.kms_key_arn and settings.kms_key_arn.split(":")[3] != region:
        found.append(
            f"kmsKeyArn is {settings.kms_key_arn}; must be a key of aws:region, {region}, where all is stored"
        )
    if settings.zones and len(settings.zones) != settings.az_count:
        found.append(
            f"zones has {len(settings.zones)} and azCount is {settings.az_count}; name as many as azCount"
        )
    if settings.warm_on_deploy and not settings.has_cache:
        found.append(
            "warmOnDeploy is true and every endpoint has storage image, so that nothing is to be warmed; "
            "must be false"
        )
    for script in scripts:
        of_endpoint = _contradictions_of(
            script, settings.endpoints[script.name], settings.egress, settings.batch_bucket
        )
        provisioned = settings.endpoints[script.name].provisioned_concurrency
        if settings.release == "gated" and settings.canary and provisioned:
            # "Alias with weights can not be used with Provisioned Concurrency":
            # https://github.com/hashicorp/terraform/issues/24957
            of_endpoint.append(
                f"provisionedConcurrency is {provisioned} with release gated and canary {settings.canary}; "
                "AWS takes one of the two: canary must be 0, or provisionedConcurrency"
            )
        found += [f"{script.name}: {text}" for text in of_endpoint]
    return found


def _of_release(settings: Settings, scripts: Sequence[Script]) -> list[str]:
    """Of a function that releases by itself."""
    if not settings.releases_by_itself:
        return []
    found = []
    if settings.canary and settings.canary_minutes > MOST_CANARY_MINUTES:
        found.append(
            f"canaryMinutes is {settings.canary_minutes} with release gated and warmOnDeploy true; must be "
            f"at most {MOST_CANARY_MINUTES}, as Lambda stops a function that goes on by starting itself, or "
            "warmOnDeploy false"
        )
    taken = sum(_NAMED_CHARACTERS + 3 * len(each.name) + len(function_name(each.name)) for each in scripts)
    if taken > _NAMES_CHARACTERS:
        found.append(
            f"{len(scripts)} endpoints with release gated and warmOnDeploy true: what names them takes "
            f"{taken:,} characters, and the environment of the function that releases has room for "
            f"{_NAMES_CHARACTERS:,}; set warmOnDeploy to false, or divide them into stacks"
        )
    return found


_NAMED_CHARACTERS = len(
    '"":"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:-1a2b3c4:live","":"99999","":10240,'
)
"""What each endpoint takes in the outputs that the function gets, beside its names."""
_NAMES_CHARACTERS = 4096 - 1100
"""What its other variables leave: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html,
"exceed 4 KB"."""


def _of_remote_code(settings: Settings, scripts: Sequence[Script]) -> list[str]:
    found = []
    for script in scripts:
        if settings.allow_remote_code and script.name.lower() == REMOTE_CODE:
            found.append(
                f"{script.name}: with allowRemoteCode a function of this project has the name; rename it"
            )
        running = [declared for declared in script.pipelines if declared.remote_code]
        if running and not settings.allow_remote_code:
            found.append(
                f"{script.name}: line {running[0].line} runs code of {running[0].model} "
                "(trust_remote_code=True) with allowRemoteCode false; must be true, once you have read it"
            )
        elif running and settings.endpoints[script.name].cold_download:
            found.append(
                f"{script.name}: coldDownload is true with trust_remote_code=True; must be false, as the "
                "warm-up alone fetches code at the commit that the script names"
            )
    return found


def _contradictions_of_network(settings: Settings) -> list[str]:
    """Of the keys that name what is there already; infra/existing_network.py looks at what they name."""
    if not settings.vpc_id:
        given = {"subnetIds": settings.subnet_ids, "fileSystemId": settings.file_system_id}
        return [
            f"{key} is set without vpcId; name its VPC, or leave both"
            for key, value in given.items()
            if value
        ]
    found = []
    if not settings.subnet_ids:
        found.append(f"vpcId is {settings.vpc_id} without subnetIds; name a private subnet for each zone")
    elif len(settings.subnet_ids) != settings.az_count:
        found.append(
            f"subnetIds has {len(settings.subnet_ids)} and azCount is {settings.az_count}; name as many as "
            "azCount"
        )
    if settings.flow_logs:
        found.append("flowLogs is true with vpcId, which its owner logs; must be false")
    if settings.zones:
        found.append(
            f"zones has {', '.join(settings.zones)} with vpcId, whose subnets say where; leave it empty"
        )
    if settings.egress == "natPerAz":
        found.append(
            "egress is natPerAz with vpcId, whose gateways are its own; must be nat (any route to IPv4 "
            "addresses), ipv6, relay or none"
        )
    return found


def _contradictions_of(
    script: Script, endpoint: EndpointSettings, egress: str, batch_bucket: str
) -> list[str]:
    found = []
    reserved, provisioned = endpoint.reserved_concurrency, endpoint.provisioned_concurrency
    found += _contradictions_of_storage(script, endpoint)
    if endpoint.cold_download and egress in STAGED and endpoint.storage == "efs":
        found.append(
            f"coldDownload is true with egress {egress}; must be false, or egress nat, natPerAz or ipv6"
        )
    if endpoint.cold_download and endpoint.image == "slim":
        found.append("image is slim with coldDownload true; must be auto or full, which can download")
    elif endpoint.image == "slim" and any(declared.plain for declared in script.pipelines):
        found.append("image is slim; must be auto or full, the script imports transformers")
    elif endpoint.image == "slim" and script.beyond_slim:
        found.append(f"image is slim; must be auto or full, the script imports {script.beyond_slim[0]}")
    if 0 <= reserved < provisioned:
        found.append(
            f"provisionedConcurrency is {provisioned}; must be at most reservedConcurrency, {reserved}"
        )
    if endpoint.api_keys and endpoint.function_url == "iam":
        found.append(
            "apiKeys are set with functionUrl iam, whose callers sign in the same header; must be public or "
            "none"
        )
    if endpoint.api_keys and endpoint.function_url == "public" and not script.checks_keys:
        found.append(
            "apiKeys are set and its own handler does not ask for them; write @endpoint or handler = "
            "openai(...), or set apiKeys to []"
        )
    if endpoint.batch and not batch_bucket:
        found.append("batch is true without batchBucket; name a bucket, or leave both")
    if endpoint.cors.origins and endpoint.function_url == "none":
        found.append("cors has origins with functionUrl none; must be iam or public, or cors empty")
    return found


def _contradictions_of_storage(script: Script, endpoint: EndpointSettings) -> list[str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html has what a snapshot does not go with."""
    found = []
    if endpoint.snap_start and endpoint.storage == "efs":
        found.append(
            "snapStart is true with storage efs; must be image, as Lambda takes no snapshot of a function "
            "that mounts a file system"
        )
    if endpoint.snap_start and endpoint.provisioned_concurrency:
        found.append(
            f"snapStart is true with provisionedConcurrency {endpoint.provisioned_concurrency}; Lambda does "
            "either for a version: set snapStart to false, or provisionedConcurrency to 0"
        )
    if endpoint.storage == "image" and endpoint.cold_download:
        found.append(
            "coldDownload is true with storage image, which is read-only; must be false, or storage efs"
        )
    if endpoint.storage == "image" and any(declared.remote_code for declared in script.pipelines):
        found.append(
            "storage is image with trust_remote_code=True; must be efs, where the code is tried in a "
            "function that has no token"
        )
    return found
