// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ByteOrder} from "./ByteOrder.sol";
import {CHALLENGE_STREAM, MATRIX, RESPONSE, STREAM, TARGET} from "./Memory.sol";

/// @title The polynomials of ML-DSA-44 verification, from their encodings to A ẑ - ĉ t̂
library Arithmetic {
    /// @notice SampleInBall (FIPS 204, algorithm 29) from CHALLENGE_STREAM into the fifth lane of RESPONSE, which is
    /// zero before.
    /// @return sampled False if two blocks did not suffice, which FIPS 204, appendix C, lets count as failure
    function sampleChallenge() internal pure returns (bool sampled) {
        uint256 signs;
        assembly ("memory-safe") {
            signs := mload(CHALLENGE_STREAM)
        }
        signs = ByteOrder.reversed64(signs) >> 192;
        assembly ("memory-safe") {
            sampled := 1
            let p := add(CHALLENGE_STREAM, 8)
            let end := add(CHALLENGE_STREAM, 272)
            for { let i := 217 } lt(i, 256) { i := add(i, 1) } {
                let j := 256
                for {} and(gt(j, i), lt(p, end)) { p := add(p, 1) } { j := byte(0, mload(p)) }
                if gt(j, i) {
                    sampled := 0
                    break
                }
                let place := add(RESPONSE, shl(5, j))
                mstore(add(RESPONSE, shl(5, i)), mload(place))
                mstore(place, shl(204, add(1, mul(and(signs, 1), 8380415))))
                signs := shr(1, signs)
            }
        }
    }

    /// @notice Add z to the first four lanes of RESPONSE, as q + z.
    /// @param encoded The bytes of the four polynomials (BitUnpack, FIPS 204, algorithm 19): γ₁ - z in 18 bits each
    /// @return inRange Whether every coefficient is below γ₁ - β in absolute value
    function unpackResponse(bytes calldata encoded) internal pure returns (bool inRange) {
        uint256 outside = 0;
        uint256 target = RESPONSE;
        // Eight coefficients of each polynomial are 18 bytes.
        for (uint256 offset = 0; offset < 576; offset += 18) {
            uint256 r0 = _littleEndian(encoded, offset);
            uint256 r1 = _littleEndian(encoded, offset + 576);
            uint256 r2 = _littleEndian(encoded, offset + 1152);
            uint256 r3 = _littleEndian(encoded, offset + 1728);
            assembly ("memory-safe") {
                for { let end := add(target, 0x100) } lt(target, end) { target := add(target, 0x40) } {
                    let pair := or(
                        or(and(r0, 0xfffffffff), shl(51, and(r1, 0xfffffffff))),
                        or(shl(102, and(r2, 0xfffffffff)), shl(153, and(r3, 0xfffffffff)))
                    )
                    r0 := shr(36, r0)
                    r1 := shr(36, r1)
                    r2 := shr(36, r2)
                    r3 := shr(36, r3)
                    // γ₁ - z is out of range if it is below 79 or above 2^18 - 79: then bit 18 of one of these is set.
                    let v := and(pair, 0x7fffe00000000ffffc00000001ffff800000003ffff)
                    outside := or(outside, add(v, 0x9c0000000000138000000000027000000000004e))
                    outside := or(outside, sub(0x8009c0000000100138000000020027000000004004e, v))
                    mstore(target, add(mload(target), sub(0x103c002000000207800400000040f000800000081e001, v)))
                    v := and(shr(18, pair), 0x7fffe00000000ffffc00000001ffff800000003ffff)
                    outside := or(outside, add(v, 0x9c0000000000138000000000027000000000004e))
                    outside := or(outside, sub(0x8009c0000000100138000000020027000000004004e, v))
                    let next := add(target, 0x20)
                    mstore(next, add(mload(next), sub(0x103c002000000207800400000040f000800000081e001, v)))
                }
            }
        }
        inRange = outside & 0x8000000000001000000000000200000000000040000 == 0;
    }

    /// @notice Write t₁ 2^d to the first four lanes of TARGET.
    /// @param encoded The bytes of the four polynomials (SimpleBitUnpack, algorithm 18): ten bits each
    function unpackTarget(bytes calldata encoded) internal pure {
        uint256 target = TARGET;
        // Sixteen coefficients of each polynomial are 20 bytes.
        for (uint256 offset = 0; offset < 320; offset += 20) {
            uint256 r0 = _littleEndian(encoded, offset);
            uint256 r1 = _littleEndian(encoded, offset + 320);
            uint256 r2 = _littleEndian(encoded, offset + 640);
            uint256 r3 = _littleEndian(encoded, offset + 960);
            assembly ("memory-safe") {
                for { let end := add(target, 0x200) } lt(target, end) { target := add(target, 0x80) } {
                    let four := or(
                        or(and(r0, 0xffffffffff), shl(51, and(r1, 0xffffffffff))),
                        or(shl(102, and(r2, 0xffffffffff)), shl(153, and(r3, 0xffffffffff)))
                    )
                    r0 := shr(40, r0)
                    r1 := shr(40, r1)
                    r2 := shr(40, r2)
                    r3 := shr(40, r3)
                    let mask := 0xffc0000000001ff80000000003ff00000000007fe000
                    mstore(target, and(shl(13, four), mask))
                    mstore(add(target, 0x20), and(shl(3, four), mask))
                    mstore(add(target, 0x40), and(shr(7, four), mask))
                    mstore(add(target, 0x60), and(shr(17, four), mask))
                }
            }
        }
    }

    /// @notice Replace RESPONSE by A ẑ - ĉ t̂, reduced, in four lanes of 64 bits.
    function multiply() internal pure {
        assembly ("memory-safe") {
            let mask := 0x7ffffffffffff
            // Coefficient n of stream k is in the lowest 24 bits of the word at column + k * STREAM.
            let column := add(MATRIX, sub(STREAM, 0x20))
            for { let p := RESPONSE } lt(p, add(RESPONSE, 0x2000)) { p := add(p, 0x20) } {
                let z0 := mload(p)
                let c := shr(204, z0)
                let z3 := and(shr(153, z0), mask)
                let z2 := and(shr(102, z0), mask)
                let z1 := and(shr(51, z0), mask)
                z0 := and(z0, mask)
                let t := mload(add(p, sub(TARGET, RESPONSE)))
                let w := 0
                {
                    let s := mul(and(mload(column), 0xffffff), z0)
                    s := add(s, mul(and(mload(add(column, 0x400)), 0xffffff), z1))
                    s := add(s, mul(and(mload(add(column, 0x800)), 0xffffff), z2))
                    s := add(s, mul(and(mload(add(column, 0xc00)), 0xffffff), z3))
                    s := mod(sub(add(s, 0x7fe00100000000), mul(c, and(t, mask))), 8380417)
                    w := or(w, s)
                }
                {
                    let s := mul(and(mload(add(column, 0x1000)), 0xffffff), z0)
                    s := add(s, mul(and(mload(add(column, 0x1400)), 0xffffff), z1))
                    s := add(s, mul(and(mload(add(column, 0x1800)), 0xffffff), z2))
                    s := add(s, mul(and(mload(add(column, 0x1c00)), 0xffffff), z3))
                    s := mod(sub(add(s, 0x7fe00100000000), mul(c, and(shr(51, t), mask))), 8380417)
                    w := or(w, shl(64, s))
                }
                {
                    let s := mul(and(mload(add(column, 0x2000)), 0xffffff), z0)
                    s := add(s, mul(and(mload(add(column, 0x2400)), 0xffffff), z1))
                    s := add(s, mul(and(mload(add(column, 0x2800)), 0xffffff), z2))
                    s := add(s, mul(and(mload(add(column, 0x2c00)), 0xffffff), z3))
                    s := mod(sub(add(s, 0x7fe00100000000), mul(c, and(shr(102, t), mask))), 8380417)
                    w := or(w, shl(128, s))
                }
                {
                    let s := mul(and(mload(add(column, 0x3000)), 0xffffff), z0)
                    s := add(s, mul(and(mload(add(column, 0x3400)), 0xffffff), z1))
                    s := add(s, mul(and(mload(add(column, 0x3800)), 0xffffff), z2))
                    s := add(s, mul(and(mload(add(column, 0x3c00)), 0xffffff), z3))
                    s := mod(sub(add(s, 0x7fe00100000000), mul(c, and(shr(153, t), mask))), 8380417)
                    w := or(w, shl(192, s))
                }
                mstore(p, w)
                column := sub(column, 3)
            }
        }
    }

    /// @dev The integer in the 32 bytes from `offset`, the first one lowest.
    function _littleEndian(bytes calldata data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, offset))
        }
        word = ByteOrder.reversed256(word);
    }
}
