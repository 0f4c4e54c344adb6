// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Between the EVM's big-endian words and the little-endian integers of FIPS 202 and FIPS 204
library ByteOrder {
    /// @notice Reverse the bytes within each 64 bits.
    function reversed64(uint256 word) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            let mask := 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff
            result := or(and(shr(8, word), mask), shl(8, and(word, mask)))
            mask := 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff
            result := or(and(shr(16, result), mask), shl(16, and(result, mask)))
            mask := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
            result := or(and(shr(32, result), mask), shl(32, and(result, mask)))
        }
    }

    /// @notice Reverse the 32 bytes of a word.
    function reversed256(uint256 word) internal pure returns (uint256 result) {
        result = reversed64(word);
        assembly ("memory-safe") {
            let mask := 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
            result := or(and(shr(64, result), mask), shl(64, and(result, mask)))
            result := or(shr(128, result), shl(128, result))
        }
    }
}
