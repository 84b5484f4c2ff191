"""What a stack goes through in its life, under the real Pulumi engine and over a cloud that refuses.

tests/provider takes the same ways with the real AWS provider; here run the program's hooks, and it is the
engine that orders what is made and deleted.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest

from infra.settings import Settings
from tests.engine.plugins.cloud import changing
from tests.engine.plugins.refusals import IMAGE
from tests.engine.stack import ROOT, Changes, PulumiError, Stack, new_stack
from tests.provider.aws.server import emulated_aws
from tests.provider.conftest import client_of
from tests.provider.existing import Client, lay_network, mount
from tests.transitions import transitions
from warmup.cli.access import Access
from warmup.cli.release import Releases, roll_back
from warmup.cli.stack import StackClient
from warmup.protocol.outputs import StackOutputs

pytestmark = pytest.mark.slow

EGRESS, URLS = (get_args(Settings.model_fields[key].annotation) for key in ("egress", "function_url"))
NOTHING = Changes()
HERE = Access("us-east-1")
STAYS = (
    *("efs/fileSystem ", "efs/accessPoint ", "ecr/repository ", "ec2/vpc ", "ec2/securityGroup "),
    *("lambda/function ", "lambda/alias ", "iam/role ", "ec2/subnet network-private"),
)
"""What no transition replaces or deletes, but zones and scripts that go."""


def lost(changes: Changes) -> list[str]:
    return [each for each in sorted(changes.replaces | changes.deletes) if each.startswith(STAYS)]


@pytest.fixture
def prod(tmp_path: Path, pulumi: str, aws: str) -> Stack:
    return new_stack(tmp_path / "prod", pulumi, aws, "prod")


def test_prod_comes_stays_and_goes(prod: Stack):
    prod.up(alarmEmail="ops@example.org", monthlyBudgetUsd=50)
    assert prod.up() == NOTHING
    assert sum("efs/mountTarget" in key for key in prod.cloud().resources) == 3
    with pytest.raises(PulumiError, match="protect"):
        prod.destroy()
    prod.up(protect=False)
    prod.destroy()
    assert not prod.cloud().resources


@pytest.mark.timeout(600)
def test_every_egress_mode_can_be_left_for_every_other(dev: Stack):
    for mode in transitions(EGRESS):
        held = [
            each for each in lost(dev.up(egress=mode)) if not each.endswith("relay")
        ]  # it goes with its mode
        assert not held, mode
        assert dev.preview() == NOTHING, mode
    dev.destroy()
    assert not dev.cloud().resources


def live(stack: Stack) -> dict[str, str]:
    """What serves, by script."""
    return {
        each.urn.rpartition("::")[2]: each.inputs["functionVersion"]
        for key, each in stack.cloud().resources.items()
        if key.startswith("aws:lambda/alias:Alias ")
    }


def test_a_gated_stack_publishes_behind_what_serves_and_moves_it_when_the_gate_says_so(dev: Stack):
    first = live(dev)
    dev.configure(release="gated", canary=0, memoryMb=512, warmOnDeploy=True)
    said = dev.run("up", "--yes", "--skip-preview")
    assert live(dev) == first
    outputs = dev.outputs()
    newest = outputs["release"]["versions"]
    assert f"version {first['sentiment']} serves, version {newest['sentiment']} waits for" in said

    # Who releases by itself is told of them, after they were published.
    [releasing] = (
        each for each in dev.cloud().resources.values() if each.urn.endswith("::hf-lambda-dev-release")
    )
    told = json.loads(releasing.inputs["environment"]["variables"]["STACK_OUTPUTS"])
    assert told["release"] == outputs["release"] and told["functions"] == outputs["functions"]

    place = f"{dev.aws}/{quote(str(dev.folder), safe='')}"
    client = StackClient(StackOutputs.from_json({**outputs, "stack": "dev", "endpointUrl": place}), HERE)
    assert client.outputs.release
    releases = Releases(client, client.outputs.release, lambda *what: None)
    # A model that cannot be prepared leaves the old version serving.
    held = {"summarization": "it cannot be prepared"}
    done = releases.release(releases.waiting(["sentiment", "summarization"]), held)
    assert [each.error for each in done] == [None, "it cannot be prepared"]
    assert live(dev) == {"sentiment": newest["sentiment"], "summarization": first["summarization"]}
    roll_back(client, ["sentiment"])
    # The engine leaves where it is what others moved.
    assert dev.up(timeoutSeconds=7).updates == {
        "lambda/function hf-lambda-dev-sentiment",
        "lambda/function hf-lambda-dev-summarization",
        "lambda/function hf-lambda-dev-release",
    }
    assert live(dev) == first
    # Without the gate everything serves at once, as it did before.
    changes = dev.up(release="direct", timeoutSeconds=8)
    assert "lambda/function hf-lambda-dev-release" in changes.deletes
    assert set(live(dev).items()).isdisjoint(first.items())


@pytest.mark.timeout(600)
def test_models_move_from_the_cache_into_images_and_back(dev: Stack):
    """Of one endpoint, of both, and back: functions and roles stay, the cache goes with its last reader."""
    before = Counter(key.split()[0] for key in dev.cloud().resources)
    one = dev.up(endpoints={"sentiment": {"storage": "image"}})
    assert "docker:index/image image-models-sentiment" in one.creates and not lost(one)
    every = dev.up(endpoints=None, storage="image", snapStart=True)
    assert {each for each in lost(every) if not each.startswith(("efs/", "ec2/"))} == {
        *("iam/role relay", "iam/role warmup"),
        *("lambda/function hf-lambda-dev-relay", "lambda/function hf-lambda-dev-warmup"),
    }
    left = {key.split()[0].split(":")[1].split("/")[0] for key in dev.cloud().resources}
    assert not left & {"ec2", "efs", "vpc"}
    dev.up(snapStart=None, storage="efs")
    assert Counter(key.split()[0] for key in dev.cloud().resources) == before
    assert dev.preview() == NOTHING


def test_zones_are_added_and_taken_away_with_the_versions_that_hold_them(dev: Stack):
    for before, after in itertools.pairwise((2, 1, 3, 2)):
        changes = dev.up(azCount=after)
        held = {each for each in lost(changes) if not each.startswith("ec2/subnet ")}
        assert not held
        assert len(lost(changes)) == max(0, before - after)
        assert dev.preview() == NOTHING


def test_a_zone_without_lambda_is_explained_and_zones_is_the_way_around(new: Stack):
    with pytest.raises(PulumiError, match="Name others in `zones`"):
        new.up(zones=["us-east-1a", "us-east-1e"])
    # Subnets that exist stay in their zone: the one that is refused goes first.
    new.up(zones=["us-east-1a"], azCount=1)
    new.up(zones=["us-east-1a", "us-east-1b"], azCount=2)
    assert new.preview() == NOTHING


def test_a_mount_target_in_a_zone_that_has_one_is_explained(dev: Stack):
    # Two subnets stay in a and b, whatever comes first now; the third would take b again.
    with pytest.raises(PulumiError, match="name the zones in `zones`, first those of the subnets"):
        dev.up(zones=["us-east-1c", "us-east-1a", "us-east-1b"], azCount=3)


def test_addresses_and_provisioned_concurrency_come_and_go(dev: Stack):
    addresses = {}
    for url in [*transitions(URLS)][1:]:
        assert not lost(dev.up(functionUrl=url)), url
        addresses[url] = dev.outputs()["functionUrls"]
    assert not addresses["none"] and set(addresses["public"]) == {"sentiment", "summarization"}
    dev.up(functionUrl="iam")
    before = dev.outputs()
    for instances in (1, 0):
        changes = dev.up(provisionedConcurrency=instances)
        assert not lost(changes) and not changes.updates
        assert dev.preview() == NOTHING
        assert dev.outputs() == before


def test_a_script_is_added_renamed_and_removed(dev: Stack):
    folder = dev.project / "inference"
    (folder / "another.py").write_text((folder / "sentiment.py").read_text())
    added = dev.up()
    (folder / "another.py").rename(folder / "renamed.py")
    renamed = dev.up()
    assert renamed.creates == {each.replace("another", "renamed") for each in added.creates}
    assert renamed.deletes == added.creates and not renamed.replaces
    (folder / "renamed.py").unlink()
    assert dev.up().deletes == renamed.creates


def test_two_stacks_of_one_account_come_and_go(dev: Stack, prod: Stack):
    prod.cloud_file.symlink_to(dev.cloud_file)
    before = set(dev.cloud().resources)
    prod.up(protect=False)
    assert before < set(dev.cloud().resources)
    assert dev.up() == NOTHING
    prod.destroy()
    assert set(dev.cloud().resources) == before


def test_a_second_stack_of_the_same_name_is_told_so(dev: Stack, tmp_path: Path, pulumi: str, aws: str):
    new = new_stack(tmp_path / "another", pulumi, aws)
    new.cloud_file.symlink_to(dev.cloud_file)
    with pytest.raises(PulumiError) as caught:
        new.up()
    # Whichever is made first: the engine stops at the first error.
    taken = r"(hf-lambda-dev|/aws/lambda/hf-lambda-dev-\w+) is in this account and region already"
    assert re.search(taken, str(caught.value))
    new.destroy()
    assert dev.refresh() == NOTHING


def test_roles_outlive_what_lambda_needs_them_to_delete(dev: Stack):
    dev.destroy()
    gone = [each.removeprefix("delete ") for each in dev.cloud().log if each.startswith("delete ")]
    holders = ("aws:ec2/subnet:Subnet network-private", "aws:ec2/securityGroup:SecurityGroup")
    last = max(place for place, each in enumerate(gone) if each.startswith(holders))
    first = min(place for place, each in enumerate(gone) if "aws:iam/role:" in each or each.endswith("-run"))
    assert last < first


def test_an_image_that_is_lost_is_pushed_again_by_the_command_that_is_said(dev: Stack):
    with changing(dev.cloud_file) as cloud:
        (image,) = (each for key, each in cloud.resources.items() if key.startswith(f"{IMAGE} image-full"))
        image.outputs["repoDigest"] = ""  # in ECR nothing is left of it; the state knows of no change
    with pytest.raises(PulumiError) as caught:
        dev.up()
    (command,) = set(re.findall(r"pulumi up --replace '(\S+)'", str(caught.value)))
    dev.up("--replace", command)
    assert dev.up() == NOTHING


def test_a_renamed_project_keeps_the_settings_of_its_stacks(prod: Stack):
    """`pulumi new` of this repository, or a fork, has another `name`."""
    file = prod.project / "Pulumi.yaml"
    file.write_text(file.read_text().replace("name: hf-lambda", "name: a-fork", 1))
    # As it is in the repository: the CLI has written the name of the project into the other.
    shutil.copy(ROOT / "Pulumi.prod.yaml", prod.project)
    prod.run("stack", "init", "prod")
    creates = prod.preview().creates
    assert {"efs/mountTarget cache-2", "lambda/function a-fork-prod-sentiment"} <= creates
    with pytest.raises(PulumiError, match="hf-lambda:memoryMb: this project is a-fork"):
        prod.configure(memoryMb=512)
        prod.preview()


KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_a_key_is_chosen_before_the_first_deployment_and_stays(prod: Stack):
    prod.up()
    before = prod.cloud().resources
    assert sum(key.startswith("aws:kms/key:") for key in before) == 1
    for other in ("", KEY):
        prod.configure(kmsKeyArn=other)
        for command in (prod.preview, lambda: prod.up()):
            with pytest.raises(PulumiError, match="both would be replaced"):
                command()
    prod.configure(kmsKeyArn=None)  # what Pulumi.prod.yaml says
    kept = ("aws:efs/", "aws:ecr/", "aws:kms/")
    prod.up(kmsKeyArn="new")
    after = prod.cloud().resources
    assert [key for key in before if key.startswith(kept)] == [key for key in after if key.startswith(kept)]
    assert prod.preview() == NOTHING


def test_a_stack_without_a_key_gets_none_later(dev: Stack):
    with pytest.raises(PulumiError, match="the stack was made with none"):
        dev.up(kmsKeyArn="new")
    assert not lost(dev.up(kmsKeyArn=None)) and dev.preview() == NOTHING


def test_tags_that_stay_survive_a_revert(dev: Stack):
    """ECR refuses a tag that is there, whatever is pushed under it."""
    script = dev.project / "inference" / "sentiment.py"
    first = script.read_text()
    dev.up(immutableTags=True)
    for text in (f"{first}\n# changed\n", first, f"{first}\n# changed\n"):
        script.write_text(text)
        changes = dev.up()
        assert "docker:index/image image-slim" in changes.updates and not lost(changes)
    assert dev.up() == NOTHING
    tags = dev.cloud().tags
    assert (
        len({digest for _, digest in tags.items()}) == len(tags) >= 8
    )  # nothing that was pushed is without one


# In an existing network: what the program reads is an emulated AWS, in which it was made by its API.


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with emulated_aws(tmp_path_factory.mktemp("there") / "log") as address:
        yield client_of(address)


def beside(stack: Stack, there: Client) -> Stack:
    """The stack, which finds networks in that AWS."""
    address = there("ec2").meta.endpoint_url
    return dataclasses.replace(stack, endpoints={"ec2": address, "efs": address})


def test_a_stack_in_an_existing_network(new: Stack, there: Client):
    laid = lay_network(there)
    mount(there, laid, 0)
    new = beside(new, there)
    new.up(**laid.keys(fileSystemId=laid.file_system))
    made = {key.split()[0] for key in new.cloud().resources}
    of_network = {each for each in made if each.startswith(("aws:ec2/", "aws:efs/"))}
    assert of_network == {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:efs/accessPoint:AccessPoint",
        "aws:efs/mountTarget:MountTarget",
        "aws:ec2/vpcEndpoint:VpcEndpoint",  # the way to S3, of which the network had none
    }
    assert new.up() == NOTHING
    for egress in ("none", "ipv6", "nat"):
        assert not [each for each in lost(new.up(egress=egress)) if not each.endswith("relay")]
    new.destroy()
    assert not new.cloud().resources


def test_what_is_wrong_with_a_network_is_said_at_once_and_nothing_is_made(new: Stack, there: Client):
    laid = lay_network(there, EnableDnsHostnames=False)
    new = beside(new, there)
    keys: dict[str, Any] = laid.keys(fileSystemId="fs-0123456789abcdef0")
    keys["subnetIds"][1] = "subnet-0123456789abcdef0"
    for command in (new.preview, lambda: new.up()):
        new.configure(**keys)
        with pytest.raises(PulumiError) as caught:
            command()
        said = str(caught.value)
        assert "3 mistakes in the network of dev:" in said
        for what in ("enableDnsHostnames", "subnet-0123456789abcdef0", "fs-0123456789abcdef0"):
            assert what in said
        assert "Traceback" not in said
    assert not new.cloud().resources


def test_a_deployed_stack_stays_in_its_network_and_says_so(dev: Stack, there: Client):
    laid = lay_network(there)
    dev = beside(dev, there)
    before = set(dev.cloud().resources)
    with pytest.raises(PulumiError, match="stays in its network"):
        dev.up(**laid.keys())
    dev.up(**dict.fromkeys(laid.keys()))
    after = set(dev.cloud().resources)
    kept = {key for key in before if not key.startswith(("aws:ec2/securityGroup", "aws:vpc/"))}
    assert kept <= after
    assert dev.preview() == NOTHING
