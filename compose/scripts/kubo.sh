#!/bin/sh
# Run by the Kubo image before its daemon: a network of one's own, whose blobs nobody else is told of.
set -eu
ipfs bootstrap rm --all
ipfs config --json Swarm.DisableNatPortMap true
ipfs config --json Discovery.MDNS.Enabled false
