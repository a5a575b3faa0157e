"""The compose files as a container engine would read them, for the keys that they use."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
BASE, PROD, DEVEL = (DOCKER / name for name in ("compose.yml", "compose.prod.yml", "compose.devel.yml"))


def merged(base: Any, over: Any) -> Any:
    """What compose makes of a file and the one on top."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base[key], value) if key in base else value for key, value in over.items()}
    return [*base, *over] if isinstance(base, list) and isinstance(over, list) else over


def services(override: Path) -> dict[str, dict[str, Any]]:
    """Every service of compose.yml with `override` on top, by name; variables stand as they are written."""
    return merged(*[yaml.safe_load(path.read_text()) for path in (BASE, override)])["services"]


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """A part of a compose file with the values of its variables: `${NAME}`, `${NAME:-otherwise}`, `$$`."""
    if isinstance(value, dict):
        return {key: resolved(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def of(match: re.Match) -> str:
        if match[0] == "$$":
            return "$"
        return (variables.get(match[1]) or match[2]) if match[2] is not None else variables[match[1]]

    return re.sub(r"\$\$|\$\{(\w+)(?::-([^}]*))?\}", of, value)
