#!/bin/sh
# One node of a private proof-of-work network, for geth 1.11.6: the last version that mines.
#
# NAME        its host name                      GETH_DIR    folder of its chain
# GENESIS     genesis file                       CONSORTIUM  folder that all share: $CONSORTIUM/owner gets what it mines
# PEER        a node to connect to, or nothing   PORT        of JSON-RPC; default 8545
set -eu
. "$(dirname "$0")/wait.sh"

chain_id=$(sed -n 's/.*"chainId": *\([0-9][0-9]*\).*/\1/p' "$GENESIS")
[ -d "$GETH_DIR/geth/chaindata" ] || geth --datadir "$GETH_DIR" init "$GENESIS"
wait_until "the owner's account" test -s "$CONSORTIUM/owner"

# Runs beside geth: tells the others where this node is, and connects to the one that was named.
meet() {
    mkdir -p "$CONSORTIUM/nodes"
    wait_until "geth to answer" geth attach --exec admin.nodeInfo.enode "$GETH_DIR/geth.ipc"
    geth attach --exec admin.nodeInfo.enode "$GETH_DIR/geth.ipc" | tr -d '"' | sed "s/@[^:]*:/@$NAME:/" |
        publish "$CONSORTIUM/nodes/$NAME"
    [ -n "${PEER:-}" ] || return 0
    wait_until "the node $PEER" test -s "$CONSORTIUM/nodes/$PEER"
    geth attach --exec "admin.addPeer(\"$(cat "$CONSORTIUM/nodes/$PEER")\")" "$GETH_DIR/geth.ipc"
}
meet &

exec geth --datadir "$GETH_DIR" --networkid "$chain_id" --syncmode full --gcmode archive --txlookuplimit 0 \
    --nodiscover --ipcpath "$GETH_DIR/geth.ipc" \
    --http --http.addr 0.0.0.0 --http.port "${PORT:-8545}" --http.vhosts '*' --http.api eth,net,web3 \
    --mine --miner.threads 1 --miner.etherbase "$(cat "$CONSORTIUM/owner")" --miner.gaslimit 30000000 \
    --ethash.dagdir "$GETH_DIR/ethash"
