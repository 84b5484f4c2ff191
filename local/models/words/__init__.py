"""Word lists of the stand-ins, written for them."""

from pathlib import Path


def sections(name: str) -> dict[str, list[str]]:
    """`[section]` -> its entries, from words/<name>.txt: lines with | hold phrases, others single words."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.extend(line.split("|") if "|" in line else line.split())
    return {section: list(dict.fromkeys(entries)) for section, entries in found.items()}
