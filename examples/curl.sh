#!/usr/bin/env bash
# Reads a channel by long poll: an answer a line.
set -euo pipefail
server=${1:-http://127.0.0.1:8780} channel=${2:-events}

next=earliest
while :; do
    # Asked again with the same position, the server gives the same events.
    page=$(curl -fsS --retry 1000 --retry-delay 1 --retry-all-errors "$server/v1/poll/$channel?since=$next&wait=30" 2>/dev/null)
    printf '%s\n' "$page"
    # The position behind this page stands at its beginning.
    next=$(sed -E 's/^\{"channel":"[^"]*","next":"([^"]*)".*/\1/' <<<"$page")
done
