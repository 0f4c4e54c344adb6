#!/bin/sh
# The key of the account that deploys the ledger, when there is none yet; its address becomes $CONSORTIUM/owner.
set -eu
. "$(dirname "$0")/wait.sh"

if [ ! -e "$OWNER_DIR/owner.json" ]; then
    (umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$OWNER_DIR/password")
    bflmec keys new "$OWNER_DIR/owner.json" --scheme account --password-file "$OWNER_DIR/password"
fi
shown=$(bflmec keys show "$OWNER_DIR/owner.json")
echo "$shown" | sed -n 's/^address  *\(0x[0-9a-fA-F]*\)$/\1/p' | publish "$CONSORTIUM/owner"
