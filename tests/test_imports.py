"""Who may import whom, checked by reading the source; nothing is imported."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "spi_dash"
BASE = {"errors", "clock"}

MAY_IMPORT = {  # module or package: the parts of spi_dash it may import, besides itself
    "errors": set(),
    "clock": set(),
    "config": BASE,
    "contract": BASE,
    "models": BASE,
    "sql": BASE,
    "breaker": BASE,
    "storage": BASE | {"breaker", "config"},
    "trap_image": BASE,
    "figures": BASE,
    "compression": BASE,
    "adoption": BASE | {"models"},
    "engines": {"breaker"},
    "db": BASE | {"models", "adoption", "breaker", "engines"},
    "migrations": BASE | {"models"},
    "services": BASE | {"models", "sql", "contract", "storage", "trap_image"},
    "backup": BASE | {"config", "db", "storage"},
    "probes": BASE,
    "policy": BASE,
    "error_pages": BASE | {"policy"},
    "context": BASE | {"config", "storage", "services", "probes"},
    "api": BASE | {"services", "contract", "context", "trap_image", "storage", "policy"},
    "gate": BASE | {"services", "context", "policy"},
    "observe": BASE | {"services", "context"},
    "pages": BASE | {"services", "figures", "context"},
    "client": BASE | {"contract", "trap_image", "push"},  # push, which is built on it, when a folder is uploaded
    "push": BASE | {"client", "trap_image"},
    "demo": BASE | {"client", "trap_image"},
    "detector": BASE | {"client", "contract", "trap_image", "config"},
    "app": BASE
    | {
        "api",
        "breaker",
        "compression",
        "config",
        "context",
        "db",
        "error_pages",
        "gate",
        "observe",
        "pages",
        "policy",
        "probes",
        "services",
        "storage",
    },
    "cli": BASE
    | {"adoption", "app", "backup", "client", "config", "db", "demo", "detector", "push", "services", "storage"},
    "local": BASE | {"app", "client", "config", "context", "services"},
    "__main__": {"cli"},
}

OWNERS = {  # library: the only parts of spi_dash that may import it
    "flask": {"app", "context", "api", "gate", "compression", "error_pages", "observe", "pages", "policy"},
    "prometheus_client": {"observe"},
    "dash": {"app", "pages"},
    "plotly": {"figures"},
    "sqlalchemy": {"adoption", "backup", "db", "engines", "migrations", "models", "services", "sql"},
    "alembic": {"db", "migrations"},
    "pandas": {"services", "figures", "client"},
    "botocore": {"storage"},
    "torch": {"detector"},
    "waitress": {"cli"},
    "shapely": {"services"},
    "PIL": {"trap_image", "demo", "detector", "services"},
}


def imports(path):
    """The dotted names one source file imports, made absolute: {"spi_dash.errors.NotFound", "flask", ...}."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names |= {".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_import_rules(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "spi_dash" and part != "__init__":
            assert rest[0] in MAY_IMPORT[part] | {part, "__version__"}, f"{part} must not import {name}"
        assert part in OWNERS.get(top, {part}), f"{part} must not import {top}"
