"""Point by point, what the ancestor sample deploys."""

from tests.infra.asked import Deployed
from tests.infra.program import ROOT


def test_a_network_over_two_zones_with_public_and_private_subnets(nat: Deployed):
    zones = [
        (each.inputs["availabilityZone"], "public" in name) for name, each in nat.all("ec2/subnet").items()
    ]
    assert len(set(zones)) == 4
    assert len({zone for zone, _ in zones}) == 2


def test_an_encrypted_file_system_with_a_mount_target_in_each_zone(dev: Deployed):
    assert dev.one("efs/fileSystem").inputs["encrypted"] is True
    assert len(dev.all("efs/mountTarget")) == 2


def test_an_access_point_for_one_user_mounted_at_the_same_place(dev: Deployed):
    inputs = dev.one("efs/accessPoint").inputs
    assert (inputs["posixUser"]["uid"], inputs["posixUser"]["gid"]) == (1001, 1001)
    assert inputs["rootDirectory"]["path"] == "/export/models"
    assert inputs["rootDirectory"]["creationInfo"]["permissions"] == "750"
    mounts = {
        each.inputs["fileSystemConfig"]["localMountPath"]
        for name, each in dev.all("lambda/function").items()
        if "relay" not in name
    }
    assert mounts == {"/mnt/hf_models_cache"}


def test_an_image_built_and_pushed_by_the_program(dev: Deployed):
    assert dev.all("docker:index/image")
    assert dev.one("ecr/repository")


def test_each_script_is_a_container_function_with_600_seconds(dev: Deployed):
    scripts = {path.stem for path in (ROOT / "inference").glob("*.py") if not path.stem.startswith("_")}
    assert scripts >= {"sentiment", "summarization"}
    for script in scripts:
        inputs = dev.function(script).inputs
        assert inputs["packageType"] == "Image"
        assert inputs["imageConfig"] == {"commands": [f"{script}.handler"]}
        assert inputs["timeout"] == 600


def test_functions_run_in_the_private_subnets(dev: Deployed):
    for each in (each for name, each in dev.all("lambda/function").items() if "relay" not in name):
        assert all("private" in subnet for subnet in each.inputs["vpcConfig"]["subnetIds"])


def test_everything_goes_with_a_destroy(dev: Deployed):
    """Nothing is protected, or full of what a destroy would stop at."""
    assert dev.one("ecr/repository").inputs["forceDelete"] is True
    assert not [each for each in dev.resources if each.protect]
