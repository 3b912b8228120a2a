"""PURE: chances over topics and difficulties as a heat map, a page of topics at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.pages import charts, phrases
from gateway.pages.frame import Viewer
from gateway.ranking import Suggestion
from schemas.replies import ForecastCell

TOPICS = 12  # of one page
ROW_PX, COLUMN_PX, AROUND_PX, NAMES_PX = 46, 62, 116, 96
# From wrong to right, over even chances: colours that colour-blind eyes tell apart.
STOPS = {False: ("#b34d00", "#f4f1ec", "#0072b2"), True: ("#e69f00", "#2b3238", "#56b4e9")}
INKS = ("#000000", "#ffffff")


@dataclass(frozen=True)
class Page:
    """Some topics with all difficulties, these from the easiest to the hardest."""

    topics: tuple[str, ...]
    difficulties: tuple[str, ...]
    cells: tuple[ForecastCell, ...]
    number: int
    pages: int

    @property
    def height(self) -> int:
        return AROUND_PX + ROW_PX * len(self.topics)

    @property
    def width(self) -> int:
        """The least that its words need."""
        return NAMES_PX + COLUMN_PX * len(self.difficulties)


def page(cells: Sequence[ForecastCell], number: int) -> Page:
    """The page of this number from 0, or the last."""
    topics = sorted({cell.topic for cell in cells})
    pages = max(1, -(-len(topics) // TOPICS))
    number = max(0, min(number, pages - 1))
    shown = tuple(topics[number * TOPICS : (number + 1) * TOPICS])
    chances: dict[str, list[float]] = {}
    for cell in cells:
        chances.setdefault(cell.difficulty, []).append(cell.p_correct)
    easiest = sorted(chances, key=lambda name: (-sum(chances[name]) / len(chances[name]), name))
    return Page(shown, tuple(easiest), tuple(c for c in cells if c.topic in shown), number, pages)


def options(who: Viewer, shown: Page, suggested: Sequence[Suggestion]) -> dict[str, Any]:
    """ECharts' options; suggested cells have a border and their place."""
    places = {(each.topic, each.difficulty): at for at, each in enumerate(suggested, 1)}
    names = {"width": NAMES_PX - 12, "overflow": "truncate"}
    columns = charts.axis(who, "category", "difficulty", data=shown.difficulties, position="top")
    rows = charts.axis(who, "category", "topic", data=shown.topics, inverse=True)
    columns |= {"nameLocation": "middle", "nameGap": 30}
    columns["axisLabel"] |= {"interval": 0, "width": COLUMN_PX - 8, "overflow": "truncate"}
    rows["axisLabel"] |= {"interval": 0, **names}
    rows["nameLocation"] = "start"
    data = [
        _cell(who, shown, cell, places.get((cell.topic, cell.difficulty))) for cell in shown.cells
    ]
    data.sort(key=lambda item: int(item["itemStyle"]["borderWidth"]))  # borders over neighbours
    return {
        "xAxis": columns,
        "yAxis": rows,
        "grid": {"left": NAMES_PX, "right": 12, "top": 56, "bottom": 56},
        "series": [{"type": "heatmap", "data": data, "label": {"show": True}}],
        "tooltip": {"show": False},
        "visualMap": {
            "min": 0,
            "max": 1,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "text": ["1.00 right", "0.00"],
            "textStyle": {"color": charts.SOFT[who.dark]},
            "inRange": {"color": list(STOPS[who.dark])},
            "itemHeight": 90,
            "hoverLink": False,
        },
    }


def _cell(who: Viewer, shown: Page, cell: ForecastCell, place: int | None) -> dict[str, Any]:
    at = [shown.difficulties.index(cell.difficulty), shown.topics.index(cell.topic)]
    chance = f"{cell.p_correct:.2f}" if place is None else f"#{place}  {cell.p_correct:.2f}"
    border = charts.GROUND if place is None else charts.TEXT
    return {
        "value": [*at, round(cell.p_correct, 2)],
        "itemStyle": {"borderColor": border[who.dark], "borderWidth": 1 if place is None else 3},
        "label": {
            "formatter": f"{chance}\n{phrases.seconds(cell.expected_seconds)}",
            "lineHeight": 17,
            "color": ink(shade(cell.p_correct, who.dark)),
            "fontWeight": "normal" if place is None else "bold",
        },
    }


Colour = tuple[int, int, int]


def shade(chance: float, dark: bool) -> Colour:
    """The colour that the visual map gives a chance."""
    low, middle, high = (_parsed(stop) for stop in STOPS[dark])
    begin, end, part = (low, middle, chance * 2) if chance < 0.5 else (middle, high, chance * 2 - 1)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(begin, end, strict=True))
    return red, green, blue


def ink(ground: Colour) -> str:
    """The text colour of the larger contrast."""
    return max(INKS, key=lambda each: contrast(_parsed(each), ground))


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    bright, faint = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (faint + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parsed(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
