"""Reads a channel by server-sent events: an event a line. Ends where the server says that to ask again makes no sense."""

import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def from_the_earliest_on(address):
    """The address with `since=earliest`, unless it says itself where to begin."""
    parts = urllib.parse.urlsplit(address)
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    if "since" not in dict(query):
        query.append(("since", "earliest"))
    return parts._replace(query=urllib.parse.urlencode(query)).geturl()


url = from_the_earliest_on(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8780/v1/sse/events")
position = None


def read():
    """Reads until the connection ends."""
    global position
    # Counts before `since`.
    headers = {} if position is None else {"Last-Event-ID": position}
    request = urllib.request.Request(url, headers=headers)
    fields = {}
    with urllib.request.urlopen(request, timeout=60) as lines:
        for line in lines:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            # An empty line ends a block.
            if "event" not in fields and "data" in fields:
                print(fields["data"], flush=True)
            if fields.get("event") == "gap":
                print("events are gone for good:", fields["data"], file=sys.stderr)
            position = fields.get("id", position)
            fields = {}


def may_change(status):
    """Whether the same request may be answered otherwise later."""
    return status >= 500 or status in (408, 429)


while True:
    try:
        read()
    except urllib.error.HTTPError as error:
        said = f"HTTP {error.code}: {error.read().decode()}"
        if not may_change(error.code):
            sys.exit(said)
        print(said, file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    time.sleep(0.5 + random.random())
