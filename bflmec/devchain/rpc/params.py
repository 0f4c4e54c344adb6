"""Parameters, parsed strictly. Everything here raises RpcError with INVALID_PARAMS for what it does not understand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from reprlib import Repr

from bflmec.devchain.calls import CallRequest
from bflmec.devchain.chain import DevChain
from bflmec.devchain.consensus import GAS_LIMIT
from bflmec.devchain.logs import LogFilter
from bflmec.devchain.rpc.codes import INVALID_PARAMS
from bflmec.devchain.rpc.format import Json
from bflmec.errors import ChainError, RpcError

MAX_ALTERNATIVES = 1000

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_NEWEST = ("latest", "pending", "safe", "finalized")  # nothing is ever reverted here

_short = Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxstring, _short.maxlong = 2, 3, 3, 60, 60


def parse_quantity(value: object, name: str) -> int:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise RpcError(INVALID_PARAMS, f"{name} must be a quantity such as 0x1f, not {shown(value)}")
    return int(value, 16)


def parse_data(value: object, name: str, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise RpcError(INVALID_PARAMS, f"{name} must be hexadecimal data such as 0x00ff, not {shown(value)}")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise RpcError(INVALID_PARAMS, f"{name} must have {size} bytes, not {len(data)}")
    return data


def parse_call(value: object) -> CallRequest:
    """The transaction object of eth_call and eth_estimateGas; fields that do not matter to them are passed over."""
    if not isinstance(value, Mapping):
        raise RpcError(INVALID_PARAMS, f"a call must be an object, not {shown(value)}")
    given = {name: field for name, field in value.items() if field is not None}
    data, payload = given.get("data", given.get("input", "0x")), given.get("input", given.get("data", "0x"))
    if data != payload:
        raise RpcError(INVALID_PARAMS, "data and input of a call differ; give one of them")
    return CallRequest(
        sender=parse_data(given.get("from", "0x" + "00" * 20), "from", 20),
        to=parse_data(given["to"], "to", 20) if given.get("to", "0x") != "0x" else b"",
        gas=min(parse_quantity(given.get("gas", hex(GAS_LIMIT)), "gas"), GAS_LIMIT),
        gas_price=parse_quantity(given.get("gasPrice", "0x0"), "gasPrice"),
        value=parse_quantity(given.get("value", "0x0"), "value"),
        data=parse_data(data, "data"),
    )


def shown(value: object) -> str:
    """A value of any size and depth, in a few words."""
    return _short.repr(value)


def parse_address(value: object) -> bytes:
    return parse_data(value, "address", 20)


def parse_index(value: object) -> int:
    return parse_quantity(value, "index")


def parse_slot(value: object) -> int:
    """A storage slot comes as a quantity or as 32 bytes."""
    if isinstance(value, str) and len(value) == 66:
        return int.from_bytes(parse_data(value, "slot", 32), "big")
    return parse_quantity(value, "slot")


def parse_filter(request: Mapping[str, Json]) -> LogFilter:
    """What a log filter wants, without the range of blocks."""
    return LogFilter(
        frozenset(_one_or_more(request.get("address"), "address", 20)),
        tuple(frozenset(_one_or_more(topic, "topic", 32)) for topic in _topics(request.get("topics"))),
    )


def parse_object(value: object, name: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise RpcError(INVALID_PARAMS, f"{name} must be an object, not {shown(value)}")
    return value


def existing_block(chain: DevChain, tag: Json) -> int | None:
    """The number of the block that a tag or number names, None if there is none."""
    newest = chain.head.number
    if tag in _NEWEST:
        return newest
    if tag == "earliest":
        return 0
    number = parse_quantity(tag, "block")
    return number if number <= newest else None


def state_block(chain: DevChain, tag: Json) -> int:
    """The block whose state is meant: a tag, a number or an object of EIP-1898. Raises ChainError if there is none."""
    if isinstance(tag, Mapping):
        if "blockHash" in tag:
            return block_of_hash(chain, tag["blockHash"])
        tag = tag.get("blockNumber")
    number = existing_block(chain, tag)
    if number is None:
        raise ChainError(f"there is no block {tag}; the newest is {chain.head.number}")
    return number


def block_of_hash(chain: DevChain, block_hash: Json) -> int:
    block = chain.block_by_hash(parse_data(block_hash, "block hash", 32))
    if block is None:
        raise ChainError("there is no block of that hash")
    return block.number


def range_end(chain: DevChain, tag: Json) -> int:
    """An end of a range of blocks, which may lie beyond the newest."""
    if isinstance(tag, str) and tag.startswith("0x"):
        return parse_quantity(tag, "block")
    return state_block(chain, "latest" if tag is None else tag)


def _topics(value: Json) -> Sequence[Json]:
    topics = [] if value is None else value
    if not isinstance(topics, list | tuple) or len(topics) > 4:
        raise RpcError(INVALID_PARAMS, "topics are a list of at most 4")
    return topics


def _one_or_more(value: Json, name: str, size: int) -> list[bytes]:
    if value is None:
        return []
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) > MAX_ALTERNATIVES:
        raise RpcError(INVALID_PARAMS, f"at most {MAX_ALTERNATIVES} alternatives for {name}")
    return [parse_data(one, name, size) for one in values]
