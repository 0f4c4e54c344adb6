#!/bin/sh
# The owner's part, once or again: deploys the ledger, then admits the edge nodes $EDGE_NODES and gives them ether.
#
# OWNER_DIR   folder of the owner's key          CONSORTIUM  folder that all share: record, requests, admissions
# NETWORK     name or URL of the network         NETWORKS    networks file
# CONFIG      configuration of the ledger        DEV_CHAIN   1: the owner takes its ether from the development chain
set -eu
scripts=$(dirname "$0")
. "$scripts/wait.sh"

on_network() {
    bflmec "$@" --network "$NETWORK" --networks "$NETWORKS"
}

as_owner() {
    on_network "$@" --key "$OWNER_DIR/owner.json" --password-file "$OWNER_DIR/password"
}

# field NAME FILE: a value that `bflmec edge show` printed.
field() {
    sed -n "s/^$1  *\([^ ]*\)\$/\1/p" "$2"
}

record=$CONSORTIUM/deployment.json
mkdir -p "$CONSORTIUM/requests" "$CONSORTIUM/admitted"
"$scripts/owner.sh"
wait_until "the network $NETWORK" bflmec networks check "$NETWORK" --networks "$NETWORKS"

if [ ! -e "$record" ]; then
    if [ "${DEV_CHAIN:-0}" = 1 ]; then
        on_network chain fund "$(cat "$CONSORTIUM/owner")" --ether 100
    fi
    wait_until "ether on $(cat "$CONSORTIUM/owner")" as_owner deploy "$CONFIG" --out "$record" --dry-run
fi
as_owner deploy "$CONFIG" --out "$record"

for name in $EDGE_NODES; do
    request=$CONSORTIUM/requests/$name
    [ ! -e "$CONSORTIUM/admitted/$name" ] || continue
    wait_until "the request of $name" test -s "$request"
    account=$(field account "$request")
    answer=$(
        as_owner participants admit "$account" "$(field endpoint "$request")" \
            --signature-key "$(field 'signature key digest' "$request")" \
            --encapsulation-key "$(field 'encapsulation digest' "$request")" --deployment "$record"
    )
    as_owner chain fund "$account" --ether "${ETHER:-1}"
    echo "$answer" | publish "$CONSORTIUM/admitted/$name"
    echo "$name: $answer"
done
echo "the ledger is ready"
