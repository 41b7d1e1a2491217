"""The picture of the rooms, drawn from the imports: python docs/pages/rooms.py writes docs/rooms.svg."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1]
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tests")]

import test_rooms as house  # noqa: E402

SAYS = {
    "errors": "exceptions and wordings", "engine": "nodes, and both modes", "tensor": "the handle",
    "ops": "every operation with its rules", "transforms": "grad, jvp, hessian", "nn": "layers, losses",
    "optim": "optimisers", "compiler": "steps as programs", "checking": "verdicts on gradients",
    "inspection": "graphs to look at", "testing": "the test kit", "training": "the loop, data, files",
    "interop": "bridges", "reference": "tables", "__init__": "the public names", "__main__": "the experiment",
    "primitive": "a door to declaring",
}  # fmt: skip
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#456"/></marker></defs>'
)
WIDTH, HEIGHT, GAP, STEP = 176, 44, 24, 84
SHIFT = 60  # to the side, from floor to floor, so that arrows to floors further below are seen


@functools.cache
def edges() -> dict[str, set[str]]:
    """Return which rooms each room imports from."""
    found: dict[str, set[str]] = {room: set() for floor in house.FLOORS for room in floor}
    for path in house.FILES:
        name = house.name_of(path)
        tree = house.parsed(path.read_text(encoding="utf-8"))
        for other in house.imported(name, tree, path.name == "__init__.py"):
            room, their_room = name.split(".")[0], other.split(".")[0]
            if room != their_room:
                found[room].add(their_room)
    return found


def reduced(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports without those to rooms that another imported room leads to."""

    def reached(room: str) -> set[str]:
        return found[room].union(*map(reached, found[room])) if found[room] else set()

    return {room: held - set().union(*map(reached, held)) for room, held in found.items()}


def svg() -> str:
    """Return the picture: a floor a row, the ground floor at the bottom, and an arrow for each import."""
    floors = [[room for room in floor if room in edges()] for floor in house.FLOORS]
    across = max(len(floor) for floor in floors) * (WIDTH + GAP) + 2 * (SHIFT + GAP)
    places = {
        room: (
            across / 2 + (level % 3 - 1) * SHIFT + (n - (len(floor) - 1) / 2) * (WIDTH + GAP),
            (len(floors) - level) * STEP - HEIGHT,
        )
        for level, floor in enumerate(floors)
        for n, room in enumerate(floor)
    }
    height = len(floors) * STEP + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {height}" font-family="sans-serif">',
        "<title>The rooms of the package, and which imports from which</title>",
        TIP,
        f'<rect width="{across}" height="{height}" rx="8" fill="white"/>',
    ]
    for room, others in reduced(edges()).items():
        x, y = places[room]
        for other in sorted(others):
            u, v = places[other]
            start, end = f"{x:g} {y + HEIGHT / 2:g}", f"{u:g} {v - HEIGHT / 2:g}"
            bend = f"C{x:g} {y + HEIGHT:g} {u:g} {v - HEIGHT:g}"
            lines.append(f'<path d="M{start}{bend} {end}" fill="none" stroke="#456" marker-end="url(#tip)"/>')
    for room, (x, y) in places.items():
        box = f'x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
        lines.append(f'<rect {box} fill="#e8eef6" stroke="#456"/>')
        lines.append(
            f'<text x="{x:g}" y="{y - 3:g}" text-anchor="middle" font-weight="bold" font-size="14">{room}</text>'
        )
        lines.append(f'<text x="{x:g}" y="{y + 14:g}" text-anchor="middle" font-size="11">{SAYS[room]}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    (DOCS / "rooms.svg").write_text(svg(), encoding="utf-8")
