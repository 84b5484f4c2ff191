"""The config of a stack: every key with its type, bounds and meaning, and every mistake reported at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import pulumi
from annotated_types import Ge, Le
from pulumi.runtime import config as runtime_config
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from discovery import Script, ScriptError, read_scripts

from .naming import FUNCTION_NAME_LIMIT, function_name


@dataclass(frozen=True)
class Allowed:
    """What a value must be, where its type and bounds do not say it: completes "must be ..."."""

    text: str


# The CLI hands every value over as text; inside `endpoints` they are what JSON makes of them.


def _read_whole_number(raw: Any) -> int:
    if isinstance(raw, str) and re.fullmatch(r"[+-]?\d+", raw):
        return int(raw)
    if type(raw) is int:
        return raw
    raise ValueError("not a whole number")


def _read_number(raw: Any) -> float:
    if isinstance(raw, str):
        return float(raw)  # the CLI keeps a fraction that was set with --path as text
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw
    raise ValueError("not a number")


def _read_flag(raw: Any) -> bool:
    values = {"true": True, "false": False, "True": True, "False": False}
    if str(raw) not in values:
        raise ValueError("not a boolean")
    return values[str(raw)]


def _read_object(raw: Any) -> Any:
    return json.loads(raw) if isinstance(raw, str) else raw


def _read_texts(raw: Any) -> dict[str, str]:
    found = _read_object(raw)
    if not isinstance(found, dict) or any(isinstance(value, (dict, list)) for value in found.values()):
        raise ValueError("not an object of texts")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def _read_names(raw: Any) -> tuple[str, ...]:
    found = _read_object(raw)
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        raise ValueError("not a list of names")
    if len(set(found)) < len(found):
        raise ValueError("a name twice")
    return tuple(found)


def _check_token(raw: Any) -> Any:
    if isinstance(raw, str) and re.search(r"\s", raw):
        raise ValueError("has spaces")
    return raw


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not an address")
    return url.rstrip("/")


# 0: for ever. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTION_DAYS = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _check_retention_days(days: int) -> int:
    if days not in _RETENTION_DAYS:
        raise ValueError("not one of them")
    return days


WholeNumber = Annotated[int, BeforeValidator(_read_whole_number)]
Number = Annotated[int | float, BeforeValidator(_read_number)]
Flag = Annotated[bool, BeforeValidator(_read_flag), Allowed("true or false")]
Texts = Annotated[Mapping[str, str], BeforeValidator(_read_texts)]
Url = Annotated[str, AfterValidator(_check_url), Allowed("an address such as https://huggingface.co")]
Email = Annotated[
    str,
    Field(pattern=r"^(|[^@\s]+@[^@\s]+\.[^@\s]+)$"),
    Allowed("an e-mail address, or empty for no alarms"),
]
Token = Annotated[
    SecretStr,
    BeforeValidator(_check_token),
    Allowed("a token without spaces (pulumi config set --secret hfToken)"),
]
Name = Annotated[str, Field(min_length=1)]
# https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html; preflights need no method of their own.
Method = Literal["*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"]
Names = Annotated[tuple[str, ...], BeforeValidator(_read_names)]
MemoryMb = Annotated[WholeNumber, Ge(128), Le(10240)]
Instances = Annotated[WholeNumber, Ge(0), Le(100_000)]
RetentionDays = Annotated[
    WholeNumber,
    AfterValidator(_check_retention_days),
    Allowed(f"one of {', '.join(map(str, _RETENTION_DAYS))}"),
]


class _Keys(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Tolerance(_Keys):
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


class Cors(_Keys):
    """Which web pages may call an endpoint from a browser; without an origin none may."""

    origins: tuple[Name, ...] = ()
    methods: tuple[Method, ...] = ("*",)
    headers: tuple[Name, ...] = ("content-type",)


class EndpointSettings(_Keys):
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
    function_url: Literal["none", "iam", "public"] = Field(
        description="HTTPS address of an endpoint - none, iam (callers sign with AWS credentials) or public "
        "(anybody may call and you pay)."
    )
    cors: Annotated[
        Cors,
        BeforeValidator(_read_object),
        Allowed(
            'an object of origins, methods and headers, for instance {"origins": ["https://example.com"]}'
        ),
    ] = Field(
        description="Web pages that may call the HTTPS address of an endpoint from a browser - `origins`, "
        "`methods` (default: all) and `headers` (default: content-type), each a list. Empty - none."
    )
    cold_download: Flag = Field(
        description="Lets an endpoint download its model in the first request when the cache has none. It "
        "then needs egress and write access to the cache."
    )
    log_retention_days: RetentionDays = Field(
        description="Days that CloudWatch keeps the logs - 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, "
        "400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653; 0 keeps them for ever."
    )
    image: Literal["auto", "slim", "full"] = Field(
        description="Image of an endpoint - slim (models that the warm-up prepares), full (with torch and "
        "transformers) or auto (what its script needs)."
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
    egress: Literal["nat", "natPerAz", "ipv6", "none"] = Field(
        description="How the warm-up reaches the Hub - nat (one NAT gateway), natPerAz (one in each zone), "
        "ipv6 (free, for Hub hosts that answer on IPv6) or none (models are staged through S3; "
        "the network costs nothing)."
    )
    keep_versions: Annotated[WholeNumber, Ge(0), Le(20)] = Field(
        description="Published versions of an endpoint that are kept beside the one that its alias `live` "
        "serves, 0 to 20. Older ones are deleted."
    )
    hub_endpoint: Url = Field(description="The Hub, or a mirror of it.")
    hf_token: Token = Field(
        description="Token for private and gated models, kept in Secrets Manager for the warm-up alone. Set "
        "it with `pulumi config set --secret hfToken`."
    )
    warmup_memory_mb: MemoryMb = Field(
        description="Memory of the warm-up, 128 to 10240 MB. The default is enough for 600 million parameters"
        " stored in fp32; docs/prepared.md has what was measured."
    )
    tolerance: Annotated[
        Tolerance,
        BeforeValidator(_read_object),
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
        "waiting for it."
    )
    dashboard: Flag = Field(
        description="A CloudWatch dashboard of all functions (an account's first three are free)."
    )
    alarm_email: Email = Field(
        description="Address that alarms (errors, throttles, duration) and budget notices go to. Empty - no "
        "alarms."
    )
    monthly_budget_usd: Annotated[WholeNumber, Ge(0), Le(1_000_000_000)] = Field(
        description="Monthly cost of the whole account, in USD, that `alarmEmail` is warned about at 80 %. 0 "
        "- no budget."
    )
    protect: Flag = Field(
        description="Guards the cache, the image repository, the VPC and the token against deletion. `pulumi "
        "destroy` then stops until it is false again; with --skip-preview it removes everything else first."
    )


@dataclass(frozen=True)
class Account:
    """Where and as whom: `profile` is one of ~/.aws/config, None for the credentials of the environment."""

    region: str
    profile: str | None


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
    if reader.settings and not mistakes:
        mistakes += _contradictions(reader.settings, scripts)
    if reader.settings is None or mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise pulumi.RunError("\n".join([f"{count} in stack {pulumi.get_stack()}:", *mistakes]))
    return reader.settings, reader.account, scripts


def keys_of(model: type[_Keys]) -> dict[str, FieldInfo]:
    """Fields by the name of their key in the config."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def allowed(field: FieldInfo) -> str:
    """What a value of the key must be, in words."""
    found = {type(each): each for each in field.metadata}
    if Allowed in found:
        return str(found[Allowed].text)
    if get_origin(field.annotation) is Literal:
        values = get_args(field.annotation)
        return f"{', '.join(values[:-1])} or {values[-1]}"
    return f"a whole number from {found[Ge].ge} to {found[Le].le}"


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
        self._warn_of_plain_token()

    def _settings(
        self, given: Mapping[str, str], endpoints: Mapping[str, EndpointSettings | None]
    ) -> Settings | None:
        try:
            return Settings.model_validate(
                {**given, "endpoints": {name: each for name, each in endpoints.items() if each}}
            )
        except ValidationError as error:
            for key, kind in _wrong_keys(error).items():
                if kind == "missing":
                    self._report_missing(key)
                else:
                    field = keys_of(Settings)[key]
                    secret = field.annotation is SecretStr or runtime_config.is_config_secret(
                        self._config.full_key(key)
                    )
                    shown = "what is set" if secret else f"{given[key]!r}"
                    self.mistakes.append(f"{key} is {shown}; must be {allowed(field)}")
            return None

    def _endpoint(
        self, script: Script, every: Mapping[str, str], override: Mapping[str, Any]
    ) -> EndpointSettings | None:
        try:
            found = EndpointSettings.model_validate({**every, **override})
        except ValidationError as error:
            # What is wrong with every endpoint is reported once, by its own key.
            for key in (key for key in _wrong_keys(error) if key in override):
                field = keys_of(EndpointSettings)[key]
                shown = _as_text(override[key])
                self.mistakes.append(f"endpoints.{script.name}.{key} is {shown}; must be {allowed(field)}")
            return None
        # What is downloaded in the first request is not prepared, so it needs torch.
        needed = "full" if found.cold_download else script.image
        image = needed if found.image == "auto" else found.image
        return found.model_copy(
            update={"image": image, "tags": found.tags if "tags" in override else {}},
        )

    def _overrides(self, raw: str | None, scripts: Sequence[Script] | None) -> dict[str, dict[str, Any]]:
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
                self.mistakes.append(f"{where}: there is no inference/{name}.py; {_nearest(name, names)}")
            if not isinstance(values, dict):
                self.mistakes.append(f"{where} is {json.dumps(values)}; must be an object of keys")
            else:
                overrides[name] = {
                    key: value for key, value in values.items() if self._is_override(where, key, value)
                }
        return overrides

    def _is_override(self, where: str, key: str, raw: Any) -> bool:
        of_endpoints, of_stack = keys_of(EndpointSettings), keys_of(Settings)
        if key in of_endpoints:
            return True
        if key in of_stack:
            shown = "set" if of_stack[key].annotation is SecretStr else json.dumps(raw)
            self.mistakes.append(f"{where}.{key} is {shown}; {key} is for the whole stack alone")
        else:
            hint = _nearest(key, of_endpoints)
            self.mistakes.append(f"{where}.{key} is {json.dumps(raw)}; there is no such key; {hint}")
        return False

    def _account(self) -> Account:
        config = pulumi.Config("aws")
        region = config.get("region") or ""
        if not region:
            self.mistakes.append("aws:region is missing; set it: pulumi config set aws:region us-east-1")
        return Account(region, config.get("profile"))

    def _refuse_unknown_keys(self) -> None:
        known = keys_of(Settings)
        for full_key in sorted({*runtime_config.CONFIG.get(), *runtime_config.get_config_env()}):
            namespace, _, key = full_key.partition(":")
            if namespace == self._config.name and key not in known:
                self.mistakes.append(f"{key}: there is no such key; {_nearest(key, known)}")
            elif namespace == "aws" and key not in _AWS_KEYS:
                # The program makes its own provider, for the default tags: no other key would reach it.
                fix = "use `tags`" if key == "defaultTags" else "put it in a profile and set aws:profile"
                self.mistakes.append(f"aws:{key}: this program takes {' and '.join(_AWS_KEYS)}; {fix}")

    def _warn_of_plain_token(self) -> None:
        """A token that lies readable in the stack file is soon in the history of a repository."""
        if self._config.get("hfToken") and not runtime_config.is_config_secret(
            self._config.full_key("hfToken")
        ):
            pulumi.log.warn("hfToken is in plain text; encrypt it: pulumi config set --secret hfToken")

    def _report_missing(self, key: str) -> None:
        self.mistakes.append(f"{key} is missing; Pulumi.yaml must hold its default")


_AWS_KEYS = ("region", "profile")


def _wrong_keys(error: ValidationError) -> dict[str, str]:
    """Key -> pydantic's kind of error, once for each key however many of its parts are wrong."""
    return {str(each["loc"][0]): each["type"] for each in error.errors(include_url=False)}


def _as_text(raw: Any) -> str:
    return f"{raw!r}" if isinstance(raw, str) else json.dumps(raw)


def _nearest(given: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1)
    return (
        f"did you mean {by_lower[near[0]]}?"
        if near
        else f"must be one of {', '.join(sorted(by_lower.values()))}"
    )


def _contradictions(settings: Settings, scripts: Sequence[Script]) -> list[str]:
    """Values that are allowed one by one and do not go together: keys, values, what to set instead."""
    found = []
    if settings.egress == "none" and settings.warm_on_deploy:
        found.append(
            "warmOnDeploy is true with egress none, where the command stages the models; set one of them"
        )
    if settings.monthly_budget_usd and not settings.alarm_email:
        found.append(
            f"monthlyBudgetUsd is {settings.monthly_budget_usd} without alarmEmail; set whom to tell"
        )
    if settings.zones and len(settings.zones) != settings.az_count:
        found.append(
            f"zones has {len(settings.zones)} and azCount is {settings.az_count}; name as many as azCount"
        )
    for script in scripts:
        of_endpoint = _contradictions_of(script, settings.endpoints[script.name], settings.egress)
        found += [f"{script.name}: {text}" for text in of_endpoint]
    return found


def _contradictions_of(script: Script, endpoint: EndpointSettings, egress: str) -> list[str]:
    found = []
    reserved, provisioned = endpoint.reserved_concurrency, endpoint.provisioned_concurrency
    if endpoint.cold_download and egress == "none":
        found.append("coldDownload is true with egress none; must be false, or egress nat, natPerAz or ipv6")
    if endpoint.cold_download and endpoint.image == "slim":
        found.append("image is slim with coldDownload true; must be auto or full, which can download")
    elif endpoint.image == "slim" and any(declared.plain for declared in script.pipelines):
        found.append("image is slim; must be auto or full, the script imports transformers")
    if 0 <= reserved < provisioned:
        found.append(
            f"provisionedConcurrency is {provisioned}; must be at most reservedConcurrency, {reserved}"
        )
    if endpoint.cors.origins and endpoint.function_url == "none":
        found.append("cors has origins with functionUrl none; must be iam or public, or cors empty")
    name = function_name(script.name)
    if len(name) > FUNCTION_NAME_LIMIT:
        found.append(
            f"{name} is {len(name)} characters; must be at most {FUNCTION_NAME_LIMIT}; shorten the stack's"
        )
    return found
