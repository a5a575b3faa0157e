"""What `spi-dash check` is asked for, and what it says of what it finds."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ASIDE = "lost+found"  # in the storage: where files go that belong to nothing

Kind = Literal[
    "lost", "damaged", "unreadable", "thumbnail", "stray", "foreign", "tuboid", "tuboid-shots", "tuboid-stray"
]  # fmt: skip
KINDS: dict[Kind, str] = {
    "lost": "in the database, but its file is gone",
    "damaged": "the file is not what was uploaded: its md5 is another",
    "unreadable": "the storage cannot read it",
    "thumbnail": "a thumbnail is missing or empty",
    "stray": "a picture that is not in the database",
    "foreign": "no picture of a trap, and not in the database",
    "tuboid": "a file of a tuboid in the database is missing or empty",
    "tuboid-shots": "the shots of a tuboid are not those in the database",
    "tuboid-stray": "a file of no tuboid in the database",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what was done about it, if anything."""

    kind: Kind
    key: str
    repair: str = ""


@dataclass
class Report:
    """What was looked at and what was found."""

    images: int = 0
    tuboids: int = 0
    found: Counter[Kind] = field(default_factory=Counter)
    left: Counter[Kind] = field(default_factory=Counter)  # of them, what is still wrong

    def add(self, problem: Problem) -> None:
        self.found[problem.kind] += 1
        if not problem.repair:
            self.left[problem.kind] += 1


@dataclass(frozen=True)
class Options:
    """How to look: `quick` does not read the pictures."""

    now: datetime
    repair: bool = False
    quick: bool = False
