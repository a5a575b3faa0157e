"""docs/client.md says what is true: its examples are run, and it names every method."""

import re
import warnings
from pathlib import Path

from live import pictures, write_all
from tuboid_lab import write_series

from spi_dash.client import SpiClient, transport

PAGE = Path(__file__).parents[1] / "docs" / "client.md"
EXPECTED = re.compile(r"print\(.*\)  # (.*)$")
INTERNAL = {"close", "post_json", "post_files", "repeat", "stream"}


def blocks():
    """The examples in Python, each after so many empty lines that a traceback names the line of the page."""
    text = PAGE.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match[1], "\n" * text.count("\n", 0, match.start(1)) + match[1]


def test_the_examples_run_in_order_and_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPI_PASSWORD", "a password")
    write_all(tmp_path / "sdcard", {**pictures(6), **pictures(3, "5c173ff3")})
    write_series(tmp_path / "tuboids")
    printed: list[str] = []
    names = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    for code, placed in blocks():
        before = len(printed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(placed, str(PAGE), "exec"), names)
        expected = [match[1] for line in code.splitlines() if (match := EXPECTED.search(line))]
        assert printed[before:] == expected
    assert len(printed) > 10
    assert len(list((tmp_path / "thumbnails").rglob("*.thumbnail.jpg"))) == 1


def test_it_names_every_method_and_no_other():
    table = PAGE.read_text().partition("## All methods")[2]
    methods = {name for name in dir(SpiClient) if not name.startswith("_") and callable(getattr(SpiClient, name))}
    assert set(re.findall(r"`(\w+)`", table)) == methods - INTERNAL
    assert methods >= INTERNAL and {name for name in vars(transport.Transport) if name in INTERNAL} == INTERNAL
