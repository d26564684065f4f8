"""The promises that the eight pyproject files make each other."""

import importlib
import importlib.metadata
import re
import subprocess
import sys

import pytest

PLUGIN_CLASSES = {
    "mlflow": "MLflowIntegration",
    "wandb": "WandBIntegration",
    "prometheus": "PrometheusIntegration",
    "slack": "SlackIntegration",
}


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement).group()


def from_others(projects):
    """The requirements of refunc-core and refunc-commands that are not of this repository."""
    needed = projects["refunc-core"]["dependencies"] + projects["refunc-commands"]["dependencies"]
    return [requirement for requirement in needed if not requirement.startswith("refunc-")]


def test_all_versions_are_equal_and_above_the_strangers(projects):
    """An unrelated `refunc` stands at 1.1.0 on the public index; a lower version of ours would lose to it."""
    versions = {table["version"] for table in projects.values()}

    assert len(versions) == 1
    assert tuple(int(part) for part in versions.pop().split(".")) > (1, 1, 0)


def test_the_package_says_the_same_version(projects):
    refunc = importlib.import_module("refunc")

    assert refunc.__version__ == projects["refunc-core"]["version"]


def test_the_metapackage_pins_the_core_and_the_commands_exactly(projects):
    version = projects["refunc-core"]["version"]
    assert projects["refunc"]["dependencies"] == [f"refunc-core=={version}", f"refunc-commands=={version}"]


def test_every_plugin_has_an_extra_and_all_names_them_all(projects, plugins):
    """Spelt out in `all`, because `refunc[…]` inside an extra could be resolved to the unrelated project."""
    extras = dict(projects["refunc"]["optional-dependencies"])
    everything = extras.pop("all")

    version = projects["refunc-core"]["version"]
    assert extras == {**{key: [f"refunc-{key}>=2.0,<3"] for key in plugins}, "ui": [f"refunc-ui=={version}"]}
    assert sorted(everything) == sorted(requirement for extra in extras.values() for requirement in extra)


def test_plugins_take_the_core_by_range(plugins):
    for table in plugins.values():
        assert "refunc-core>=2.0,<3" in table["dependencies"]


def test_the_core_depends_on_the_agreed_packages_only(projects):
    """Each new one is a decision: it is installed beside every training that uses refunc."""
    core = projects["refunc-core"]

    assert {name_of(requirement) for requirement in core["dependencies"]} == {
        "attrs",
        "cattrs",
        "colorama",
        "importlib-metadata",
        "msgspec",
        "pluggy",
        "tqdm",
    }
    commands = projects["refunc-commands"]
    assert {name_of(requirement) for requirement in commands["dependencies"]} == {"click", "refunc-core", "rich"}
    assert f"refunc-core=={core['version']}" in commands["dependencies"]


def test_the_page_depends_on_two_packages_of_others(projects):
    """With the dependencies of these, at most eight distributions come with the page."""
    page, version = projects["refunc-ui"], projects["refunc-core"]["version"]

    assert {name_of(requirement) for requirement in page["dependencies"]} == {
        "refunc-core",
        "refunc-commands",
        "starlette",
        "uvicorn",
    }
    assert {f"refunc-core=={version}", f"refunc-commands=={version}"} <= set(page["dependencies"])


def test_the_core_sets_no_upper_bounds(projects):
    """A bound in a library that sits in every environment blocks its users' upgrades."""
    assert not [r for r in from_others(projects) if "<" in r or "==" in r]


def test_the_lower_bounds_are_the_ones_that_tox_tests(root, projects):
    floors = {requirement.replace(">=", "==") for requirement in from_others(projects)}

    section = (root / "tox.ini").read_text("utf-8").split("[testenv:py310]")[1].split("\n[")[0]

    assert set(re.findall(r"^ +([\w-]+==\S+)$", section, re.M)) == floors


def test_every_distribution_asks_for_the_same_python(projects):
    assert {table["requires-python"] for table in projects.values()} == {">=3.10"}


def test_every_distribution_has_its_licence_and_readme(root, projects):
    text = (root / "LICENSE").read_text("utf-8")

    for name in projects:
        folder = root if name == "refunc" else root / name
        assert (folder / "LICENSE").read_text("utf-8") == text
        assert (folder / "README.md").is_file()


def test_every_package_says_that_it_is_typed(root, plugins):
    assert (root / "refunc-core/src/refunc/py.typed").is_file()
    assert (root / "refunc-ui/src/refunc_ui/py.typed").is_file()
    for key in plugins:
        assert (root / f"refunc-{key}/src/refunc_{key}/py.typed").is_file()


@pytest.mark.parametrize(("key", "class_name"), PLUGIN_CLASSES.items())
def test_entry_point_names_a_class_that_imports(plugins, key, class_name):
    declared = plugins[key]["entry-points"]["refunc.integrations"]
    assert declared == {key: f"refunc_{key}:{class_name}"}

    installed = [ep for ep in importlib.metadata.entry_points(group="refunc.integrations") if ep.name == key]

    assert [ep.value for ep in installed] == [declared[key]]
    assert isinstance(installed[0].load(), type)


@pytest.mark.parametrize("key", PLUGIN_CLASSES)
def test_importing_a_plugin_imports_no_backend(key):
    """Discovery looks at every installed plugin; mlflow alone takes a second to import."""
    backends = {"mlflow", "wandb", "prometheus_client", "slack_sdk"}
    code = f"import sys, refunc_{key}; print(*({backends!r} & sys.modules.keys()))"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")
