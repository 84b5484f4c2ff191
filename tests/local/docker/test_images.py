"""Building the images with an engine that only notes what it is asked."""

import subprocess

import pytest

from local.docker import images, package_index
from local.docker.engine import ContainerEngine, EngineError


class Notes(ContainerEngine):
    """Has the images `present`, lets `pullable` be pulled, and fails to build with `trouble`."""

    def __init__(self, present=(), pullable=(), trouble=""):
        super().__init__("docker")
        self.present, self.pullable, self.trouble = present, pullable, trouble
        self.asked: list[tuple[str, ...]] = []
        self.pip_conf = ""

    def has(self, image):
        return image in self.present

    def run(self, *arguments, check=True):
        self.asked.append(arguments)
        code, said = 0, ""
        if arguments[0] == "pull":
            code = 0 if arguments[-1] in self.pullable else 1
            said = "no such host" if code else ""
        if arguments[0] == "build":
            secret = next(each for each in arguments if each.startswith("--secret=id=pip.conf"))
            with open(secret.partition("src=")[2]) as conf:  # noqa: PTH123 (gone once the build has ended)
                self.pip_conf = conf.read()
            code, said = (1, self.trouble) if self.trouble else (0, "built")
        return subprocess.CompletedProcess(arguments, code, b"", said.encode())


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("BASE_IMAGE", *images.PROXIES, *package_index.CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(package_index, "this_machine", lambda: {"index-url": "https://mirror.test/simple"})


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference/requirements-torch.txt").write_text("torch==2.0\n")
    return tmp_path


def test_a_named_base_image_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("BASE_IMAGE", "mine:1")
    assert images.base_image(Notes()) == "mine:1"


def test_the_official_base_image_comes_first_and_is_pulled_if_it_can_be():
    assert images.base_image(Notes(present=[images.OFFICIAL_BASE, images.OWN_BASE])) == images.OFFICIAL_BASE
    assert images.base_image(Notes(pullable=[images.OFFICIAL_BASE])) == images.OFFICIAL_BASE


def test_a_base_image_made_before_is_used_again_without_asking_a_registry():
    engine = Notes(present=[images.OWN_BASE])
    assert images.base_image(engine) == images.OWN_BASE
    assert engine.asked == []


def test_without_any_base_image_the_message_gives_both_reasons_and_a_way_out(monkeypatch):
    refused = subprocess.CompletedProcess([], 1, "", "debootstrap is missing\n")
    monkeypatch.setattr("local.docker.images.subprocess.run", lambda *_, **__: refused)
    with pytest.raises(EngineError, match=r"no such host.*debootstrap is missing.*set BASE_IMAGE"):
        images.base_image(Notes())


def test_a_build_gets_the_machine_s_pip_settings_as_a_secret(tree):
    engine = Notes(present=[images.OWN_BASE])
    assert images.build(engine, "slim", root=tree, log=tree / "log") == "hf-lambda:slim"
    (arguments,) = engine.asked
    assert f"BASE_IMAGE={images.OWN_BASE}" in arguments
    assert "index-url = https://mirror.test/simple" in engine.pip_conf
    assert "mirror.test" not in " ".join(arguments)
    assert (tree / "log").read_text() == "built"


def test_a_build_takes_proxies_from_the_environment_and_certificates_as_a_secret(tree, monkeypatch):
    (tree / "ca.pem").touch()
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("SSL_CERT_FILE", str(tree / "ca.pem"))
    engine = Notes(present=[images.OWN_BASE])
    images.build(engine, "full", root=tree, log=tree / "log")
    (arguments,) = engine.asked
    assert "--build-arg=https_proxy" in arguments
    assert f"--secret=id=ca.pem,src={tree / 'ca.pem'}" in arguments
    assert "cert = /run/secrets/ca.pem" in engine.pip_conf


def test_a_build_that_fails_ends_in_the_builder_s_last_lines(tree):
    engine = Notes(present=[images.OWN_BASE], trouble="step 3\nbroken.py:3: invalid syntax")
    with pytest.raises(EngineError, match=r"the slim image does not build; see .*log:\nstep 3\nbroken.py:3"):
        images.build(engine, "slim", root=tree, log=tree / "log")
