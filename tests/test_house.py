"""The house: what is where, who may import whom, how long a file may be, how much of the package the reader wrote.

Four parts: the *textbook*, which the lessons build; what is *given*; the *lab* of the long runs; the *classroom*, which
teaches: a package of its own, `skiprec_course`, beside the lessons. An import goes from classroom and lab down to the
textbook and what is given, never back, never between the two, never from one lesson's room to another's. What the
reader wrote is what stands in the package.

The bounds only ever get lower.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "skiprec_lite"
COURSE = ROOT / "notebooks" / "skiprec_course"
PARTS = {
    "textbook": (
        "gumbel", "estimators", "windows", "splits", "metrics", "evaluation", "blocks", "backbones", "stages",
        "choosing", "training",
        "synthetic", "policy", "skiprec", "skipping", "gate_losses", "controls", "enumeration", "policy_gradient",
    ),
    "given": (
        "inputs", "promises", "datasets", "downloads", "movielens", "checkpoints", "claims", "softmax", "recommending",
        "tables", "cli", "verbs",
        "__main__",
    ),
    "lab": ("lab",),
    "classroom": ("skiprec_course",),
}  # fmt: skip
PART_OF = {name: part for part, names in PARTS.items() for name in names}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
MODULES += sorted(COURSE.rglob("*.py"))

TEXTBOOK_LINES = 2_780  # 2,900 when the second edition is done: with devices, the rival that counts and pooling
TEXTBOOK_CODE = 1_725  # without docstrings, blanks and comments
LONGEST_FILE = 230
GIVEN_LINES = 1_830  # with the command line
LAB_LINES = 1_600
CLASSROOM_LINES = 11_640
LONGEST_FUNCTION = 60  # without its docstring
ROOMS = (
    "gumbel", "temperature", "straight_through", "next_item", "protocol", "nextitnet", "depth", "skiprec",
    "verdict", "blind_spots", "whose_pattern", "speed", "beyond",
)  # fmt: skip
ASSIGNMENTS = ("a3", "a4", "bug_hunt")  # each is a room, too
# What a lesson builds otherwise than the package, and why.
BUILT_OTHERWISE = {
    "02_temperature: gumbel.gumbel_softmax": "the soft sample; lesson 03 goes on with the hard one",
    "06_nextitnet: training.fit": "twelve lines, which the package's loop has within stages, validation and a choice",
}


def name_of(path: Path) -> str:
    """A module's name below the package, "gumbel", "lab.plans"; of the classroom in full, "skiprec_course.engine"."""
    above = PACKAGE if path.is_relative_to(PACKAGE) else COURSE.parent
    return ".".join(path.relative_to(above).with_suffix("").parts).removesuffix(".__init__")


def files_of(part: str) -> list[Path]:
    return [path for path in MODULES if PART_OF[name_of(path).split(".")[0]] == part]


def imports(path: Path, *, lazily: bool) -> Iterator[str]:
    """What a module imports from package and classroom, at its top or (lazily) inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    known = {name_of(p) for p in MODULES}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (PACKAGE.name, COURSE.name):
            if lazily is (id(node) in top):
                continue
            inside = node.module.removeprefix(PACKAGE.name).removeprefix(".")
            for alias in node.names:
                full = f"{inside}.{alias.name}".removeprefix(".")
                yield full if full in known else inside


def lines_of_code(path: Path) -> int:
    """Lines without docstrings, blanks and comments."""
    text = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    said = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            said |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for n, line in lines if line.strip() and not line.strip().startswith("#") and n not in said)


# --- what is where, and who may import whom ---


def test_every_module_lies_in_one_part() -> None:
    tops = {name_of(path).split(".")[0] for path in MODULES}
    assert sorted(tops) == sorted(PART_OF)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_import_never_leads_back_up(path: Path) -> None:
    part = PART_OF[name_of(path).split(".")[0]]
    may = {"textbook": {"textbook", "given"}, "given": {"textbook", "given"}}
    may |= {upper: {"textbook", "given", upper} for upper in ("lab", "classroom")}
    if name_of(path) in ("cli", "verbs", "__main__"):
        return  # the command line may reach every room; that it does so lazily is asked below
    for imported in [*imports(path, lazily=False), *imports(path, lazily=True)]:
        assert PART_OF[imported.split(".")[0]] in may[part], f"{name_of(path)} imports {imported}"
        assert imported not in ("cli", "verbs", "__main__")


def test_the_command_line_loads_lab_and_classroom_only_when_it_is_asked() -> None:
    for name in imports(PACKAGE / "cli.py", lazily=False):
        assert PART_OF[name.split(".")[0]] in ("textbook", "given"), name


def room_of(name: str) -> str:
    """The lesson or assignment whose room a module is in; "" for one that several use."""
    found = re.match(rf"skiprec_course\.(?:assignments\.)?({'|'.join((*ROOMS, *ASSIGNMENTS))})\b", name)
    return found.group(1) if found else ""


def test_lessons_do_not_lean_on_one_another_s_rooms() -> None:
    found = set()
    for path in MODULES:
        mine = room_of(name_of(path))
        for imported in [*imports(path, lazily=False), *imports(path, lazily=True)]:
            if mine and room_of(imported) not in ("", mine):
                found.add((name_of(path), imported))
    assert found == set()


def test_each_lesson_has_a_room_by_its_subject() -> None:
    lessons = [path.stem[3:] for path in sorted(COURSE.parent.glob("[0-9][0-9]_*.ipynb"))]
    assert ("start_here", *ROOMS) == tuple(lessons)
    assert {path.parent.name for path in COURSE.rglob("*/*.py")} == {*ROOMS, "assignments"}
    assert {path.stem for path in (COURSE / "assignments").glob("*.py")} == {"__init__", *ASSIGNMENTS}


def test_a_room_with_checks_has_its_mistakes_and_every_room_its_figures() -> None:
    for room in ROOMS:
        assert (COURSE / room / "figures.py").exists(), room
        assert (COURSE / room / "descriptions.toml").exists(), room
        assert (COURSE / room / "checks.py").exists() == (COURSE / room / "mistakes.py").exists(), room


def test_the_model_does_not_stand_on_the_downloader() -> None:
    code = "import sys, skiprec_lite.backbones; sys.exit(bool({'pandas', 'pooch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- how long it is ---


def test_the_textbook_can_be_read_in_an_afternoon() -> None:
    files = files_of("textbook")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= TEXTBOOK_LINES
    assert sum(map(lines_of_code, files)) <= TEXTBOOK_CODE


@pytest.mark.parametrize("path", files_of("textbook"), ids=name_of)
def test_no_file_of_the_textbook_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_what_is_given_the_lab_and_the_classroom_stay_small() -> None:
    for part, bound in (("given", GIVEN_LINES), ("lab", LAB_LINES), ("classroom", CLASSROOM_LINES)):
        assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files_of(part)) <= bound, part


def test_no_function_is_long() -> None:
    for path in [*files_of("textbook"), *files_of("given"), *files_of("lab")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                said = node.body[0] if ast.get_docstring(node) is not None else None
                docstring = said.end_lineno - said.lineno + 1 if said and said.end_lineno else 0
                assert (node.end_lineno or 0) - node.lineno + 1 - docstring <= LONGEST_FUNCTION, node.name


# --- what the reader wrote is what stands in the package ---


class _Bare(ast.NodeTransformer):
    """Take out what guards and explains a body: docstrings, annotations, decorators."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.decorator_list, node.returns = [], None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        node.body = without_docstring(node.body)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if told else body


def bodies(node: ast.stmt) -> dict[str, str]:
    """The bare body of a function, or of each method of a class, by name."""
    if isinstance(node, ast.ClassDef):
        return {name: text for inner in node.body for name, text in bodies(inner).items()}
    if not isinstance(node, ast.FunctionDef):
        return {}
    bare = ast.fix_missing_locations(_Bare().visit(node))
    return {node.name: "\n".join(map(ast.unparse, bare.body))}


def defined(source: str) -> dict[str, ast.stmt]:
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name: node for node in ast.parse(source).body if isinstance(node, kinds)}


def in_the_package(module: str) -> dict[str, ast.stmt]:
    """What a module defines; for a folder, what its files define: its face hands it on."""
    files = [path for path in MODULES if name_of(path).split(".")[0] == module]
    return {name: node for path in files for name, node in defined(path.read_text(encoding="utf-8")).items()}


def built() -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Each part that a lesson builds: its tag, the bodies in the lesson's cell, the bodies in the package."""
    for lesson in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]:
            for tag in cell["metadata"].get("tags", []):
                if tag.startswith("builds:"):
                    part = tag.removeprefix("builds:")
                    module, name = part.split(".")
                    mine = defined("".join(cell["source"]))[name]
                    package_s = in_the_package(module)[name]
                    yield f"{lesson.stem}: {part}", bodies(mine), bodies(package_s)


def test_what_the_reader_wrote_is_what_stands_in_the_package() -> None:
    """Body for body, but for the parts that are listed with a reason."""
    parts = list(built())
    assert len(parts) >= 74
    otherwise = {tag for tag, mine, theirs in parts if mine != {name: theirs.get(name) for name in mine}}
    assert otherwise == BUILT_OTHERWISE.keys()


@pytest.mark.parametrize("page", ["README.md", "notebooks/00_start_here.ipynb"])
def test_readme_and_map_say_which_lesson_builds_what(page: str) -> None:
    """By the tags of the lessons' cells: nobody has to search for a lesson's part of the package."""
    text = (ROOT / page).read_text(encoding="utf-8")
    wanted: dict[str, set[str]] = {}
    for tag, _, _ in built():
        lesson, part = tag.split(": ")
        wanted.setdefault(lesson, set()).add(file_of(*part.split(".")))
    for lesson, files in wanted.items():
        (row,) = re.findall(rf"\| \[{lesson[:2]}\]\([^|]*{lesson}\.ipynb\).*", text)
        assert set(re.findall(r"`([\w/]+)`", row)) >= files, lesson


def file_of(module: str, name: str) -> str:
    """The file, below the package, in which a part stands."""
    files = [path for path in MODULES if name_of(path).split(".")[0] == module]
    (home,) = [path for path in files if name in defined(path.read_text(encoding="utf-8"))]
    return name_of(home).replace(".", "/")
