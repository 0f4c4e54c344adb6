"""The commands that a devnet runs: the same that somebody would type, and nothing of its own."""

from __future__ import annotations

import shutil
import sys

from bflmec.devnet.plan import CHAIN, CHAIN_ID, HOST, NETWORK, DevnetDirectory, Plan
from bflmec.devnet.supervisor import Program
from bflmec.errors import MissingExtraError

BFLMEC = (sys.executable, "-m", "bflmec")


def chain_program(directory: DevnetDirectory, plan: Plan) -> Program:
    """Raises MissingExtraError if the plan says anvil and there is none."""
    port = str(plan.chain_port)
    if plan.chain == "embedded":
        file = str(directory.member("chain.sqlite"))
        command = (*BFLMEC, "chain", "serve", "--file", file, "--host", HOST, "--port", port)
        return Program(CHAIN, command, r"listening on http")
    anvil = shutil.which("anvil")
    if anvil is None:
        raise MissingExtraError("anvil is not in your PATH; install Foundry, or leave out --chain")
    options = ("--host", HOST, "--port", port, "--chain-id", str(CHAIN_ID))
    state = ("--state", str(directory.member("chain.json")), "--state-interval", "1")
    return Program(CHAIN, (anvil, *options, *state), r"Listening on")


def edge_program(directory: DevnetDirectory, name: str) -> Program:
    command = (*BFLMEC, "edge", "start", str(directory.member(name)), "--network", NETWORK)
    files = ("--networks", directory.networks, "--deployment", directory.deployment, "--config", directory.config)
    return Program(name, (*command, *map(str, files)), r"listening on http")


def client_program(directory: DevnetDirectory, plan: Plan, number: int) -> Program:
    """Client `number`, from 1, with that share of the data set."""
    name = plan.client_names[number - 1]
    share = ("--share", f"{number}/{plan.clients}", "--rate", str(plan.rate))
    return Program(name, (*BFLMEC, "client", "train", str(directory.member(name)), *share, "--json"))


def programs(directory: DevnetDirectory, plan: Plan) -> list[Program]:
    """In the order in which they start."""
    edge_nodes = [edge_program(directory, name) for name in plan.edge_nodes]
    clients = [client_program(directory, plan, number) for number in range(1, plan.clients + 1)]
    return [chain_program(directory, plan), *edge_nodes, *clients]
