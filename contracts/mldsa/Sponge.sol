// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ByteOrder} from "./ByteOrder.sol";
import {STATE} from "./Memory.sol";

/// @title SHAKE256 (FIPS 202) in the fourth of the four states at STATE
/// @notice The other three are not touched, but by the permutation between two calls.
library Sponge {
    uint256 internal constant RATE = 136;

    uint256 private constant FOURTH = 0xffffffffffffffff << 192;

    /// @notice Pad the input of `length` bytes at `input`, which zeros follow, to whole blocks.
    /// @return blocks How many
    function pad(uint256 input, uint256 length) internal pure returns (uint256 blocks) {
        blocks = length / RATE + 1;
        assembly ("memory-safe") {
            mstore8(add(input, length), 0x1f)
            let last := sub(add(input, mul(blocks, 136)), 1)
            mstore8(last, or(byte(0, mload(last)), 0x80))
        }
    }

    /// @notice Mix the block of RATE bytes at `input` into the state.
    function absorb(uint256 input) internal pure {
        for (uint256 i = 0; i < 5; ++i) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(input, shl(5, i)))
            }
            word = ByteOrder.reversed64(word);
            assembly ("memory-safe") {
                let state := add(STATE, shl(7, i))
                mstore(state, xor(mload(state), and(word, FOURTH)))
                // The last word holds eight bytes of the block.
                if lt(i, 4) {
                    state := add(state, 0x20)
                    mstore(state, xor(mload(state), and(shl(64, word), FOURTH)))
                    state := add(state, 0x20)
                    mstore(state, xor(mload(state), and(shl(128, word), FOURTH)))
                    state := add(state, 0x20)
                    mstore(state, xor(mload(state), shl(192, word)))
                }
            }
        }
    }

    /// @notice Write the first 32 * `words` bytes of the state to `output`; at most six words.
    function squeeze(uint256 output, uint256 words) internal pure {
        for (uint256 i = 0; i < words; ++i) {
            uint256 word;
            assembly ("memory-safe") {
                let state := add(STATE, shl(7, i))
                word := and(mload(state), FOURTH)
                word := or(word, shr(64, and(mload(add(state, 0x20)), FOURTH)))
                word := or(word, shr(128, and(mload(add(state, 0x40)), FOURTH)))
                word := or(word, shr(192, mload(add(state, 0x60))))
            }
            word = ByteOrder.reversed64(word);
            assembly ("memory-safe") {
                mstore(add(output, shl(5, i)), word)
            }
        }
    }

    /// @notice Empty the state; the other three are lost.
    function reset() internal pure {
        assembly ("memory-safe") {
            for { let state := STATE } lt(state, add(STATE, 0x320)) { state := add(state, 0x20) } { mstore(state, 0) }
        }
    }
}
