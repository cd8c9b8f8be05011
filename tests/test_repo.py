"""The repository keeps its promises: one command, one style, imports that only go downwards."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, COURSE = ROOT / "skiprec_lite", ROOT / "notebooks" / "skiprec_course"
FROM_THE_GROUND_UP = (
    "inputs", "promises", "gumbel", "estimators", "movielens", "downloads", "datasets", "windows", "splits",
    "synthetic", "metrics", "choosing", "blocks", "backbones", "policy", "recommending", "skipping", "skiprec",
    "evaluation", "softmax", "gate_losses", "stages", "training", "policy_gradient", "enumeration", "controls",
    "checkpoints", "tables", "lab", "claims",
    # the classroom
    *(f"skiprec_course.{name}" for name in (
        "comparing", "mistakes", "engine", "questions", "parameters", "models", "students", "plots",
        "gumbel", "temperature", "straight_through", "next_item",
        "protocol", "nextitnet", "depth", "skiprec", "verdict", "blind_spots", "whose_pattern", "speed", "beyond",
        "assignments", "checks", "practice", "slides", "teachers",
    )),
    "verbs", "cli", "__main__",
)  # fmt: skip


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]])
def test_style_and_types(command: list[str]) -> None:
    found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def room_of(module: str) -> str:
    """What stands in the list above: "backbones" for "skiprec_lite.backbones.nfm"."""
    package, room, *_ = module.split(".")
    return room if package == PACKAGE.name else f"{package}.{room}"


def modules_below(package: Path) -> list[Path]:
    found = [*sorted(package.glob("*.py")), *sorted(package.glob("*/*.py"))]
    return [path for path in found if path != package / "__init__.py"]


@pytest.mark.parametrize(
    "path", [*modules_below(PACKAGE), *modules_below(COURSE)], ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_an_import_goes_only_downwards(path: Path) -> None:
    package = PACKAGE if path.is_relative_to(PACKAGE) else COURSE
    room = room_of(".".join(path.relative_to(package.parent).with_suffix("").parts))
    here = FROM_THE_GROUND_UP.index(room)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (PACKAGE.name, COURSE.name):
            whole = node.module in (PACKAGE.name, COURSE.name)
            for module in [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module]:
                if room == room_of(module) and path.parent != package:
                    continue  # within the room
                assert FROM_THE_GROUND_UP.index(room_of(module)) < here, f"{path.stem} imports {module} from above"


def test_ci_runs_the_readme_command_and_nothing_else() -> None:
    shebang, strict, *rest = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert shebang.startswith("#!")
    assert strict == "set -euo pipefail"
    assert rest == [_readme_commands()[1]]


def test_readme_commands_start_from_nothing_but_python() -> None:
    train, test = _readme_commands()[:2]
    assert train.startswith("python3 -m venv .venv && ")
    assert train.endswith(".venv/bin/python -m skiprec_lite train")
    assert test.endswith(".venv/bin/python -m pytest")


def test_conda_environment_agrees_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python, pip, from_pip = environment["dependencies"]
    assert python == f"python{project['requires-python']}"
    assert pip == "pip"
    index, exact, *named, course = from_pip["pip"]
    assert exact == "-c constraints.txt"
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert [re.split("[=>]", name)[0] for name in named] == [
        "torch", "jupyterlab", "matplotlib", "seaborn", "numpy", "nbval",
    ]  # fmt: skip
    assert set(named) <= {*project["dependencies"], *project["optional-dependencies"]["dev"]}
    assert course == "-e .[dev]"


@pytest.mark.environment
def test_the_pip_part_of_the_conda_environment_installs(tmp_path: Path) -> None:
    """As conda does it: the list goes into a file beside environment.yml, and pip reads that."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "data", "*.egg-info", "__pycache__"))
    listed = yaml.safe_load((clone / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    (clone / "listed.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = next(p for p in (tmp_path / "env/bin/python", tmp_path / "env/Scripts/python.exe") if p.exists())
    pip = [python, "-m", "pip"]
    try:
        # An index that cannot be reached is asked for each package: once is enough.
        subprocess.run([*pip, "install", "-q", "--retries", "0", "-r", "listed.txt"], cwd=clone, check=True)
        subprocess.run([*pip, "check"], check=True)
        code = "import torch, jupyterlab, matplotlib, seaborn, numpy, nbval, skiprec_lite; print(torch.version.cuda)"
        found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "None"
    finally:
        shutil.rmtree(tmp_path / "env")  # more than a gigabyte


def test_every_folder_of_both_packages_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    files = [(path, package) for package in (PACKAGE, COURSE) for path in package.rglob("*.py")]
    folders = {".".join(path.parent.relative_to(package.parent).parts) for path, package in files}
    assert sorted(settings["packages"]) == sorted(folders)


def test_torch_is_a_range_for_readers_and_exact_where_the_course_is_tested() -> None:
    """A platform's own torch stays; README's commands and CI install one version, which has a build for the CPU."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [d for d in project["dependencies"] if d.startswith("torch")] == ["torch>=2.6"]
    exact = dict(line.lower().split("==") for line in _constraints())
    assert exact["torch"] == "2.13.0"
    for needed in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        name, least = re.split("[=>]=", needed)
        found = exact[name.lower()]
        assert [int(x) for x in found.split(".")[:2]] >= [int(x) for x in least.split(".")[:2]], needed
    assert all("-c constraints.txt" in command for command in _readme_commands()[:2])


def _constraints() -> list[str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _tracked() -> list[str]:
    """What is committed in data/; nothing where there is no repository."""
    command = ["git", "ls-files", "data"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


def test_nothing_of_movielens_is_committed() -> None:
    for name in _tracked():
        assert name == "data/README.md" or name.startswith(("data/results/", "data/weights/")), name


def test_what_is_committed_in_data_is_small() -> None:
    assert sum((ROOT / name).stat().st_size for name in _tracked()) <= 12e6


def test_the_ten_lines_of_the_readme_run() -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n", 1)[1].split("```", 1)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    shortened = code.replace("skiprec_stages(30, ", "skiprec_stages(1, ").replace("anneal=True", "progress=False")
    assert "(1, " in shortened
    names: dict = {}
    exec(shortened, names)
    assert names["items"].shape == names["scores"].shape == (1, 5)


def _readme_commands() -> list[str]:
    """Return the lines of README's first shell block that a reader pastes."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("```bash\n", 1)[1].split("```", 1)[0]
    return [line for line in block.splitlines() if line and not line.startswith("#")]
