"""`make cost`: the real program under the mock, priced; and the numbers that docs/cost.md states."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from pulumi.runtime.proto import source_pb2

from discovery import read_scripts
from hf_lambda.manifest import PreparedEntry
from local import __main__ as local
from local.cost import command, estimate, warm_up
from local.cost.models import ask_hub
from local.cost.warm_up import requests_of_relay
from local.hub import Hub, serve
from local.program import mock
from local.program.declare import ProgramError
from tests.infra.program import ROOT  # and pulumi-aws is loaded, of whose resources some are deprecated
from tests.warmup.add.repositories import SHAPE, Model, model, weights
from warmup import prices
from warmup.prices import Price
from warmup.protocol.answers import WarmedModel
from warmup.protocol.reports import WarmReport
from warmup.worker import bucket, relay_handler

DOCS = (ROOT / "docs/cost.md").read_text()
EGRESS = {"relay": 0, "nat": 1, "natPerAz": 2, "ipv6": 0, "none": 0}
ARCHITECTURES = ("x86_64", "arm64")


_run = mock.run_program
_ran: dict[str, mock.Registrations] = {}


@pytest.fixture(autouse=True)
def every_program_once(monkeypatch):
    """Tests that look at the same stack share one run of the program."""

    def run(root, config, **options):
        scripts = {path.name: path.read_text() for path in (root / "inference").glob("*.py")}
        key = json.dumps([config, scripts, options["stack"], sorted(options["secret_keys"])])
        if key not in _ran:
            _ran[key] = _run(root, config, **options)
        return _ran[key]

    monkeypatch.setattr(mock, "run_program", run)
    monkeypatch.setattr("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace)


@pytest.fixture
def root(tmp_path):
    """A copy of the program with one script and a stack file that a test writes."""
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "inference").mkdir()
    shutil.copy(ROOT / "inference/sentiment.py", tmp_path / "inference")
    return tmp_path


@pytest.fixture
def cost(root):
    def run(times=(), stack="dev", **keys):
        (root / f"Pulumi.{stack}.yaml").write_text(json.dumps({"config": keys}))
        return command.cost_of_stack(root, stack, times=times)

    return run


def line(lines, what):
    (found,) = (each for each in lines if each.what.startswith(what))
    return found


@pytest.mark.parametrize("egress", EGRESS)
def test_the_network_costs_what_the_document_says_of_its_egress(cost, egress):
    found = cost(egress=egress)
    gateways, addresses = line(found.idle, "NAT gateways"), line(found.idle, "public IPv4")
    header, *_, sums = re.findall(r"^\|.*\|$", DOCS.partition("On top")[0], re.MULTILINE)
    columns = [each.strip().split(" ")[0].strip("`,") for each in header.split("|")]
    said = [each.strip(" *$") for each in sums.split("|")][columns.index(egress)]

    assert gateways.quantity == addresses.quantity == EGRESS[egress]
    assert gateways.usd + addresses.usd == pytest.approx(float(said))
    assert ("bucket" in {each.what for each in found.idle}) == (egress in ("relay", "none"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_million_requests_cost_what_the_document_says(cost, architecture):
    rows = re.findall(r"^\| .* \| ([\d.]+) (ms|s) \| \$([\d.]+) \| \$([\d.]+) \|$", DOCS, re.MULTILINE)
    assert len(rows) == 4
    for number, unit, *both in rows:
        took = float(number) * (1000 if unit == "s" else 1)
        (endpoint,) = cost([f"{took}"], architecture=architecture).endpoints
        usd = line(endpoint.lines, "compute").usd + line(endpoint.lines, "requests").usd
        said = both[ARCHITECTURES.index(architecture)]
        digits = len(said.partition(".")[2])
        assert usd == pytest.approx(float(said), abs=0.51 / 10**digits), (number, unit)
        assert endpoint.architecture == architecture


@pytest.mark.parametrize(("architecture", "gb_second"), [("x86_64", 41667), ("arm64", 33334)])
def test_instances_that_are_kept_cost_by_the_second_whether_asked_or_not(cost, architecture, gb_second):
    keys = {"architecture": architecture, "provisionedConcurrency": 1}
    keys["endpoints"] = {"sentiment": {"provisionedConcurrency": 3, "memoryMb": 1024}}
    kept = line(cost(**keys).idle, "provisioned concurrency of sentiment")
    assert kept.usd == pytest.approx(3 * 730 * 3600 * gb_second / 10**10, abs=1e-4)
    assert not [each for each in cost().idle if each.what.startswith("provisioned")]


def test_a_snapshot_costs_while_its_version_is_there_and_for_each_instance(cost):
    keys = {"storage": "image", "snapStart": True, "memoryMb": 512}
    found = cost(**keys)
    kept = line(found.idle, "snapshot of sentiment")
    assert kept.usd == pytest.approx(0.5 * 730 * 3600 * 0.0000015046, abs=1e-4)
    assert kept.usd == pytest.approx(2, abs=0.05) and "secondary source of 2026-04-20" in kept.formula
    (endpoint,) = found.endpoints
    restored = line(endpoint.lines, "1,000 instances restored")
    assert restored.usd is None and "$0.07" in restored.formula
    assert {"snapshot, kept", "snapshot, restored"} <= {each.name for each in found.prices}
    gated = line(cost(**keys, release="gated").idle, "snapshot of sentiment")
    assert (gated.quantity, gated.usd) == (2, pytest.approx(2 * kept.usd, abs=1e-4))
    without = cost(**{**keys, "snapStart": False})
    assert not [each for each in without.idle if each.what.startswith("snapshot")]


def test_a_stack_whose_models_are_all_in_images_pays_for_no_cache_and_no_network(cost):
    found = cost(storage="image")
    assert not [each for each in found.idle if "EFS" in each.what]
    assert line(found.idle, "NAT gateways").usd == 0
    assert line(found.idle, "functions").quantity == 1
    assert line(found.idle, "models in images (ECR): sentiment").usd is None


def test_endpoints_are_priced_by_their_own_settings_and_times(cost, root):
    shutil.copy(ROOT / "inference/summarization.py", root / "inference")
    own = {"sentiment": {"memoryMb": 1024, "functionUrl": "public", "reservedConcurrency": 1}}
    found = cost(["summarization=2000", "10"], memoryMb=2048, endpoints=own)
    sentiment, summarization = found.endpoints

    assert (sentiment.memory_mb, sentiment.milliseconds) == (1024, 10)
    assert (summarization.memory_mb, summarization.milliseconds) == (2048, 2000)
    assert line(sentiment.lines, "compute").usd == pytest.approx(0.1667, abs=1e-4)
    assert line(sentiment.lines, "function URL").usd is None
    assert not [each for each in summarization.lines if each.what == "function URL"]


def test_logs_cost_by_how_long_they_are_kept(cost):
    def logs(days):
        (endpoint,) = cost(logRetentionDays=days).endpoints
        return line(endpoint.lines, "logs").usd

    assert logs(365) - logs(1) == pytest.approx(0.6 * 0.03 * 364 * 24 / 730, abs=1e-3)
    assert logs(0) == pytest.approx(0.6 * 0.53, abs=1e-3)


def test_secrets_alarms_and_a_dashboard_count_where_they_are(cost):
    found = cost(alarmEmail="a@example.com", hfToken="hf_token", monthlyBudgetUsd=10).idle
    assert line(found, "secrets").usd == 0.40
    assert (
        line(found, "alarms").quantity == 10
    )  # four of the endpoint, three each of the warm-up and the relay
    assert line(found, "dashboards").usd == 3
    assert line(found, "Budget").usd is None
    plain = {each.what for each in cost(dashboard=False).idle}
    assert not plain & {"alarms", "dashboards", "secrets (the Hub's token)"}


def test_every_resource_of_the_program_has_a_price_or_none_or_is_said_to_have_none_here(cost):
    everything = {
        "egress": "relay",
        "alarmEmail": "a@example.com",
        "hfToken": "hf_token",
        "functionUrl": "iam",
        "allowRemoteCode": True,
        "provisionedConcurrency": 1,
    }
    for keys in (everything, {"egress": "natPerAz"}, {"egress": "ipv6"}, {"egress": "none"}):
        unknown = [each.formula for each in cost(**keys).idle if each.formula.startswith("aws:")]
        assert unknown == [], "a type that is neither priced nor in NO_COST_IDLE"


def test_a_network_and_a_file_system_that_are_there_already_are_not_paid_for_twice(cost):
    keys = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"], "fileSystemId": "fs-01234567"}
    found = cost(**keys).idle
    assert line(found, "NAT gateways").quantity == 0
    assert "that is there" in line(found, "cached models").what


def test_the_sum_is_that_of_the_lines_with_money(cost):
    found = cost(egress="natPerAz", azCount=3)
    assert found.idle_usd == pytest.approx(sum(each.usd for each in found.idle if each.usd is not None))
    assert [each for each in found.idle if each.usd is None]


@pytest.mark.parametrize("egress", ["relay", "nat", "ipv6"])
def test_a_warm_up_costs_what_the_document_says(cost, egress):
    _, _, table = DOCS.partition("## Warming once")
    header, _, *rows = re.findall(r"^\|.*\|$", table.partition("## A million")[0], re.MULTILINE)
    place = [each.strip(" `") for each in header.split("|")].index(egress)
    *said, together = [each.split("|")[place].strip(" *$") for each in rows]
    found = cost(egress=egress)
    money = [line.usd for line in found.warm_up]
    assert sorted(f"{usd:.4f}" for usd in money) == sorted(filter(None, said))
    assert f"{found.warm_up_usd:.4f}" == together
    assert found.warm_up_usd == pytest.approx(sum(money))


def test_the_disk_and_the_requests_of_a_relay_are_priced_by_its_settings(cost):
    small, large = (cost(relayStorageMb=size).warm_up for size in (512, 10240))
    assert line(small, "its /tmp").usd == 0
    assert line(large, "its /tmp").quantity == 9.5
    one, many = requests_of_relay(1 << 20), requests_of_relay(10 << 30)
    assert many.writes - one.writes == 161  # 160 parts and two around them, for one that was put
    assert many.reads == one.reads


def test_parts_and_looks_are_those_of_the_relay():
    assert (warm_up.PART_BYTES, warm_up.POLL_S) == (bucket.PART_BYTES, bucket.POLL_SECONDS)
    assert warm_up.HEARTBEAT_S == relay_handler.HEARTBEAT_SECONDS


def test_images_have_the_sizes_of_the_document():
    rows = re.findall(
        r"^\| (slim|full) \| (.*?) \| ([\d.]+) MB \|$", (ROOT / "docs/image.md").read_text(), re.M
    )
    for target, (shared, own) in estimate.IMAGE_GB.items():
        base, *above = [float(size) for name, layer, size in rows if name == target]
        assert [shared, own] == pytest.approx([base / 1000, sum(above) / 1000]), target


def test_prices_that_the_document_states_are_those_of_the_file():
    for said in ("EFS Standard | $0.30", "ECR | $0.10", "CloudWatch logs | $0.50", "alarms | $0.10"):
        assert said in DOCS
    assert (prices.EFS_STORAGE.usd, prices.ECR_STORAGE.usd, prices.LOGS_WRITTEN.usd) == (0.30, 0.10, 0.50)
    assert "Secrets Manager | $0.40" in DOCS
    assert prices.SECRET.usd == 0.40
    assert "then $3 a month" in DOCS
    assert prices.DASHBOARD.usd == 3
    assert f"seconds x ${prices.DURATION['x86_64'].usd:.10f}`" in DOCS
    assert f"`${prices.DURATION['arm64'].usd:.10f}`" in DOCS
    assert f"EFS reads cost ${prices.EFS_READ.usd} per GB" in DOCS
    kept, restored = prices.SNAPSHOT_KEPT, prices.SNAPSHOT_RESTORED
    assert f"${kept.usd:.10f} per GB and second, and ${restored.usd:.5f} for each GB" in DOCS
    assert kept.date == restored.date and f"a secondary source of {kept.date}" in DOCS
    for memory_mb in (3008, 512):
        assert f"${memory_mb / 1024 * prices.MONTH_S * kept.usd:.2f}" in DOCS
    assert f"`provisionedConcurrency` costs ${prices.PROVISIONED['x86_64'].usd:.10f}" in DOCS


def test_every_price_says_where_and_when_it_was_read():
    found = [each for each in vars(prices).values() if isinstance(each, Price)]
    found += [*prices.DURATION.values(), *prices.PROVISIONED.values()]
    assert len(found) > 12
    for each in found:
        assert each.page.startswith("https://aws.amazon.com/"), each
        assert each.read.startswith("https://"), each
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", each.date), each


def test_secrets_of_the_config_are_stood_in_for_and_are_nowhere_in_the_report(cost, caplog):
    secret = {"secure": "v1:abcdefgh:ijkl"}
    keys = {
        "hfToken": secret,
        "alarmEmail": secret,
        "environment": {"API_KEY": secret},
        "endpoints": {"sentiment": {"functionUrl": "public", "apiKeys": [secret, secret]}},
    }
    found = cost(**keys)
    assert line(found.idle, "secrets").quantity == 1
    assert line(found.idle, "alarms").quantity == 10
    assert "ijkl" not in json.dumps(found.to_json())
    assert "plain text" not in caplog.text


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"memoryMb": {"secure": "v1:x"}}, "memoryMb"),
        ({"endpoints": {"secure": "v1:x"}}, "endpoints"),
        ({"endpoints": {"sentiment": {"memoryMb": {"secure": "v1:x"}}}}, "endpoints.sentiment.memoryMb"),
    ],
)
def test_a_secret_that_the_cost_depends_on_is_refused_by_its_name(cost, keys, path):
    with pytest.raises(ProgramError, match=rf"^{path} is encrypted, .* without --secret$"):
        cost(**keys)


@pytest.mark.parametrize("given", ["fast", "0", "-1", "nan", "1e9", "sentiment=", "other=5"])
def test_a_time_that_is_none_is_refused(cost, given):
    with pytest.raises(ProgramError, match=f"--ms {given}: "):
        cost([given])


def test_mistakes_in_the_settings_are_those_of_a_deployment(cost):
    with pytest.raises(ProgramError, match="memoryMb is '64'; must be a whole number from 128 to 10240"):
        cost(memoryMb=64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", r"Pulumi.dev.yaml, line 2 is not YAML; `pulumi config` writes such files"),
        ("config: [1]\n", "Pulumi.dev.yaml: must be an object with `config`"),
        ("- 1\n", "Pulumi.dev.yaml: must be an object with `config`"),
        ("config: {1: 2}\n", "Pulumi.dev.yaml: must be an object with `config`"),
    ],
)
def test_a_file_that_is_no_stack_s_is_refused(root, text, message):
    (root / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(ProgramError, match=message):
        command.cost_of_stack(root, "dev")


def test_a_project_of_another_name_costs_the_same(cost, root):
    same = cost(memoryMb=1024)
    project = (root / "Pulumi.yaml").read_text()
    (root / "Pulumi.yaml").write_text(project.replace("name: hf-lambda\n", "name: mine\n", 1))
    assert cost(memoryMb=1024) == same


def test_another_region_and_a_stack_without_a_file_are_noted(root, cost):
    assert (
        "prices are those of us-east-1; in eu-west-1 they may be others"
        in cost(**{"aws:region": "eu-west-1"}).notes
    )
    found = command.cost_of_stack(root, "typo")
    assert found.notes == ("there is no Pulumi.typo.yaml: these are the defaults",)


def test_the_hub_says_how_much_is_stored_and_how_long_a_request_takes(root, tmp_path):
    (root / "inference/sentiment.py").unlink()
    (root / "inference/small.py").write_text(
        "from hf_lambda import endpoint, pipeline\n\n"
        'classify = pipeline("text-classification", model="org/small")\n\n\n'
        "@endpoint\ndef handler(text: str):\n    return classify(text)\n"
    )
    files = {"model.safetensors": weights(40_000_000)}
    small: Model = model(
        "org/small", "distilbert", "DistilBertForSequenceClassification", None, files=files, **SHAPE
    )
    small.write(tmp_path / "models")
    with serve(Hub(tmp_path / "models")) as hub:
        found = command.cost_of_stack(root, "dev", hub=hub.url, ask=True)
        (said,) = ask_hub(read_scripts(root / "inference"), hub.url)

    assert said.stored_bytes
    assert said.cold_bytes
    stored, (endpoint,) = line(found.idle, "cached models"), found.endpoints
    assert stored.usd == pytest.approx(said.stored_bytes / 1e9 * 0.30, abs=1e-4)
    assert endpoint.milliseconds == said.warm_ms
    assert line(endpoint.lines, "1,000 cold starts").quantity == pytest.approx(
        said.cold_bytes / 1e6, rel=1e-3
    )


def test_what_a_language_model_takes_of_memory_is_as_the_last_warm_up_told(root, tmp_path):
    (root / "inference/chat.py").write_text(
        "from hf_lambda import endpoint, pipeline\n\n"
        'generate = pipeline("text-generation", model="org/chat", engine="onnx")\n\n\n'
        "@endpoint\ndef handler(prompt: str):\n    return generate(prompt)\n"
    )
    int8 = PreparedEntry("causal-lm", "auto", "int8", "p", "x86_64", "1", memory_mb=3009, context=4096)
    other = replace(int8, requested="int4", precision="int4", memory_mb=1)
    chat = WarmedModel("org/chat", "main", "a" * 40, 1, (other, int8), (), 5)
    report = tmp_path / "report.json"

    def said(written):
        report.write_text(written)
        found = command.cost_of_stack(root, "dev", report=report)
        lines = {each.name: [one for one in each.lines if "memory" in one.what] for each in found.endpoints}
        assert not lines["sentiment"]
        notes = [each for each in found.notes if "memory" in each]
        return [(each.quantity, each.usd, each.formula) for each in lines["chat"]], notes

    formula = (
        "int8, a text of 4096 tokens, by the last `make up` of this machine; memoryMb is 3008: raise it, "
    )
    formula += "or give the pipeline a smaller max_context"
    assert said(json.dumps(WarmReport("local", (chat,)).to_json())) == ([(3009, None, formula)], [])
    unknown = "chat: what memory org/chat takes is known once `make up` or a warm-up has prepared it"
    for nothing in (json.dumps(WarmReport("local").to_json()), "{", "[]", '{"warmup": 1}'):
        assert said(nothing) == ([], [unknown])
    report.unlink()
    assert unknown in command.cost_of_stack(root, "dev", report=report).notes


def test_the_command_prints_a_table_with_dates_or_json(capsys):
    assert local.main(["cost", "--stack", "dev", "--ms", "25"]) == 0
    table = capsys.readouterr().out
    assert "NAT gateways" in table
    assert "0 x 730 h x $0.045" in table
    assert "2026-" in table
    assert local.main(["cost", "--stack", "dev", "--json", "--ms", "25"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert estimate.Estimate.from_json(document).to_json() == document
    assert local.main(["cost", "--stack", "dev", "--ms", "soon"]) == 1
    assert capsys.readouterr().err.startswith("--ms soon: must be the milliseconds")
