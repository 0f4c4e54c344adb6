# Waiting, for the other scripts. PATIENCE is in seconds.
: "${PATIENCE:=600}"

# wait_until WHAT COMMAND…: until the command succeeds.
wait_until() {
    what=$1
    shift
    waited=0
    until "$@" >/dev/null 2>&1; do
        if [ "$waited" -ge "$PATIENCE" ]; then
            echo "waited $PATIENCE s in vain for $what; the last try says:" >&2
            "$@" >&2 || true
            return 1
        fi
        [ "$waited" -gt 0 ] || echo "waiting for $what"
        sleep 1
        waited=$((waited + 1))
    done
}

# publish FILE: what comes in becomes the file, whole or not at all.
publish() {
    cat >"$1.new"
    mv "$1.new" "$1"
}
