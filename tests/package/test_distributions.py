"""What is in the wheel and in the sdist."""

import email
import sys
import tarfile
import zipfile
from pathlib import PurePosixPath

from airflow_provider_laplas import __version__
from tests.package.conftest import run
from tests.paths import ROOT

PACKAGE = "airflow_provider_laplas"
EXAMPLES = {path.name for path in (ROOT / "dags").glob("*.py")}


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_of_the_package():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_index_would_take_both(wheel, sdist):
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)


def test_the_wheel_has_no_fault_that_is_known_of_wheels(wheel):
    assert "OK" in run(sys.executable, "-m", "check_wheel_contents", wheel)


def test_the_wheel_has_the_package_the_example_dags_and_nothing_else(wheel):
    expected = files_of_the_package() | {f"{PACKAGE}/example_dags/{name}" for name in EXAMPLES}
    assert EXAMPLES
    assert {name for name in names(wheel) if ".dist-info/" not in name} == expected


def test_the_example_dags_are_those_of_the_repository(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for name in EXAMPLES:
            assert archive.read(f"{PACKAGE}/example_dags/{name}") == (ROOT / "dags" / name).read_bytes()


def test_the_licence_and_the_notice_come_along(wheel):
    held = {name.partition(".dist-info/")[2] for name in names(wheel)}
    assert held >= {"licenses/LICENSE", "licenses/NOTICE"}


def test_the_version_is_the_packages(wheel, sdist):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        assert email.message_from_bytes(archive.read(metadata))["Version"] == __version__
    assert sdist.name == f"{PACKAGE}-{__version__}.tar.gz"


def test_the_sdist_has_what_the_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        held = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert held >= files_of_the_package()
    assert held >= {f"dags/{name}" for name in EXAMPLES}
    for name in ("Makefile", "constraints.txt", "pyproject.toml", "hatch_build.py", "tests/conftest.py"):
        assert name in held


def test_an_editable_installation_has_no_copies_that_would_grow_old(editable):
    assert not (editable / PACKAGE).exists()
    assert [path for path in editable.glob("*.pth") if str(ROOT) in path.read_text()]
