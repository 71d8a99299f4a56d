"""Reads a channel by server-sent events with the package `httpx-sse`, which leaves it to its user to come back: an event a line."""

import sys
import time

import httpx
from httpx_sse import connect_sse

url = sys.argv[1]
position = ""
retry_s = 1.0


def read(client):
    """Reads until the connection ends."""
    global position, retry_s
    headers = {"last-event-id": position} if position else {}
    with connect_sse(client, "GET", url, headers=headers) as source:
        for sse in source.iter_sse():
            position = sse.id
            if sse.retry is not None:
                retry_s = sse.retry / 1000
            print(sse.data if sse.event == "message" else f"{sse.event}: {sse.data}", flush=True)


with httpx.Client(timeout=60) as client:
    while True:
        try:
            read(client)
        except httpx.TransportError as error:
            print(error, file=sys.stderr)
        time.sleep(retry_s)
