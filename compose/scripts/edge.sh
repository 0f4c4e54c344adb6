#!/bin/sh
# One edge node: makes its keys when there are none, asks to be admitted, and serves.
#
# NAME        what the others call it            EDGE_DIR    folder of its keys and its store
# ENDPOINT    where others reach it              HOST, PORT  where it listens
# CONSORTIUM  folder that all share              CONFIG      configuration of the ledger
# NETWORK     name or URL of the network         NETWORKS    networks file
# IPFS        an IPFS daemon, or nothing
set -eu
. "$(dirname "$0")/wait.sh"

if [ ! -e "$EDGE_DIR/edge.toml" ]; then
    bflmec edge init "$EDGE_DIR" --endpoint "$ENDPOINT" --host "$HOST" --port "$PORT"
    [ -z "${IPFS:-}" ] || printf 'ipfs = "%s"\n' "$IPFS" >>"$EDGE_DIR/edge.toml"
fi
mkdir -p "$CONSORTIUM/requests"
request=$(bflmec edge show "$EDGE_DIR" --endpoint "$ENDPOINT")
echo "$request" | publish "$CONSORTIUM/requests/$NAME"
wait_until "the owner to admit $NAME" test -s "$CONSORTIUM/admitted/$NAME"
exec bflmec edge start "$EDGE_DIR" --deployment "$CONSORTIUM/deployment.json" --config "$CONFIG" \
    --network "$NETWORK" --networks "$NETWORKS"
