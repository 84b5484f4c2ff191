"""Word lists of the stand-ins, written for them."""

from pathlib import Path


def sections(name: str) -> dict[str, list[str]]:
    """`[section]` -> its entries, from words/<name>.txt: lines with | hold phrases, others single words."""
    found: dict[str, list[str]] = {}
    for section, rows in lines(name).items():
        entries = [entry for row in rows for entry in (row.split("|") if "|" in row else row.split())]
        found[section] = list(dict.fromkeys(entries))
    return found


def lines(name: str) -> dict[str, list[str]]:
    """`[section]` -> its lines, from words/<name>.txt without comments."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = found.setdefault(line[1:-1], [])
        elif line and not line.startswith("# "):
            current.append(line)
    return found
