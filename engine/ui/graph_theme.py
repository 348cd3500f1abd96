"""How the SVG looks: colours in light and dark, icons per state type and status.

Colours are written out, twice, instead of through CSS variables: many SVG viewers outside browsers know no variables.
Class names begin with `asl-` because a style inside an SVG applies to the whole HTML page around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADING_SIZE: Final = 17.0
NAME_SIZE: Final = 13.0
DETAIL_SIZE: Final = 11.0
LABEL_SIZE: Final = 11.0
BADGE_SIZE: Final = 10.0

# Drawn in a square of 20 pixels around (0, 0), in strokes of the colour of `.asl-icon`.
ICONS: Final[Mapping[str, str]] = {
    "Task": '<path d="M-1.5 -8 L-6 1.5 H-0.5 L-2 8 L6 -2.5 H0.5 L2.5 -8 Z"/>',
    "Pass": '<path d="M-8 0 H6 M1.5 -5 L7 0 L1.5 5"/>',
    "Choice": '<path d="M0 -8.5 L8.5 0 L0 8.5 L-8.5 0 Z M-2.2 -1.8 A2.3 2.3 0 1 1 0 1 V1.6 M0 4.3 V4.4"/>',
    "Wait": '<circle r="8"/><path d="M0 -4.5 V0 L3.5 2.5"/>',
    "Succeed": '<circle r="8"/><path d="M-3.8 0.4 L-1 3.4 L4 -2.8"/>',
    "Fail": '<circle r="8"/><path d="M-3 -3 L3 3 M3 -3 L-3 3"/>',
    "Parallel": '<path d="M0 -8.5 V-4 M-6.5 8.5 V-1 Q-6.5 -4 -3.5 -4 H3.5 Q6.5 -4 6.5 -1 V8.5 M0 -4 V8.5"/>',
    "Map": '<path d="M-4 -8 H8 V4 M-8 -4 H4 V8 H-8 Z"/>',
}

# Drawn in a circle with a radius of 9 pixels.
STATUS_ICONS: Final[Mapping[str, str]] = {
    "succeeded": '<path d="M-4 0.3 L-1.2 3.2 L4 -2.8"/>',
    "failed": '<path d="M-3 -3 L3 3 M3 -3 L-3 3"/>',
    "caught": '<path d="M-3.5 2.5 V0.5 Q-3.5 -2 -1 -2 H3.5 M1 -4.5 L3.8 -2 L1 0.5"/>',
    "running": '<path d="M-2 -4 L4 0 L-2 4 Z"/>',
    "aborted": '<path d="M-3 -3 H3 V3 H-3 Z"/>',
}

# One per state type; white icons and texts can be read on each.
COLOURS: Final[Mapping[str, str]] = {
    "Task": "#2f6fde",
    "Pass": "#64748b",
    "Choice": "#c27803",
    "Wait": "#7c5cd6",
    "Succeed": "#1f9254",
    "Fail": "#cf3f46",
    "Parallel": "#0c8a91",
    "Map": "#b4419a",
}

# Border and icon by light and by dark.
_STATUSES: Final = {
    "succeeded": ("#1f9254", "#3fb970"),
    "failed": ("#d1242f", "#f85149"),
    "caught": ("#bc6c00", "#e3a12b"),
    "running": ("#2f6fde", "#5b9cff"),
    "aborted": ("#57606a", "#9aa4af"),
}


def _surface(page: str, card: str, border: str, text: str, muted: str, line: str, caught: str, lane: str) -> str:
    return (
        f".asl-page{{fill:{page}}}"
        f".asl-heading,.asl-name{{fill:{text}}}"
        f".asl-detail,.asl-badge-text{{fill:{muted}}}"
        f".asl-card,.asl-sheet{{fill:{card}}}"
        f".asl-paper{{fill:{page}}}"
        f".asl-outline,.asl-sheet{{stroke:{border}}}"
        f".asl-lane{{fill:{lane};stroke:{border}}}"
        f".asl-badge{{fill:{lane};stroke:{border}}}"
        f".asl-marker rect{{fill:{page};stroke:{line}}}"
        f".asl-start-marker rect,.asl-dot{{fill:{line}}}"
        f".asl-start-marker text{{fill:{page}}}.asl-end-marker text{{fill:{line}}}"
        f".asl-line{{stroke:{line}}}.asl-arrow{{fill:{line}}}"
        f".asl-catch-edge .asl-line{{stroke:{caught}}}.asl-catch-edge .asl-arrow{{fill:{caught}}}"
        f".asl-label rect{{fill:{page}}}.asl-state .asl-label rect{{fill:{lane}}}.asl-label text{{fill:{text}}}"
        f".asl-default-label text{{fill:{muted}}}.asl-catch-label text{{fill:{caught}}}"
    )


def _statuses(shade: int) -> str:
    return "".join(
        f".asl-{status}>.asl-outline{{stroke:{shades[shade]}}}.asl-{status}>.asl-status circle{{fill:{shades[shade]}}}"
        for status, shades in _STATUSES.items()
    )


_LIGHT: Final = _surface(
    page="#ffffff", card="#ffffff", border="#c5cdd8", text="#1c2530", muted="#56616f", line="#6b7785", caught="#c2374a",
    lane="#f6f8fa",
)  # fmt: skip
_DARK: Final = _surface(
    page="#0f1419", card="#1b222b", border="#3d4856", text="#e8edf3", muted="#a3aebb", line="#8a96a4", caught="#ff7b86",
    lane="#151b22",
)  # fmt: skip

STYLE: Final = (
    '.asl-graph text{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif}'
    f".asl-heading{{font-size:{HEADING_SIZE:g}px;font-weight:600}}"
    f".asl-name{{font-size:{NAME_SIZE:g}px;font-weight:600}}"
    f".asl-detail{{font-size:{DETAIL_SIZE:g}px}}"
    f".asl-label-text{{font-size:{LABEL_SIZE:g}px}}"
    f".asl-badge-text{{font-size:{BADGE_SIZE:g}px}}"
    ".asl-marker-text{font-size:12px;font-weight:600}"
    ".asl-outline{fill:none;stroke-width:1.2}.asl-sheet{stroke-width:1.2}"
    ".asl-lane{stroke-width:1;stroke-dasharray:4 4}"
    ".asl-container{fill-opacity:.05}"
    ".asl-marker rect{stroke-width:1.5}"
    ".asl-line{fill:none;stroke-width:1.5}"
    ".asl-catch-edge .asl-line{stroke-dasharray:6 4}"
    ".asl-label rect{fill-opacity:.92}"
    ".asl-default-label text{font-style:italic}"
    ".asl-icon{fill:none;stroke:#fff;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}"
    ".asl-status path{fill:none;stroke:#fff;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}"
    ".asl-untouched>.asl-card,.asl-untouched>.asl-band,.asl-untouched>.asl-icon,.asl-untouched>text{opacity:.45}"
    + "".join(
        f".asl-{kind.lower()}>.asl-band,.asl-{kind.lower()}>.asl-container{{fill:{colour}}}"
        for kind, colour in COLOURS.items()
    )
    + "".join(f".asl-{status}>.asl-outline{{stroke-width:2.6}}" for status in _STATUSES)
    + _LIGHT
    + _statuses(0)
    + "@media (prefers-color-scheme:dark){"
    + _DARK
    + _statuses(1)
    + "}"
)
