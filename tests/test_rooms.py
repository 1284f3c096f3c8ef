"""The rooms of the package: which may import which, and that no module imports in a circle."""

import ast
import os
from collections import defaultdict

import pytest

from helpers.scripts import ROOT

PACKAGE = os.path.join(ROOT, "resattnet")
# A room imports only rooms of lower levels, and those of its own level that are named here.
LEVELS = {
    "system": 0,
    "machine": 1,
    "options": 2,
    "models": 3,
    "data": 3,
    "runs": 3,
    "zoo": 4,
    "torch": 4,
    "datasets": 4,
    "distributed": 4,
    "folders": 5,
    "loaders": 5,
    "runtimes": 5,
    "launcher": 5,
    "run_options": 6,
    "prediction": 6,
    "evaluation": 7,
    "optimization": 7,
    "training": 8,
    "export": 9,
    "reports": 9,
    "experiments": 9,
    "benchmark": 9,
    "serving": 10,
    "commands": 11,
}
BESIDE: set = set()


def module_files():
    """Yield the path of each module, and its parts within the package."""
    for folder, _, names in os.walk(PACKAGE):
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                yield path, os.path.relpath(path, PACKAGE)[: -len(".py")].split(os.sep)


def imports(path, parts, at_import_only=False):
    """Yield the parts of what a module imports from the package, relative or by the package's name."""
    with open(path, encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    nodes = tree.body if at_import_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                base = parts[: len(parts) - node.level] + module
            elif module[0] == "resattnet":
                base = module[1:]
            else:
                continue
            for alias in node.names:
                yield base, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "resattnet":
                    yield alias.name.split(".")[1:], None


MODULES = {tuple(parts): path for path, parts in module_files()}


def imported_modules(parts, at_import_only=False):
    """The modules that a module imports, as parts."""
    for base, name in imports(MODULES[parts], list(parts), at_import_only):
        for candidate in ((*base, name), tuple(base), (*base, "__init__")):
            if candidate in MODULES:
                yield candidate
                break


def test_the_package_itself_holds_its_names_and_its_command_only():
    assert sorted(os.path.basename(path) for parts, path in MODULES.items() if len(parts) == 1) == [
        "__init__.py",
        "__main__.py",
    ]


def test_every_room_is_known_and_says_what_it_holds():
    rooms = {parts[0] for parts in MODULES if len(parts) > 1}
    assert rooms <= set(LEVELS)
    for room in rooms:
        with open(os.path.join(PACKAGE, room, "__init__.py"), encoding="utf-8") as stream:
            assert ast.get_docstring(ast.parse(stream.read())), room


@pytest.mark.parametrize("parts", sorted(parts for parts in MODULES if len(parts) > 1), ids=".".join)
def test_a_module_imports_lower_rooms_only(parts):
    room = parts[0]
    for target in imported_modules(parts):
        if len(target) == 1:
            assert target == ("__init__",), f"{'.'.join(parts)} imports resattnet.{target[0]}"
        elif target[0] != room and (room, target[0]) not in BESIDE:
            assert LEVELS[target[0]] < LEVELS[room], f"{'.'.join(parts)} imports {'.'.join(target)}"


@pytest.mark.parametrize("parts", sorted(parts for parts in MODULES if len(parts) > 1), ids=".".join)
def test_no_module_uses_a_private_name_of_another_room(parts):
    for base, name in imports(MODULES[parts], list(parts)):
        if name and name.startswith("_") and name != "__version__" and base and base[0] != parts[0]:
            raise AssertionError(f"{'.'.join(parts)} imports {name} of {'.'.join(base)}")


@pytest.mark.parametrize("what", ["modules", "rooms"])
def test_no_circle(what):
    arrows = defaultdict(set)
    for parts in MODULES:
        for target in imported_modules(parts):
            one, other = (parts, target) if what == "modules" else (parts[:1], target[:1])
            if one != other and other not in (("__init__",),):
                arrows[one].add(other)
    done, path = set(), []

    def visit(node):
        assert node not in path, " -> ".join(".".join(each) for each in [*path[path.index(node) :], node])
        if node not in done:
            path.append(node)
            for other in sorted(arrows[node]):
                visit(other)
            path.pop()
            done.add(node)

    for node in sorted(arrows):
        visit(node)


def test_nothing_but_the_door_imports_mxnet():
    for parts, path in MODULES.items():
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not any(name.split(".")[0] == "mxnet" for name in names), ".".join(parts)
