"""How config keys are read: types with their bounds, and in words what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args, get_origin
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from hf_lambda.records import Json


@dataclass(frozen=True)
class Allowed:
    """What a value must be, where its type and bounds do not say it: completes "must be ..."."""

    text: str


# The CLI hands every value over as text; inside `endpoints` they are what JSON makes of them.


def _read_whole_number(raw: Json) -> int:
    if isinstance(raw, str) and re.fullmatch(r"[+-]?\d+", raw):
        return int(raw)
    if type(raw) is int:
        return raw
    raise ValueError("not a whole number")


def _read_number(raw: Json) -> float:
    if isinstance(raw, str):
        return float(raw)  # the CLI keeps a fraction that was set with --path as text
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw
    raise ValueError("not a number")


def _read_flag(raw: Json) -> bool:
    values = {"true": True, "false": False, "True": True, "False": False}
    if str(raw) not in values:
        raise ValueError("not a boolean")
    return values[str(raw)]


def read_object(raw: Json) -> Json:
    return json.loads(raw) if isinstance(raw, str) else raw


def _read_texts(raw: Json) -> dict[str, str]:
    found = read_object(raw)
    if not isinstance(found, dict) or any(isinstance(value, (dict, list)) for value in found.values()):
        raise ValueError("not an object of texts")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def _read_names(raw: Json) -> tuple[str, ...]:
    found = read_object(raw)
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        raise ValueError("not a list of names")
    if len(set(found)) < len(found):
        raise ValueError("a name twice")
    return tuple(found)


# What Lambda keeps for itself, and what the program says of every function; its defaults (HOME) may be set.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_TAKEN_VARIABLES = re.compile(
    r"AWS_.*|LAMBDA_.*|TZ|MODEL_CACHE|HF_HUB_CACHE|HF_HUB_OFFLINE|HF_ENDPOINT|ENDPOINT_NAME|COLD_DOWNLOAD|WARM_COMMAND"
    r"|IN_IMAGE|API_KEYS_SHA256|RESPONSE_STREAM|LOG_MESSAGES|MODELS|INPUT_BUCKET"
)


def _check_variables(variables: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name in variables:
        if not re.fullmatch(r"[A-Za-z]\w+", name, re.ASCII) or _TAKEN_VARIABLES.fullmatch(name):
            raise ValueError("not a name that is free")
    return variables


def _check_token(raw: Json) -> Json:
    if isinstance(raw, str) and re.search(r"\s", raw):
        raise ValueError("has spaces")
    return raw


_MOST_API_KEYS = 2
"""So that they can be changed: the new one beside the old one, until every caller has it."""
_LEAST_API_KEY = 32


def _read_api_keys(raw: Json) -> tuple[str, ...]:
    found = read_object(raw)
    if not isinstance(found, list) or len(found) > _MOST_API_KEYS or len({*map(str, found)}) < len(found):
        raise ValueError("not a list of one or two keys")
    # What a header can carry as it is: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    if not all(isinstance(key, str) and re.fullmatch(rf"[!-~]{{{_LEAST_API_KEY},}}", key) for key in found):
        raise ValueError("not a key")
    return tuple(found)


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
Variables = Annotated[
    Mapping[str, SecretStr],
    BeforeValidator(_read_texts),
    AfterValidator(_check_variables),
    Allowed(
        'an object of texts, for instance {"LOG_LEVEL": "info"}, with names that neither Lambda (AWS_..., '
        "LAMBDA_...) nor the program sets"
    ),
]
Url = Annotated[str, AfterValidator(_check_url), Allowed("an address such as https://huggingface.co")]
VpcId = Annotated[
    str,
    Field(pattern=r"^(|vpc-[0-9a-f]+)$"),
    Allowed("the id of a VPC (vpc-...), or empty for one of its own"),
]
SubnetIds = Annotated[
    tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...],
    BeforeValidator(_read_names),
    Allowed('a list of ids, for instance ["subnet-0123456789abcdef0"]'),
]
FileSystemId = Annotated[
    str,
    Field(pattern=r"^(|fs-[0-9a-f]+)$"),
    Allowed("the id of a file system (fs-...), or empty for one of its own"),
]
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
PolicyArn = Annotated[
    str,
    Field(pattern=r"^(|arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+)$"),
    Allowed("the ARN of a policy, for instance arn:aws:iam::123456789012:policy/boundary, or empty"),
]
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
ScheduleExpression = Annotated[
    str,
    Field(
        pattern=r"^(|rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)"
        r"|cron\([^ ()]+( [^ ()]+){5}\))$"
    ),
    Allowed("for instance rate(5 minutes) or cron(0/5 8-18 ? * MON-FRI *), or empty for none"),
]


def _check_bucket(given: str) -> str:
    """`bucket` or `bucket/folder`, the folder with a slash at its end."""
    bucket, _, folder = given.partition("/")
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, and of keys what neither
    # a policy (* ? $) nor a URL reads in another way.
    if given and not re.fullmatch(r"[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise ValueError("not a name of a bucket")
    parts = folder.rstrip("/").split("/") if folder else []
    if any(part in (".", "..") or not re.fullmatch(r"[\w!.'()=-]+", part, re.ASCII) for part in parts):
        raise ValueError("not a folder")
    return "/".join([bucket, *parts, ""]) if parts else bucket


BucketFolder = Annotated[
    str,
    AfterValidator(_check_bucket),
    Allowed("a bucket, or a folder of one such as my-bucket/uploads, or empty for none"),
]
NEW_KEY = "new"
"""As an ARN: a key of the stack's own."""
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
# No ARN of an alias, which may come to mean another key.
KeyArn = Annotated[
    str,
    Field(pattern=rf"^(|{NEW_KEY}|arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:key/[\w-]+)$"),
    Allowed(
        "the ARN of a key, for instance arn:aws:kms:us-east-1:123456789012:key/"
        f"1234abcd-12ab-34cd-56ef-1234567890ab, {NEW_KEY} for one of its own, or empty"
    ),
]
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
ApiKeys = Annotated[
    tuple[SecretStr, ...],
    BeforeValidator(_read_api_keys),
    Allowed(
        f"a list of one or two keys, each of at least {_LEAST_API_KEY} letters, digits or signs without "
        "spaces (for instance what `openssl rand -hex 32` prints)"
    ),
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


class Keys(BaseModel):
    """A group of keys: their names are the fields' in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


def keys_of(model: type[Keys]) -> dict[str, FieldInfo]:
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


def is_secret(field: FieldInfo) -> bool:
    """Whether its values must not be shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def wrong_keys(error: ValidationError) -> dict[str, str]:
    """Key -> pydantic's kind of error, once for each key however many of its parts are wrong."""
    return {str(each["loc"][0]): each["type"] for each in error.errors(include_url=False)}


def nearest(given: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1)
    return (
        f"did you mean {by_lower[near[0]]}?"
        if near
        else f"must be one of {', '.join(sorted(by_lower.values()))}"
    )
