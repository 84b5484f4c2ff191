"""What an image build takes over from this machine's pip."""

import hashlib

from local.docker.package_index import ca_bundle, lay_torch_wheel, pip_conf, settings


def test_the_environment_beats_install_and_install_beats_global():
    printed = "\n".join(
        [
            ":env:.timeout='3'",
            "global.timeout='1'",
            "install.timeout='2'",
            "global.index-url='https://a/simple'",
        ]
    )
    assert settings(printed) == {"timeout": "3", "index-url": "https://a/simple"}


def test_settings_of_other_commands_and_other_lines_are_left_out():
    assert settings("download.timeout='9'\nWARNING: something\n") == {}


def test_only_indexes_that_a_build_can_reach_are_carried_over():
    pip = {
        "index-url": "https://mirror.test/simple",
        "extra-index-url": "file:///srv/simple https://more.test/simple",
        "find-links": "/srv/wheels",
        "constraint": "/etc/constraints.txt",
        "default-timeout": "60",
    }
    assert pip_conf(pip, has_ca=False).splitlines() == [
        "[global]",
        "index-url = https://mirror.test/simple",
        "extra-index-url = https://more.test/simple",
        "default-timeout = 60",
    ]


def test_the_certificates_are_named_by_their_place_in_the_build(tmp_path):
    assert "cert = /run/secrets/ca.pem" in pip_conf({"cert": "/here/ca.pem"}, has_ca=True)
    assert "cert" not in pip_conf({"cert": "/here/ca.pem"}, has_ca=False)


def test_pip_s_own_certificates_come_before_those_of_the_environment(tmp_path):
    mine, other = tmp_path / "mine.pem", tmp_path / "other.pem"
    mine.touch()
    other.touch()
    assert ca_bundle({"cert": str(mine)}, {"SSL_CERT_FILE": str(other)}) == mine
    assert ca_bundle({}, {"SSL_CERT_FILE": str(other)}) == other
    assert ca_bundle({"cert": str(tmp_path / "gone.pem")}, {}) is None


def test_the_locked_torch_wheel_is_laid_into_the_build_and_no_other(tmp_path):
    folder, wheels, lock = tmp_path / "links", tmp_path / "wheels", tmp_path / "requirements-torch.txt"
    folder.mkdir()
    (folder / "torch-2.0-other.whl").write_bytes(b"another build")
    (folder / "torch-2.0-mine.whl").write_bytes(b"the locked one")
    lock.write_text(f"torch==2.0 --hash=sha256:{hashlib.sha256(b'the locked one').hexdigest()}\n")
    pip = {"find-links": f"https://elsewhere.test/wheels file://{folder}"}
    assert lay_torch_wheel(pip, lock, wheels) == wheels / "torch-2.0-mine.whl"
    assert [path.name for path in wheels.iterdir()] == ["torch-2.0-mine.whl"]


def test_without_a_matching_wheel_the_build_takes_torch_from_its_index(tmp_path):
    (tmp_path / "torch-2.0-other.whl").write_bytes(b"another build")
    lock = tmp_path / "requirements-torch.txt"
    lock.write_text(f"torch==2.0 --hash=sha256:{'0' * 64}\n")
    assert lay_torch_wheel({"find-links": str(tmp_path)}, lock, tmp_path / "wheels") is None
    assert not (tmp_path / "wheels").exists()
