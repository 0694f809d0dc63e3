"""Every recipe, as it lies in recipes/ and as it is built, keeps the rules of both Greengrass runtimes."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from linewatch_common.config import default_configuration, read_config
from linewatch_common.topics import Topics, fleet_health

from components.builder.recipes import built_recipe, load_recipe
from components.builder.table import ARCHITECTURES, ARTEFACTS, Artefact, artefact_of
from tools.recipes import CONFIG_CLASSES, ROOT, config_class, recipe_path

COMPONENTS = [artefact.component for artefact in ARTEFACTS]
STATION = "any"

# Who says what, and who listens to what, by the names of linewatch_common.topics.
PUBLISHES = {
    "com.linewatch.Camera": {"frames", "status", "command_results"},
    "com.linewatch.EdgeAgent": {"models", "status"},
    "com.linewatch.Inspector": {"verdicts", "alerts", "status", "command_results"},
    "com.linewatch.Dashboard": {"status", "commands"},
    "com.linewatch.model.SurfaceClassifier": {"models", "status"},
    "com.linewatch.model.SurfaceSegmenter": {"models", "status"},
    "com.linewatch.model.SurfaceInspector": {"models", "status"},
}
SUBSCRIBES = {
    "com.linewatch.Camera": {"status", "commands"},
    "com.linewatch.EdgeAgent": {"models", "status"},
    "com.linewatch.Inspector": {"frames", "status", "commands"},
    "com.linewatch.Dashboard": {"verdicts", "alerts", "models", "status", "command_results"},
    "com.linewatch.model.SurfaceClassifier": {"models", "status"},
    "com.linewatch.model.SurfaceSegmenter": {"models", "status"},
    "com.linewatch.model.SurfaceInspector": {"models", "status"},
}
# Each component beats and hears its own beat in linewatch_common.service, so its own code need not name this topic.
BY_SERVICE = {"status"}

# Greengrass lite reads keys by their exact case; these are all that we use, level by level.
KEYS = {
    "": {
        "RecipeFormatVersion",
        "ComponentName",
        "ComponentVersion",
        "ComponentType",
        "ComponentDescription",
        "ComponentPublisher",
        "ComponentConfiguration",
        "ComponentDependencies",
        "Manifests",
    },
    "manifest": {"Platform", "Lifecycle", "Artifacts"},
    "lifecycle": {"Setenv", "install", "run"},
    "step": {"Script", "Timeout", "Setenv"},
    "artifact": {"Uri", "Unarchive", "Permission"},
    "dependency": {"VersionRequirement", "DependencyType"},
}
VARIABLES = {"{artifacts:path}", "{artifacts:decompressedPath}", "{work:path}"}
MAX_FILE_BYTES = 8_000
MAX_LEAF_BYTES = 1_022
MAX_ACCESS_BYTES = 4_096
MAX_VARIABLE_LENGTH = 256

Recipe = dict[str, Any]


def source(component: str) -> Recipe:
    return load_recipe(recipe_path(component))


@pytest.fixture(params=["source", "built", "built for 3.12"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=COMPONENTS)
def recipe(request: pytest.FixtureRequest, form: str) -> Recipe:
    found = source(request.param)
    if form == "source":
        return found
    python = "3.12" if form.endswith("3.12") else "3.11"
    built: Recipe = json.loads(built_recipe(found, "1.2.3", python))
    return built


def steps(recipe: Recipe) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in recipe["Manifests"]:
        for name in ("install", "run"):
            yield name, manifest["Lifecycle"][name]


def leaves(value: Any) -> Iterator[Any]:
    """A configuration's leaves as lite keeps them: strings, numbers, and whole lists."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value


def configuration(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    return found


def policies(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = configuration(recipe)["accessControl"]["aws.greengrass.ipc.pubsub"]
    return found


def test_there_is_a_recipe_for_each_artefact_and_none_more() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes").iterdir()) == sorted(COMPONENTS)
    assert set(COMPONENTS) == set(CONFIG_CLASSES) == set(PUBLISHES) == set(SUBSCRIBES)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_file_is_small_enough_for_lite(component: str) -> None:
    assert recipe_path(component).stat().st_size < MAX_FILE_BYTES
    assert len(built_recipe(source(component), "99.99.99", "3.11")) < MAX_FILE_BYTES


def test_keys_have_the_case_that_lite_reads(recipe: Recipe) -> None:
    assert set(recipe) <= KEYS[""]
    for manifest in recipe["Manifests"]:
        assert set(manifest) == KEYS["manifest"], "lite's cloud path requires Artifacts"
        assert {"install", "run"} <= set(manifest["Lifecycle"]) <= KEYS["lifecycle"]
        for artifact in manifest["Artifacts"]:
            assert set(artifact) <= KEYS["artifact"]
    for _, step in steps(recipe):
        assert set(step) <= KEYS["step"]
    for dependency in recipe.get("ComponentDependencies", {}).values():
        assert set(dependency) == KEYS["dependency"]


def test_identity(recipe: Recipe, form: str) -> None:
    assert recipe["RecipeFormatVersion"] == "2020-01-25"
    assert recipe["ComponentType"] == "aws.greengrass.generic"
    assert re.fullmatch(r"\d+\.\d+\.\d+", recipe["ComponentVersion"]), "NEXT_PATCH forbids local deployment"
    assert (recipe["ComponentVersion"] == "1.2.3") == (form != "source")


def test_both_architectures_are_there_each_with_its_own_zip(recipe: Recipe) -> None:
    assert [manifest["Platform"] for manifest in recipe["Manifests"]] == [
        {"os": "linux", "architecture": name, "runtime": "*"} for name in ARCHITECTURES
    ]
    artefact = artefact_of(recipe["ComponentName"])
    for manifest in recipe["Manifests"]:
        (artifact,) = manifest["Artifacts"]
        zip_name = artefact.zip_name(manifest["Platform"]["architecture"])
        assert artifact["Unarchive"] == "ZIP"
        assert artifact["Uri"].startswith("s3://BUCKET_NAME/")
        assert artifact["Uri"].endswith(f"/{zip_name}")
        for name in ("install", "run"):
            assert f'"{{artifacts:path}}/{zip_name}" {name} ' in manifest["Lifecycle"][name]["Script"]


def test_uris_are_as_gdk_wants_them_in_the_source_and_complete_but_for_the_bucket_when_built(
    recipe: Recipe, form: str
) -> None:
    name, version = recipe["ComponentName"], recipe["ComponentVersion"]
    middle = "COMPONENT_NAME/COMPONENT_VERSION" if form == "source" else f"{name}/{version}"
    for manifest in recipe["Manifests"]:
        for artifact in manifest["Artifacts"]:
            assert artifact["Uri"].startswith(f"s3://BUCKET_NAME/{middle}/")


def test_scripts_check_their_interpreter_and_end_in_exec(recipe: Recipe, form: str) -> None:
    python = "python3.12" if form.endswith("3.12") else "python3.11"
    for _, step in steps(recipe):
        commands = step["Script"].split("; ")
        assert commands[0] == f"if ! command -v {python} >/dev/null 2>&1"
        assert f"{recipe['ComponentName']}: {python} is missing" in commands[1]
        assert commands[2:4] == ["exit 78", "fi"]
        assert commands[4].startswith(f"exec {python} -I ")
        assert len(commands) == 5
        assert "\n" not in step["Script"]
        assert {f"python{found}" for found in re.findall(r"python(3\.\d+)", step["Script"])} == {python}


def test_scripts_use_known_variables_in_double_quotes_and_no_other_brace(recipe: Recipe) -> None:
    for _, step in steps(recipe):
        found = re.findall(r"\{[^}]*\}", step["Script"])
        assert set(found) == VARIABLES
        rest = re.sub(r"\{[a-zA-Z]+:[a-zA-Z]+\}", "", step["Script"])
        assert "{" not in rest, "lite cuts a script at a literal brace"
        assert "}" not in rest
        quoted = "".join(step["Script"].split('"')[1::2])
        assert all(quoted.count(variable) == step["Script"].count(variable) for variable in VARIABLES)


def test_only_install_has_a_timeout(recipe: Recipe) -> None:
    """Classic takes a component whose run outlives its Timeout for broken."""
    for name, step in steps(recipe):
        assert ("Timeout" in step) == (name == "install")
        if name == "install":
            assert isinstance(step["Timeout"], int)
            assert 120 <= step["Timeout"] <= 600


def test_environment_holds_strings(recipe: Recipe) -> None:
    for manifest in recipe["Manifests"]:
        for name, value in manifest["Lifecycle"].get("Setenv", {}).items():
            assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
            assert isinstance(value, str), "lite refuses a number"
            assert "{" not in value


def test_dependencies_are_soft_with_a_requirement_that_lite_reads(recipe: Recipe) -> None:
    for name, dependency in recipe.get("ComponentDependencies", {}).items():
        assert name in COMPONENTS
        assert dependency["DependencyType"] == "SOFT", "a HARD one leaves its dependents dead after a crash, on lite"
        assert re.fullmatch(r">=\d+\.\d+\.\d+ <\d+\.\d+\.\d+", dependency["VersionRequirement"])


def test_dependencies_have_no_circle() -> None:
    waits_for = {name: set(source(name).get("ComponentDependencies", {})) for name in COMPONENTS}
    while waits_for:
        free = [name for name, others in waits_for.items() if not others & set(waits_for)]
        assert free, f"these wait for each other: {sorted(waits_for)}"
        for name in free:
            del waits_for[name]


def test_configuration_fits_into_lite(recipe: Recipe) -> None:
    for leaf in leaves(configuration(recipe)):
        text = leaf if isinstance(leaf, str) else json.dumps(leaf)
        assert len(text.encode()) <= MAX_LEAF_BYTES
        if isinstance(leaf, str):
            assert len(leaf) <= MAX_VARIABLE_LENGTH
    for service in configuration(recipe)["accessControl"].values():
        assert len(json.dumps(service).encode()) <= MAX_ACCESS_BYTES


def test_every_policy_has_a_name_of_its_own_and_one_operation(recipe: Recipe) -> None:
    for service, policies_of in configuration(recipe)["accessControl"].items():
        short = service.removeprefix("aws.greengrass.ipc.")
        for name, policy in policies_of.items():
            assert name.startswith(f"{recipe['ComponentName']}:{short}:"), "policy names must differ between components"
            assert set(policy) == {"policyDescription", "operations", "resources"}
            assert len(policy["operations"]) == 1


def test_resources_have_one_star_where_the_station_is(recipe: Recipe) -> None:
    for policy in policies(recipe).values():
        for resource in policy["resources"]:
            assert re.fullmatch(r"linewatch/\*/[a-z]+(/[a-z]+)?", resource), "+ and # are literal, ? fails on lite"


@pytest.mark.parametrize("component", COMPONENTS)
def test_access_admits_exactly_the_topics_that_the_component_uses(component: str) -> None:
    granted: dict[str, set[str]] = {}
    for policy in policies(source(component)).values():
        (operation,) = policy["operations"]
        granted.setdefault(operation, set()).update(policy["resources"])
    assert granted == {
        "aws.greengrass#PublishToTopic": resources(PUBLISHES[component]),
        "aws.greengrass#SubscribeToTopic": resources(SUBSCRIBES[component]),
    }


def resources(topics: set[str]) -> set[str]:
    return {getattr(Topics(STATION), topic).replace(f"/{STATION}/", "/*/") for topic in topics}


@pytest.mark.parametrize("component", COMPONENTS)
def test_only_inspector_may_speak_to_the_cloud_and_only_of_its_health(component: str) -> None:
    granted = configuration(source(component))["accessControl"]
    cloud = granted.get("aws.greengrass.ipc.mqttproxy", {})
    rules = [(policy["operations"], policy["resources"]) for policy in cloud.values()]
    health = (["aws.greengrass#PublishToIoTCore"], [fleet_health("*")])
    assert rules == ([health] if component == "com.linewatch.Inspector" else [])
    assert granted.keys() <= {"aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_table_of_topics_is_what_the_code_names(component: str) -> None:
    named = topics_named_in(artefact_of(component))
    assert named | BY_SERVICE == PUBLISHES[component] | SUBSCRIBES[component]


def topics_named_in(artefact: Artefact) -> set[str]:
    """Every `topics.<name>` or `….topics.<name>` in the component's own package."""
    topics = {name for name, value in vars(Topics).items() if isinstance(value, property)}
    (package,) = (ROOT / "components").glob(f"*/{artefact.module}")
    return {
        node.attr
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in topics and _is_topics(node.value)
    }


def _is_topics(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_") == "topics"


@pytest.mark.parametrize("component", COMPONENTS)
def test_default_configuration_equals_the_class(component: str) -> None:
    written = {key: value for key, value in configuration(source(component)).items() if key != "accessControl"}
    expected = default_configuration(config_class(component))
    assert written == expected, "run: python -m tools.recipes"
    assert {key: type(value) for key, value in written.items()} == {key: type(value) for key, value in expected.items()}


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_component_reads_its_default_configuration_without_a_warning(component: str) -> None:
    config, warnings = read_config(config_class(component), configuration(source(component)), component)
    assert warnings == []
    assert config == config_class(component)()


def test_gdk_finds_one_recipe_and_the_component_that_it_is_for() -> None:
    config = json.loads((ROOT / "gdk-config.json").read_text())
    ((component, settings),) = config["component"].items()
    assert settings["version"] == source(component)["ComponentVersion"]
    assert settings["build"]["build_system"] == "custom"
    assert Path(settings["build"]["custom_build_command"][1]) == Path("components/build.py")
    (found,) = [path for path in ROOT.iterdir() if path.name in {"recipe.json", "recipe.yaml", "recipe.yml"}]
    assert found.is_symlink()
    assert found.resolve() == recipe_path(component)
