"""Methods that exist elsewhere and not here, each with what to do instead."""

from __future__ import annotations

_NO_KEYS = (
    "the chain keeps no keys: sign on your side and send the result with eth_sendRawTransaction "
    "(in web3.py by Account.sign_transaction, in ethers by a Wallet, in Foundry and Brownie by a private key)"
)
_OWN_MINER = "blocks are mined by the chain itself, with a SHA-256 seal that no external miner knows"
_NO_CHEATS = "the chain has no methods that change time, state or history; blocks come from transactions alone"

_REASONS = {
    "eth_sendTransaction": _NO_KEYS,
    "eth_sign": _NO_KEYS,
    "eth_signTransaction": _NO_KEYS,
    "eth_signTypedData": _NO_KEYS,
    "eth_signTypedData_v4": _NO_KEYS,
    "eth_getProof": "there are no proofs of state; read it with eth_getBalance, eth_getCode or eth_getStorageAt",
    "eth_createAccessList": "there are no access lists to make; send the transaction without one",
    "eth_subscribe": "there are no subscriptions, since there is no WebSocket; poll with eth_newFilter",
    "eth_unsubscribe": "there are no subscriptions, since there is no WebSocket; poll with eth_newFilter",
    "eth_getWork": _OWN_MINER,
    "eth_submitWork": _OWN_MINER,
    "eth_submitHashrate": _OWN_MINER,
    "eth_sendBundle": "there are no bundles; send each transaction with eth_sendRawTransaction",
    "eth_simulateV1": "there is no simulation of blocks; try single calls with eth_call",
}
_FAMILIES = {
    "personal_": _NO_KEYS,
    "evm_": _NO_CHEATS,
    "anvil_": _NO_CHEATS,
    "hardhat_": _NO_CHEATS,
    "miner_": _NO_CHEATS,
    "debug_": "there are no traces; eth_call and eth_estimateGas return what a failed transaction reverts with",
    "trace_": "there are no traces; eth_call and eth_estimateGas return what a failed transaction reverts with",
    "txpool_": "the mempool can't be listed; eth_getTransactionByHash finds a waiting transaction",
    "admin_": "the chain has no peers and is controlled by its command line alone",
    "engine_": "the chain is sealed by proof of work; there is no consensus client",
}


def why_unsupported(method: str) -> str | None:
    """Why, and what to do instead; None if the method is not known anywhere."""
    family = method.partition("_")[0] + "_"
    return _REASONS.get(method) or _FAMILIES.get(family)
