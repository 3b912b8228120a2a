"""The charts' data as CSV, with the filters of the page."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from gateway.filters import Filters
from gateway.problems import documented
from gateway.sheets import SHEETS, lines
from gateway.views import Views

Chart = Literal["reliability", "times", "scores", "sources", "arms", "learning"]


def add(app: FastAPI, views: Views) -> None:
    """``GET /dashboard/analytics/<chart>.csv``."""

    @app.get(
        "/dashboard/analytics/{chart}.csv",
        tags=["analytics"],
        summary="A chart's data",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {}}}, **documented(401, 422, 503)},
    )
    async def export(chart: Chart, filters: Annotated[Filters, Query()]) -> StreamingResponse:
        """What a chart of the analytics shows as CSV: of all tasks where sums of them are kept,
        else of the newest 5 000."""
        view = await views.get(filters)
        return StreamingResponse(
            lines(SHEETS[chart](view)),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="retrace-{chart}.csv"',
                "Cache-Control": "no-store",
            },
        )
