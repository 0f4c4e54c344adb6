"""A Brownie script that uses a live network as an application does; prints what it saw as one line of JSON."""

import json
import os

from brownie import Contract, accounts, chain, history, web3
from web3.exceptions import ContractLogicError


def main() -> None:
    probe = json.loads(os.environ["PROBE"])
    account = accounts.add(os.environ["KEY"])
    deployment = account.transfer(data=probe["bytecode"], silent=True)
    contract = Contract.from_abi("Probe", deployment.contract_address, probe["abi"])
    stored = contract.store(7, b"note", {"from": account})
    try:
        contract.complain.call({"from": account})
        reason = None
    except ContractLogicError as error:
        reason = str(error)
    refused = contract.refuse.transact(
        5, {"from": account, "gas_limit": 100_000, "allow_revert": True, "required_confs": 0}
    )
    refused.wait(1)
    paid = account.transfer("0x" + "11" * 20, "1 ether", silent=True)
    logs = web3.eth.get_logs({"fromBlock": 0, "address": contract.address})
    print(
        json.dumps(
            {
                "chainId": chain.id,
                "value": contract.value(),
                "event": stored.events["Stored"]["value"],
                "reason": reason,
                "status": int(refused.status),
                "paid": int(paid.status),
                "balance": str(web3.eth.get_balance("0x" + "11" * 20)),
                "logs": len(logs),
                "sent": len(history),
            }
        )
    )
