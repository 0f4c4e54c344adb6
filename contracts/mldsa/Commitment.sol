// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ByteOrder} from "./ByteOrder.sol";
import {COMMITMENT_INPUT, RESPONSE, TARGET} from "./Memory.sol";

/// @title From w and the hints to the bytes of w₁ that the challenge commits to
library Commitment {
    /// @notice Whether the 84 bytes of hints are the encoding of some (HintBitUnpack, FIPS 204, algorithm 21).
    function hintsWellFormed(bytes calldata hints) internal pure returns (bool wellFormed) {
        assembly ("memory-safe") {
            wellFormed := 1
            let index := 0
            for { let i := 80 } lt(i, 84) { i := add(i, 1) } {
                let end := byte(0, calldataload(add(hints.offset, i)))
                wellFormed := and(wellFormed, iszero(or(lt(end, index), gt(end, 80))))
                // Positions of one polynomial ascend.
                let floor_ := 0
                for {} and(lt(index, end), wellFormed) { index := add(index, 1) } {
                    let position := byte(0, calldataload(add(hints.offset, index)))
                    wellFormed := iszero(lt(position, floor_))
                    floor_ := add(position, 1)
                }
            }
            for {} lt(index, 80) { index := add(index, 1) } {
                wellFormed := and(wellFormed, iszero(byte(0, calldataload(add(hints.offset, index)))))
            }
        }
    }

    /// @notice Beside each coefficient r of w at RESPONSE, from bit 32 of its lane on, write HighBits(r), but 44 for 0
    /// where Decompose (algorithm 36) wraps around.
    function splitHighBits() internal pure {
        assembly ("memory-safe") {
            for { let p := RESPONSE } lt(p, add(RESPONSE, 0x2000)) { p := add(p, 0x20) } {
                let r := mload(p)
                // (r + γ₂ - 1) / 2γ₂, rounded down; 2γ₂ = 93 * 2^11, and 11276 / 2^20 is near enough to 1 / 93.
                let high := and(shr(11, add(r, 0x173ff00000000000173ff00000000000173ff00000000000173ff)), 0x1fff0000000000001fff0000000000001fff0000000000001fff)
                high := and(shr(20, mul(high, 11276)), 0x3f000000000000003f000000000000003f000000000000003f)
                mstore(p, or(r, shl(32, high)))
            }
        }
    }

    /// @notice UseHint (algorithm 40): move the high bits of the hinted coefficients, modulo 44.
    function useHints(bytes calldata hints) internal pure {
        assembly ("memory-safe") {
            let index := 0
            for { let i := 0 } lt(i, 4) { i := add(i, 1) } {
                let end := byte(0, calldataload(add(hints.offset, add(i, 80))))
                let shift := shl(6, i)
                for {} lt(index, end) { index := add(index, 1) } {
                    let p := add(RESPONSE, shl(5, byte(0, calldataload(add(hints.offset, index)))))
                    let word := mload(p)
                    let r := and(shr(shift, word), 0xffffffff)
                    let high := and(shr(add(shift, 32), word), 0x3f)
                    // Up if r is above the middle of its interval, else down. Where Decompose wraps, r is below 44 * 2γ₂.
                    let moved := mod(add(high, add(43, shl(1, gt(r, mul(high, 190464))))), 44)
                    mstore(p, xor(word, shl(add(shift, 32), xor(high, moved))))
                }
            }
        }
    }

    /// @notice Write w1Encode(w₁) (algorithm 28), 768 bytes, after μ at COMMITMENT_INPUT.
    function encode() internal pure {
        for (uint256 i = 0; i < 32; ++i) {
            uint256 eight = 0;
            // Eight coefficients of six bits are six bytes.
            assembly ("memory-safe") {
                let p := add(RESPONSE, shl(8, i))
                for { let shift := 0 } lt(shift, 48) { shift := add(shift, 6) } {
                    let high := and(shr(32, mload(p)), 0x3f000000000000003f000000000000003f000000000000003f)
                    let wrapped := and(shr(6, add(high, 0x14000000000000001400000000000000140000000000000014)), 0x1000000000000000100000000000000010000000000000001)
                    eight := or(eight, shl(shift, sub(high, mul(wrapped, 44))))
                    p := add(p, 0x20)
                }
            }
            eight = ByteOrder.reversed64(eight);
            assembly ("memory-safe") {
                mstore(add(TARGET, shl(5, i)), eight)
            }
        }
        assembly ("memory-safe") {
            // Each word overwrites what is behind its first six bytes, so the polynomials come one after the other.
            let output := add(COMMITMENT_INPUT, 64)
            for { let shift := 192 } lt(shift, 256) { shift := sub(shift, 64) } {
                for { let p := TARGET } lt(p, add(TARGET, 0x400)) { p := add(p, 0x20) } {
                    mstore(output, shl(shift, mload(p)))
                    output := add(output, 6)
                }
            }
            // What follows is padding.
            mstore(output, 0)
        }
    }
}
