"""The figures as bars: `bench/results.svg`, which README shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from bench import generation
from bench.figures import Measured
from bench.report import middle
from hf_lambda.records import Json

_ROW = 20
_TITLE = 44
_WIDTH = 860
_NAMES = 150
_BAR = 250
_COLUMN = 350
_STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600; font-size: 14px }
    .what, .by { fill: #59636e }
    .ours { fill: #1a7f64 }
    .other { fill: #afb8c1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .what, .by { fill: #9198a1 }
      .ours { fill: #3fb68b }
      .other { fill: #57606a }
    }
"""


def svg(measured: Sequence[Measured]) -> str:
    """Of every workload with answers: seconds to the first one, and of a warm one, by contender."""
    shapes: list[str] = []
    top = 0
    for each in measured:
        columns = _columns(each.contenders)
        names = [name for name in each.contenders if any(name in column for _, column in columns)]
        if not names:
            continue
        shapes.append(f'<text class="title" x="0" y="{top + 16}">{escape(each.workload)}</text>')
        shapes += [_text(name, 0, top + _TITLE + row * _ROW) for row, name in enumerate(names)]
        for index, (what, seconds) in enumerate(columns):
            left = _NAMES + index * _COLUMN
            shapes.append(f'<text class="what" x="{left}" y="{top + 34}">{escape(what)}</text>')
            shapes += _bars(names, seconds, left, top + _TITLE)
        top += _TITLE + len(names) * _ROW + 20
    lines = "\n".join(f"  {shape}" for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        'aria-label="Seconds to the first answer and of a warm one, by contender">\n'
        f"  <style>{_STYLE}  </style>\n{lines}\n</svg>\n"
    )


def _columns(contenders: Mapping[str, dict[str, Json]]) -> list[tuple[str, dict[str, float]]]:
    """What a column shows, and its seconds by contender; one without any is left out."""
    if generation.is_generation(contenders):
        keys = [("first token, cold", "first_s"), ("each token, warm", "token_s")]
    elif not any("first_s" in each for each in contenders.values()):
        keys = [("first answer, cold, one thread", "one_cpu_first_s"), ("warm, one thread", "one_cpu_s")]
    else:
        warm = next((key for each in contenders.values() for key in each if key.startswith("warm:")), "")
        keys = [("first answer, cold", "first_s"), (f"warm, {warm[5:]}", warm)]
    found = []
    for what, key in keys:
        medians = {name: middle(each.get(key)) for name, each in contenders.items()}
        # Below zero: a difference of two measurements that was shorter than the machine's own noise.
        seconds = {name: value for name, value in medians.items() if value is not None and value > 0}
        if seconds:
            found.append((what, seconds))
    return found


def _bars(names: Sequence[str], seconds: Mapping[str, float], left: int, top: int) -> Iterator[str]:
    longest = max(seconds.values())
    for row, name in enumerate(names):
        if name not in seconds:
            continue
        width = max(1.0, _BAR * seconds[name] / longest)
        ours = "ours" if name.startswith("hf-lambda") else "other"
        y = top + row * _ROW
        yield f'<rect class="{ours}" x="{left}" y="{y + 2}" width="{width:.1f}" height="14" rx="2"/>'
        yield _text(_shown(seconds[name]), left + width + 6, y, "by")


def _text(text: str, x: float, y: int, kind: str = "name") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y + 14}">{escape(text)}</text>'


def _shown(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    value, unit = (seconds * 1000, "ms") if seconds < 1 else (seconds, "s")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"
