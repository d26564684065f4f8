"""
The release, rehearsed by `tox -e wheels`: build all eight, install them offline, use them.

Not collected by default, because it needs a package index and half a minute.
Nothing is ever installed by the bare name `refunc` with an index in reach: that name is another project's there.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.utils import parse_sdist_filename, parse_wheel_filename

PLUGINS = ("mlflow", "wandb", "prometheus", "slack")
NAMES = {"refunc", "refunc-core", "refunc-commands", "refunc-ui", *(f"refunc-{key}" for key in PLUGINS)}
#: Distributions of others that an installation takes, besides those that the core needs.
OTHERS = ("click", "rich", "pytest", "starlette", "uvicorn")

pytestmark = pytest.mark.timeout(600)


def run(*command, cwd):
    """Run a command outside the checkout's reach and return its stdout; a failure shows everything it said."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def dist_info(wheel):
    return wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"


def top_folders(archive):
    return {name.split("/")[0] for name in archive.namelist()}


class Environment:
    """A virtual environment with nothing but pip, and an empty working folder."""

    def __init__(self, folder: Path):
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self._cwd = folder / "cwd"
        self._cwd.mkdir()

    def call(self, program, *arguments):
        return run(self.bin / program, *arguments, cwd=self._cwd)

    def python(self, code):
        return self.call("python", "-W", "error", "-c", code)

    def install_offline(self, wheelhouse, *requirements):
        self.call("python", "-m", "pip", "install", "-q", "--no-index", "--find-links", wheelhouse, *requirements)


@pytest.fixture(scope="module")
def dist(root, tmp_path_factory):
    """All eight, each built as a release is: an sdist from the tree, and the wheel from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    for name in sorted(NAMES):
        source = root if name == "refunc" else root / name
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return out


@pytest.fixture(scope="module")
def wheelhouse(dist):
    """The wheels with all that they need from others beside them, so that an installation can be offline."""
    (core,) = dist.glob("refunc_core-*.whl")
    run(sys.executable, "-m", "pip", "download", "-q", "--dest", dist, core, *OTHERS, cwd=dist)
    return dist


@pytest.fixture(scope="module")
def without_plugins(wheelhouse, tmp_path_factory):
    """The metapackage and the core with its command line, all their dependencies included."""
    new = Environment(tmp_path_factory.mktemp("without"))
    new.install_offline(wheelhouse, "refunc")
    return new


@pytest.fixture(scope="module")
def with_plugins(wheelhouse, tmp_path_factory):
    """--no-deps: the trackers' own packages weigh hundreds of megabytes, and importing a plugin needs none of them."""
    new = Environment(tmp_path_factory.mktemp("with"))
    new.install_offline(wheelhouse, "refunc[ui]")
    new.install_offline(wheelhouse, "--no-deps", *(f"refunc-{key}" for key in PLUGINS))
    return new


def test_the_commands_bring_the_files_that_a_report_is_made_of(dist):
    (wheel,) = dist.glob("refunc_commands-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {f"refunc_commands/report/page.{kind}" for kind in ("html", "css", "js")} <= set(archive.namelist())


def test_the_commands_bring_the_template_of_a_plugin(dist, root):
    template = {path.name for path in (root / "refunc-commands/src/refunc_commands/cli/template").iterdir()}
    (wheel,) = dist.glob("refunc_commands-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {f"refunc_commands/cli/template/{name}" for name in template} <= set(archive.namelist())


def test_the_page_brings_its_files(dist, root):
    page = root / "refunc-ui/src/refunc_ui/page"
    files = {path.relative_to(page.parents[0]).as_posix() for path in page.rglob("*") if path.is_file()}
    (wheel,) = dist.glob("refunc_ui-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {f"refunc_ui/{name}" for name in files} <= set(archive.namelist())


def test_the_page_is_served_from_wheels_and_brings_few_packages(wheelhouse, tmp_path_factory):
    new = Environment(tmp_path_factory.mktemp("page"))
    new.install_offline(wheelhouse, "refunc")
    before = set(new.call("python", "-m", "pip", "list", "--format", "freeze").splitlines())
    new.install_offline(wheelhouse, "refunc[ui]")
    added = set(new.call("python", "-m", "pip", "list", "--format", "freeze").splitlines()) - before

    assert len(added) <= 8, added
    new.python(
        "from refunc.runs import Store; from refunc_ui.serving import Server, place; from pathlib import Path\n"
        "import urllib.request, time\n"
        "Path('store').mkdir()\n"
        "server = Server(Store(Path('store')), place(port=0)); server.serve_aside()\n"
        "page = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(server.place.address)\n"
        "assert b'<html' in page.read()"
    )


def test_eight_wheels_and_eight_sdists_of_one_version(dist):
    wheels = [parse_wheel_filename(path.name)[:2] for path in dist.glob("refunc*.whl")]
    sdists = [parse_sdist_filename(path.name) for path in dist.glob("refunc*.tar.gz")]

    assert {name for name, _ in wheels} == {name for name, _ in sdists} == NAMES
    assert len({version for _, version in [*wheels, *sdists]}) == 1


def test_the_metapackage_holds_no_file_but_metadata(dist):
    """Two distributions that own one package break each other's uninstall."""
    (wheel,) = dist.glob("refunc-*.whl")

    with zipfile.ZipFile(wheel) as archive:
        assert top_folders(archive) == {dist_info(wheel)}


def test_the_wheels_ship_the_typing_marker_and_the_licence(dist):
    for wheel in dist.glob("refunc_*.whl"):
        package = "refunc" if wheel.name.startswith("refunc_core") else wheel.name.split("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()

            assert top_folders(archive) == {package, dist_info(wheel)}
        assert f"{package}/py.typed" in names
        assert f"{dist_info(wheel)}/licenses/LICENSE" in names


def test_the_metadata_describes_the_distribution(dist):
    for wheel in dist.glob("refunc*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            metadata = Parser().parsestr(archive.read(name).decode())

        assert metadata["License-Expression"] == "MIT"
        assert metadata["Requires-Python"] == ">=3.10"
        assert metadata["Summary"]
        assert metadata.get_payload().strip()


def test_the_writing_side_imports_without_any_plugin(without_plugins):
    without_plugins.python("import refunc.logging, refunc.runs; refunc.logging.MLLogger")


def test_the_command_line_says_its_version(without_plugins, dist):
    (core,) = dist.glob("refunc_core-*.whl")
    version = str(parse_wheel_filename(core.name)[1])

    assert version in without_plugins.call("refunc", "--version")
    assert version in without_plugins.call("python", "-m", "refunc", "--version")


def test_installed_plugins_are_found_and_import(with_plugins):
    code = """
from importlib.metadata import entry_points
for ep in sorted(entry_points(group="refunc.integrations")):
    print(ep.name, ep.load().__name__)
"""
    assert with_plugins.python(code).splitlines() == [
        "mlflow MLflowIntegration",
        "prometheus PrometheusIntegration",
        "slack SlackIntegration",
        "wandb WandBIntegration",
    ]


def test_the_installed_versions_are_equal(with_plugins):
    names = sorted(NAMES)
    code = f"from importlib.metadata import version; print(*sorted({{version(name) for name in {names!r}}}))"

    assert len(with_plugins.python(code).split()) == 1


def test_what_pip_installed_fits_together_but_for_the_trackers_own_packages(with_plugins):
    """`pip check` names exactly the packages that --no-deps left out, and no conflict among ours."""
    done = subprocess.run(
        [with_plugins.bin / "python", "-m", "pip", "check"], capture_output=True, text=True, timeout=60
    )
    missing = {line.split(" requires ")[1].split(",")[0] for line in done.stdout.splitlines()}

    assert missing == {"mlflow-skinny", "wandb", "prometheus-client", "slack-sdk"}


def test_the_plugin_to_copy_builds_installs_and_keeps_its_contract(wheelhouse, root, tmp_path):
    """As a third party would have it: its own distribution, found by its entry point, tested by the kit in the core."""
    source = root / "docs" / "examples" / "refunc-jsonl"
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, source, cwd=tmp_path)
    (wheel,) = tmp_path.glob("refunc_jsonl-*.whl")
    new = Environment(tmp_path)
    new.install_offline(wheelhouse, "refunc", wheel, "pytest")

    assert "jsonl  refunc-jsonl 0.1.0  active" in new.call("refunc", "plugins")
    said = new.call("python", "-m", "pytest", "-q", "--import-mode=importlib", "-c", os.devnull, source / "tests")
    assert "passed" in said
    assert "failed" not in said


def test_news_fragments_become_an_entry_of_the_changelog(root, tmp_path):
    """With the next version, since the entry of this one may be there already."""
    shutil.copytree(root / "changelog.d", tmp_path / "changelog.d")
    for name in ("CHANGELOG.md", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    fragments = [path for path in (tmp_path / "changelog.d").glob("*.md") if path.name != "README.md"]
    bullets = [line for path in fragments for line in path.read_text("utf-8").splitlines() if line.startswith("- ")]
    before = (tmp_path / "CHANGELOG.md").read_text("utf-8")
    if not bullets:
        pytest.skip("no change since the last release")
    run("git", "init", "--quiet", cwd=tmp_path)

    run(sys.executable, "-m", "scriv", "collect", "--version", "99.0.0", cwd=tmp_path)

    after = (tmp_path / "CHANGELOG.md").read_text("utf-8")
    entry = after.split("\n## ")[1]
    assert entry.startswith("99.0.0 (")
    assert [line for line in bullets if line not in entry] == []
    assert after.endswith(before.split("<!-- scriv-insert-here -->")[1])
    assert [path for path in fragments if path.exists()] == []
