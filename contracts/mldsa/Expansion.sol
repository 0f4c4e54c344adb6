// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ByteOrder} from "./ByteOrder.sol";
import {KeccakF1600x4} from "./KeccakF1600x4.sol";
import {
    CHALLENGE_INPUT,
    CHALLENGE_STREAM,
    COMMITMENT_INPUT,
    CURSORS,
    KEY_INPUT,
    MATRIX,
    MESSAGE_INPUT,
    STATE,
    STREAM
} from "./Memory.sol";
import {Sponge} from "./Sponge.sol";

/// @title What ML-DSA.Verify hashes and expands before it computes
/// @notice The matrix takes five permutations for each of sixteen polynomials. They run in five rounds of three or four
/// at once; where one state of the four is free, tr, μ and the challenge's stream come out of it at no further cost.
library Expansion {
    uint256 private constant PERMUTATIONS = 5;

    /// @notice From the padded inputs: the matrix at MATRIX, μ at COMMITMENT_INPUT, SHAKE256(c̃) at CHALLENGE_STREAM.
    /// @param seed ρ
    /// @param messageLength Bytes of M′, which stands at MESSAGE_INPUT + 64, before padding
    /// @return complete Whether five blocks gave every polynomial its 256 coefficients: all but one key of 2^128
    function expand(bytes32 seed, uint256 messageLength) internal pure returns (bool complete) {
        uint256 messageBlocks = Sponge.pad(MESSAGE_INPUT, 64 + messageLength);
        uint256 seedLanes = ByteOrder.reversed64(uint256(seed));
        complete = true;
        uint256 stream = 0;
        for (uint256 round = 0; round < 5; ++round) {
            uint256 count = round == 2 ? 4 : 3;
            _start(seedLanes, stream, count, round == 1);
            for (uint256 i = 0; i < PERMUTATIONS; ++i) {
                if (round < 2) Sponge.absorb(KEY_INPUT + Sponge.RATE * (PERMUTATIONS * round + i));
                else if (round == 3 && i < messageBlocks) Sponge.absorb(MESSAGE_INPUT + Sponge.RATE * i);
                else if (round == 4 && i == 0) Sponge.absorb(CHALLENGE_INPUT);
                KeccakF1600x4.permute();
                for (uint256 lane = 0; lane < count; ++lane) _rejectionSample(lane);
                if (round == 3 && i + 1 == messageBlocks) Sponge.squeeze(COMMITMENT_INPUT, 2);
                else if (round == 4 && i < 2) Sponge.squeeze(CHALLENGE_STREAM + Sponge.RATE * i, 5);
            }
            if (round == 1) Sponge.squeeze(MESSAGE_INPUT, 2);
            complete = complete && _complete(stream, count);
            stream += count;
        }
    }

    /// @dev Begin `count` streams ρ ‖ column ‖ row (ExpandA, FIPS 204, algorithm 32) in the first states. The fourth
    /// goes on if `continued`, else it is emptied unless a stream takes it.
    function _start(uint256 seedLanes, uint256 stream, uint256 count, bool continued) private pure {
        assembly ("memory-safe") {
            let kept := mul(continued, shl(192, 0xffffffffffffffff))
            for { let p := STATE } lt(p, add(STATE, 0x320)) { p := add(p, 0x20) } { mstore(p, and(mload(p), kept)) }
            let each := 0x000000000000000000000000000000010000000000000001
            each := add(shl(128, 1), each)
            if eq(count, 4) { each := add(shl(192, 1), each) }
            let p := STATE
            for { let shift := 192 } lt(shift, 256) { shift := sub(shift, 64) } {
                mstore(p, or(mload(p), mul(and(shr(shift, seedLanes), 0xffffffffffffffff), each)))
                p := add(p, 0x20)
            }
            // Column, row and the first byte of SHAKE128's padding; its last byte stands at the end of the block.
            let positions := 0
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let k := add(stream, i)
                let position := or(or(and(k, 3), shl(8, shr(2, k))), 0x1f0000)
                positions := or(positions, shl(shl(6, i), position))
                mstore(add(CURSORS, shl(5, i)), add(MATRIX, mul(add(k, 1), STREAM)))
            }
            mstore(p, or(mload(p), positions))
            p := add(STATE, 0x280)
            mstore(p, or(mload(p), shl(63, each)))
        }
    }

    /// @dev Append the coefficients below q in one block of a state to its stream (RejNTTPoly, algorithm 30).
    function _rejectionSample(uint256 lane) private pure {
        assembly ("memory-safe") {
            let slot := add(CURSORS, shl(5, lane))
            let cursor := mload(slot)
            let shift := shl(6, lane)
            for { let p := STATE } lt(p, add(STATE, 0x2a0)) { p := add(p, 0x60) } {
                // Eight candidates of 24 bits, the topmost ignored.
                let eight := and(shr(shift, mload(p)), 0xffffffffffffffff)
                eight := or(eight, shl(64, and(shr(shift, mload(add(p, 0x20))), 0xffffffffffffffff)))
                eight := or(eight, shl(128, shr(shift, mload(add(p, 0x40)))))
                eight := and(eight, 0x7fffff7fffff7fffff7fffff7fffff7fffff7fffff7fffff)
                let previous := cursor
                mstore(sub(cursor, 0x20), eight)
                cursor := sub(cursor, 24)
                // Bit 23 of a sum is set where the candidate is not below q = 2^23 - 8191.
                if and(
                    add(eight, 0x001fff001fff001fff001fff001fff001fff001fff001fff),
                    0x800000800000800000800000800000800000800000800000
                ) {
                    cursor := previous
                    for { let i := 0 } lt(i, 8) { i := add(i, 1) } {
                        let candidate := and(eight, 0xffffff)
                        eight := shr(24, eight)
                        if lt(candidate, 8380417) {
                            mstore(sub(cursor, 0x20), candidate)
                            cursor := sub(cursor, 3)
                        }
                    }
                }
            }
            mstore(slot, cursor)
        }
    }

    function _complete(uint256 stream, uint256 count) private pure returns (bool complete) {
        assembly ("memory-safe") {
            complete := 1
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let end := sub(add(MATRIX, mul(add(add(stream, i), 1), STREAM)), 768)
                complete := and(complete, iszero(gt(mload(add(CURSORS, shl(5, i))), end)))
            }
        }
    }
}
