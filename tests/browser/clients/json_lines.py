"""Reads a channel as JSON over WebSocket with the package `websockets`, as its documentation shows: a message a line."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def read(url, channel):
    since = "earliest"
    # Connects again whenever the connection ends.
    async for websocket in connect(url, subprotocols=["tiercast.v1.json"]):
        try:
            await websocket.send(json.dumps({"type": "subscribe", "id": 1, "channel": channel, "since": since}))
            async for text in websocket:
                message = json.loads(text)
                print(text, flush=True)
                since = message["to"] if message["type"] == "gap" else message.get("position", since)
        except ConnectionClosed as error:
            print(error, file=sys.stderr)


asyncio.run(read(*sys.argv[1:]))
