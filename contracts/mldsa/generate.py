"""Write the unrolled parts of the ML-DSA verifier beside this file: KeccakF1600x4.sol, NumberTheoreticTransform.sol.

python contracts/mldsa/generate.py            # write
python contracts/mldsa/generate.py --check    # exit with 1 when a written file is not current
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
Q = 8380417
ZETA = 1753

HEADER = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Written by contracts/mldsa/generate.py; change that instead.

"""


def main(arguments: list[str]) -> int:
    stale = [name for name, text in generated().items() if not _holds(HERE / name, text)]
    if "--check" in arguments:
        for name in stale:
            print(f"{name} is not current: python contracts/mldsa/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (HERE / name).write_text(generated()[name], "utf-8")
    return 0


def generated() -> dict[str, str]:
    """File name -> text of every generated file."""
    return {"KeccakF1600x4.sol": keccak(), "NumberTheoreticTransform.sol": transform()}


def repeat(value: int, lanes: int, bits: int) -> str:
    """`value` in each of `lanes` lanes of `bits` bits, as a literal."""
    return hex(sum(value << bits * lane for lane in range(lanes)))


# Keccak-f[1600], FIPS 202 section 3.2, on four states at once. Lane (x, y) is word x + 5y of the state.

ROTATIONS = (
    (0, 36, 3, 41, 18),
    (1, 44, 10, 45, 2),
    (62, 6, 43, 15, 61),
    (28, 55, 25, 21, 56),
    (27, 20, 39, 8, 14),
)
MASKED = sorted({bits for column in ROTATIONS for bits in column if bits})


def keccak() -> str:
    constants = "\n".join(
        f"            mstore(add(ROUND_CONSTANTS, {hex(32 * i)}), {repeat(value, 4, 64)})"
        for i, value in enumerate(round_constants())
    )
    masks = "\n".join(
        f"            mstore(add(ROTATION_MASKS, {hex(32 * i)}), {repeat((1 << bits) - 1, 4, 64)})"
        for i, bits in enumerate(MASKED)
    )
    functions = "\n\n".join(
        "\n".join(part)
        for part in (
            parities("evenParities", "STATE"),
            step("evenStep", "STATE", "OTHER_STATE"),
            parities("oddParities", "OTHER_STATE"),
            step("oddStep", "OTHER_STATE", "STATE"),
        )
    )
    return f"""{HEADER}import {{OTHER_STATE, ROTATION_MASKS, ROUND_CONSTANTS, STATE}} from "./Memory.sol";

/// @title Keccak-f[1600] (FIPS 202) on four states at once
/// @notice Word i of STATE holds lane i of all four, the first in the lowest 64 bits: one instruction works on four.
/// Rounds lead from STATE to OTHER_STATE and back.
library KeccakF1600x4 {{
    /// @notice Write the constants to memory; once, before `permute`.
    function prepare() internal pure {{
        assembly ("memory-safe") {{
{constants}
{masks}
        }}
    }}

    /// @notice Permute the four states in place.
    /// @dev The parts of a round are functions, and each is called twice, so that the compiler keeps them apart: across
    /// them it would hold the state on the stack, which is too small for it.
    function permute() internal pure {{
        assembly ("memory-safe") {{
{functions}

            for {{ let i := ROUND_CONSTANTS }} lt(i, add(ROUND_CONSTANTS, 0x300)) {{ i := add(i, 0x80) }} {{
                let d0, d1, d2, d3, d4 := evenParities()
                evenStep(d0, d1, d2, d3, d4, mload(i))
                d0, d1, d2, d3, d4 := oddParities()
                oddStep(d0, d1, d2, d3, d4, mload(add(i, 0x20)))
                d0, d1, d2, d3, d4 := evenParities()
                evenStep(d0, d1, d2, d3, d4, mload(add(i, 0x40)))
                d0, d1, d2, d3, d4 := oddParities()
                oddStep(d0, d1, d2, d3, d4, mload(add(i, 0x60)))
            }}
        }}
    }}
}}
"""


def lane(state: str, x: int, y: int) -> str:
    """The address of lane (x, y)."""
    index = x + 5 * y
    return f"add({state}, {hex(32 * index)})" if index else state


def parities(name: str, source: str) -> Iterator[str]:
    """A function for the first half of θ: what every lane of column x is to be mixed with."""
    yield f"            function {name}() -> d0, d1, d2, d3, d4 {{"
    for x in range(5):
        parity = f"mload({lane(source, x, 0)})"
        for y in range(1, 5):
            parity = f"xor({parity}, mload({lane(source, x, y)}))"
        yield f"                let c{x} := {parity}"
    for x in range(5):
        yield f"                d{x} := c{(x + 1) % 5}"
        yield f"                {rotation(f'd{x}', 1)}"
        yield f"                d{x} := xor(c{(x + 4) % 5}, d{x})"
    yield "            }"


def step(name: str, source: str, target: str) -> Iterator[str]:
    """A function for the rest of a round: the second half of θ, ρ, π, χ and ι, row by row of the result."""
    yield f"            function {name}(d0, d1, d2, d3, d4, constant_) {{"
    for row in range(5):
        yield "                {"
        for column in range(5):
            y, x = column, 3 * (row - 3 * column) % 5
            yield f"                    let b{column} := xor(mload({lane(source, x, y)}), d{x})"
            if ROTATIONS[x][y]:
                yield f"                    {rotation(f'b{column}', ROTATIONS[x][y])}"
        for x in range(5):
            value = f"xor(b{x}, and(not(b{(x + 1) % 5}), b{(x + 2) % 5}))"
            if (x, row) == (0, 0):
                value = f"xor({value}, constant_)"
            yield f"                    mstore({lane(target, x, row)}, {value})"
        yield "                }"
    yield "            }"


def rotation(name: str, bits: int) -> str:
    """A statement that rotates the four lanes of the word `name` left by 0 < bits < 64: r := s ^ ((s ^ t) & mask)."""
    mask = f"mload(add(ROTATION_MASKS, {hex(32 * MASKED.index(bits))}))"
    right = f"shr({64 - bits}, {name})"
    return f"{{ let s := shl({bits}, {name}) {name} := xor(s, and(xor(s, {right}), {mask})) }}"


def round_constants() -> list[int]:
    """ι of the 24 rounds: FIPS 202, algorithm 5."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << 2**j - 1
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


# The transforms of FIPS 204, algorithms 41 and 42, on packed polynomials, two layers in one pass over memory.

FACTOR = 2**46 // Q  # 2^46 / q is larger by less than 0.006
INVERSE_OF_256 = pow(256, -1, Q)


def transform() -> str:
    zetas = [pow(ZETA, int(f"{i:08b}"[::-1], 2), Q) for i in range(256)]
    words = [sum(zetas[8 * i + j] << 32 * (7 - j) for j in range(8)) for i in range(32)]
    table = "\n".join(f"            mstore(add(ZETAS, {hex(32 * i)}), {hex(word)})" for i, word in enumerate(words))
    return f"""{HEADER}import {{OFFSET_51, OFFSET_64, QUOTIENTS_51, QUOTIENTS_64, ZETAS}} from "./Memory.sol";

/// @title The number-theoretic transform of ML-DSA (FIPS 204, algorithms 41 and 42) on packed polynomials
/// @notice One multiplication by a power of ζ works on one coefficient of each polynomial. Coefficients stay below a
/// small multiple of q: docs/explanation/ml-dsa-on-chain.md shows that they stay within their lanes.
library NumberTheoreticTransform {{
    /// @notice Write the powers of ζ and other constants to memory; once, before anything else.
    function prepare() internal pure {{
        assembly ("memory-safe") {{
{table}
            mstore(QUOTIENTS_51, {repeat((1 << 28) - 1, 5, 51)})
            mstore(OFFSET_51, {repeat(3 * Q, 5, 51)})
            mstore(QUOTIENTS_64, {repeat((1 << 41) - 1, 4, 64)})
            mstore(OFFSET_64, {repeat(512 * Q, 4, 64)})
        }}
    }}

    /// @notice Transform in place five polynomials in lanes of 51 bits.
    /// @param polynomials Address of 256 words; coefficients below 1.02 q before, below 13.1 q after
    function forward(uint256 polynomials) internal pure {{
        assembly ("memory-safe") {{
            // Two layers a pass: `span` is the distance of the second one in bytes, `k` the place of its first ζ.
            let k := 1
            for {{ let span := 0x800 }} gt(span, 8) {{ span := shr(2, span) k := shl(2, k) }} {{
                let zeta := add(ZETAS, shl(2, k))
                let zetas := add(ZETAS, shl(3, k))
                let start := polynomials
                for {{ let end := add(polynomials, 0x2000) }} lt(start, end) {{}} {{
                    let z := shr(224, mload(zeta))
                    let z0 := shr(192, mload(zetas))
                    let z1 := and(z0, 0xffffffff)
                    z0 := shr(32, z0)
                    for {{ let limit := add(start, span) }} lt(start, limit) {{ start := add(start, 0x20) }} {{
{butterflies_forward()}
                    }}
                    zeta := add(zeta, 4)
                    zetas := add(zetas, 8)
                    start := add(start, mul(span, 3))
                }}
            }}
        }}
    }}

    /// @notice Transform back in place four polynomials in lanes of 64 bits.
    /// @param polynomials Address of 256 words; coefficients below q, before and after
    function inverse(uint256 polynomials) internal pure {{
        assembly ("memory-safe") {{
            // `k` is one behind the place of the last ζ of the first of two layers, whose span is `span`.
            let k := 256
            for {{ let span := 0x20 }} lt(span, 0x2000) {{ span := shl(2, span) k := shr(2, k) }} {{
                let zetas := add(ZETAS, shl(2, k))
                let zeta := add(ZETAS, shl(1, k))
                let start := polynomials
                for {{ let end := add(polynomials, 0x2000) }} lt(start, end) {{}} {{
                    zetas := sub(zetas, 8)
                    zeta := sub(zeta, 4)
                    let z1 := shr(192, mload(zetas))
                    let z0 := and(z1, 0xffffffff)
                    z1 := shr(32, z1)
                    let z := shr(224, mload(zeta))
                    for {{ let limit := add(start, span) }} lt(start, limit) {{ start := add(start, 0x20) }} {{
{butterflies_inverse()}
                    }}
                    start := add(start, mul(span, 3))
                }}
            }}
            for {{ let p := polynomials }} lt(p, add(polynomials, 0x2000)) {{ p := add(p, 0x20) }} {{
                let a := mul(mload(p), {INVERSE_OF_256})
                a := {reduced("a", 64)}
                a := {folded("a", 64)}
                let above := and(shr(24, add(a, {repeat((1 << 24) - Q, 4, 64)})), {repeat(1, 4, 64)})
                mstore(p, sub(a, mul(above, {Q})))
            }}
        }}
    }}
}}
"""


def butterflies_forward() -> str:
    fold = folded("a{}", 51)
    lines = [
        "let p := start",
        "let a0 := mload(p)",
        "let a1 := mload(add(p, span))",
        "p := add(p, shl(1, span))",
        "let a2 := mload(p)",
        "let a3 := mload(add(p, span))",
        # Once, in the third pass: the lanes have no room for eight layers.
        "if eq(span, 0x80) {",
        *(f"    a{i} := {fold.format(i, i)}" for i in (0, 1)),
        *(f"    a{i} := {fold.format(i, i)}" for i in (2, 3)),
        "}",
        *butterfly_forward("a0", "a2", "z"),
        *butterfly_forward("a1", "a3", "z"),
        *butterfly_forward("a2", "a3", "z1"),
        "mstore(p, a2)",
        "mstore(add(p, span), a3)",
        *butterfly_forward("a0", "a1", "z0"),
        "mstore(start, a0)",
        "mstore(add(start, span), a1)",
    ]
    return "\n".join(" " * 24 + line for line in lines)


def butterfly_forward(u: str, v: str, zeta: str) -> list[str]:
    return [
        f"{v} := mul({v}, {zeta})",
        f"{v} := {reduced(v, 51)}",
        f"{{ let t := add({u}, {v}) {v} := sub(add({u}, mload(OFFSET_51)), {v}) {u} := t }}",
    ]


def butterflies_inverse() -> str:
    lines = [
        "let p := start",
        "let a0 := mload(p)",
        "let a1 := mload(add(p, span))",
        *butterfly_inverse("a0", "a1", "z0"),
        "p := add(p, shl(1, span))",
        "let a2 := mload(p)",
        "let a3 := mload(add(p, span))",
        *butterfly_inverse("a2", "a3", "z1"),
        *butterfly_inverse("a0", "a2", "z"),
        *butterfly_inverse("a1", "a3", "z"),
        "mstore(start, a0)",
        "mstore(add(start, span), a1)",
        "mstore(p, a2)",
        "mstore(add(p, span), a3)",
    ]
    return "\n".join(" " * 24 + line for line in lines)


def butterfly_inverse(u: str, v: str, zeta: str) -> list[str]:
    return [
        f"{{ let t := add({u}, {v}) {v} := mul(sub(add({v}, mload(OFFSET_64)), {u}), {zeta}) {u} := t }}",
        f"{v} := {reduced(v, 64)}",
    ]


def reduced(name: str, bits: int) -> str:
    """Each lane p less q * floor(h * FACTOR / 2^23), where h = floor(p / 2^23): Barrett's reduction, to below 2.1 q for
    p below 2^50 and below 6.5 q for p below 2^56."""
    mask = f"mload(QUOTIENTS_{bits})"
    quotient = f"and(shr(23, mul(and(shr(23, {name}), {mask}), {hex(FACTOR)})), {mask})"
    return f"sub({name}, mul({quotient}, {Q}))"


def folded(name: str, bits: int) -> str:
    """Subtract q as often as 2^23 goes into each lane: what was below 2^27 gets below 1.02 q."""
    return f"sub({name}, mul(and(shr(23, {name}), mload(QUOTIENTS_{bits})), {Q}))"


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
