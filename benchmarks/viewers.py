"""Viewers of the live pages, as their browsers speak: a page, then its websocket, kept open.

A process of its own, so that what they hear does not slow the clients that are measured. A line
on standard output says that all are connected; how much they heard is said at the end of input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
import uuid

import httpx
import socketio

PAGES = ("", "tasks", "analytics", "preparation", "settings")
CLIENT = re.compile(r"'client_id': '([0-9a-f-]+)'")
# An element, and a listener of its own: NiceGUI camel-cases the names of events.
SEEN = re.compile(
    r'"(\d+)":\{"tag"(?:(?!"tag").)*"listener_id":"([0-9a-f-]+)","type":"retraceSeen"'
)


class Viewer:
    """One tab."""

    def __init__(self, base: str, path: str) -> None:
        self.base, self.path = base, path
        self.socket = socketio.AsyncClient(reconnection=False)
        self.heard = 0
        self.opened = 0.0
        self.socket.on("*", self._hear)

    def _hear(self, *_: object) -> None:
        self.heard += 1

    async def open(self, http: httpx.AsyncClient) -> None:
        """Load the page and connect; ``opened`` is how many seconds its document took."""
        began = time.monotonic()
        page = (await http.get(f"{self.base}/dashboard/{self.path}")).raise_for_status().text
        self.opened = time.monotonic() - began
        self.client = _one(CLIENT, page)[1]
        self.element, self.listener = _one(SEEN, page).groups()
        told = f"client_id={self.client}&next_message_id=0&implicit_handshake=true"
        ids = f"tab_id={uuid.uuid4()}&document_id={uuid.uuid4()}"
        url = f"{self.base}?{told}&{ids}"
        path = "/dashboard/_nicegui_ws/socket.io"
        await self.socket.connect(url, socketio_path=path, transports=["websocket"])

    async def hide(self) -> None:
        """Say that the tab is not seen any more."""
        event = {
            "id": int(self.element), "client_id": self.client, "listener_id": self.listener,
            "args": [json.dumps({"visible": False})],
        }  # fmt: skip
        await self.socket.emit("event", event)


def _one(pattern: re.Pattern[str], page: str) -> re.Match[str]:
    found = pattern.search(page)
    if found is None:
        raise SystemExit(f"this page has no {pattern.pattern}")
    return found


async def view(base: str, count: int, *, hidden: bool) -> None:
    """Keep so many pages open until standard input ends."""
    viewers = [Viewer(base, path) for path, _ in zip(itertools.cycle(PAGES), range(count))]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        for each in viewers:  # one after the other: people do not all come at once
            await each.open(http)
    if hidden:
        for each in viewers:
            await each.hide()
    slowest = max((each.opened for each in viewers), default=0.0)
    print(json.dumps({"connected": count, "slowest_page_seconds": round(slowest, 3)}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"heard": sum(each.heard for each in viewers)}), flush=True)
    for each in viewers:
        await each.socket.disconnect()


if __name__ == "__main__":
    asyncio.run(view(sys.argv[1], int(sys.argv[2]), hidden=sys.argv[3] == "hidden"))
