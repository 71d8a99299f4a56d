#!/usr/bin/env bash
# Reads a channel by long poll: an answer a line. Ends where the server says that to ask again makes no sense.
set -euo pipefail
server=${1:-http://127.0.0.1:8780} channel=${2:-events}

next=earliest
while :; do
    # Asked again with the same position, the server gives the same events. The last line is the HTTP status.
    if ! answer=$(curl -sS -G -d "since=$next" -d wait=30 -w '\n%{http_code}' "$server/v1/poll/$channel"); then
        sleep 1
        continue
    fi
    page=${answer%$'\n'*} status=${answer##*$'\n'}
    if [[ $status == 200 ]]; then
        printf '%s\n' "$page"
        # The position behind this page stands at its beginning.
        next=$(sed -E 's/^\{"channel":"[^"]*","next":"([^"]*)".*/\1/' <<<"$page")
        continue
    fi
    printf 'HTTP %s: %s\n' "$status" "$page" >&2
    case $status in
    408 | 429 | 5*) sleep 1 ;;
    *) exit 1 ;;
    esac
done
