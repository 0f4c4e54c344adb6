// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title XMSS: a Merkle tree over WOTS+ one-time keys, n = 32, w = 16
/// @notice The construction of RFC 8391 with the tweakable hash of SLH-DSA's simple form (FIPS 205), over Keccak-256:
/// every hash is keccak256(tweak || input), and no two places of any tree have the same tweak.
///
///     tweak = context (24 bytes) || leaf or node (4) || kind (1) || height (1) || chain (1) || position (1)
library XMSS {
    /// @notice 64 digits of the message and 3 of the checksum.
    uint256 internal constant CHAINS = 67;
    uint256 internal constant ONE_TIME_SIZE = CHAINS * 32;

    /// @notice What a one-time key signs: a hash, for the contract that asks.
    /// @param salt Of the signer's choice, so that it can look for a digest whose chains are short to walk. It takes the
    /// place of chain and position in the tweak
    function message(
        bytes24 context,
        uint32 leaf,
        uint16 salt,
        address asker,
        bytes32 hash
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_tweak(context, leaf) | (3 << 24) | salt, asker, hash));
    }

    /// @notice The root that a signature leads to. Compare it with the one that is registered.
    /// @param signature Calldata offset of CHAINS values, then `height` siblings from the leaf up
    /// @param digest From `message`
    function root(
        bytes24 context,
        uint32 leaf,
        uint256 height,
        uint256 signature,
        bytes32 digest
    ) internal pure returns (bytes32 node) {
        uint256 tweak = _tweak(context, leaf);
        assembly ("memory-safe") {
            function step(tweak_) {
                mstore(0x00, tweak_)
                mstore(0x20, keccak256(0x00, 0x40))
            }
            // The walk from a digit to 15, unrolled by the bits of its length: no counter, no loop for each step.
            function walk(start, left) {
                if and(left, 8) {
                    step(start)
                    step(add(start, 1))
                    step(add(start, 2))
                    step(add(start, 3))
                    step(add(start, 4))
                    step(add(start, 5))
                    step(add(start, 6))
                    step(add(start, 7))
                    start := add(start, 8)
                }
                if and(left, 4) {
                    step(start)
                    step(add(start, 1))
                    step(add(start, 2))
                    step(add(start, 3))
                    start := add(start, 4)
                }
                if and(left, 2) {
                    step(start)
                    step(add(start, 1))
                    start := add(start, 2)
                }
                if and(left, 1) {
                    step(start)
                }
            }

            let ends := mload(0x40)
            let end := ends
            let digits := digest
            let checksum := 0
            let chain := tweak
            // 64 digits of the digest; then, in twelve bits, what they add up to.
            for {
                let limit := add(signature, 0x800)
            } 1 {
                limit := add(limit, 0x60)
                digits := shl(244, checksum)
            } {
                for {} lt(signature, limit) {
                    signature := add(signature, 0x20)
                } {
                    let digit := shr(252, digits)
                    digits := shl(4, digits)
                    let left := sub(15, digit)
                    checksum := add(checksum, left)
                    mstore(0x20, calldataload(signature))
                    walk(or(chain, digit), left)
                    end := add(end, 0x20)
                    mstore(end, mload(0x20))
                    chain := add(chain, 0x100)
                }
                if eq(end, add(ends, 0x860)) {
                    break
                }
            }
            mstore(ends, or(tweak, shl(24, 1)))
            node := keccak256(ends, 0x880)

            let index := leaf
            let context_ := xor(tweak, shl(32, leaf))
            for {
                let level := 1
            } iszero(gt(level, height)) {
                level := add(level, 1)
            } {
                let right := shl(5, and(index, 1))
                index := shr(1, index)
                mstore(ends, or(context_, or(shl(32, index), or(shl(24, 2), shl(16, level)))))
                mstore(add(add(ends, 0x20), right), node)
                mstore(sub(add(ends, 0x40), right), calldataload(signature))
                node := keccak256(ends, 0x60)
                signature := add(signature, 0x20)
            }
        }
    }

    /// @dev The tweak of a leaf's chain 0 at position 0; kind 1 is the hash over the ends of all chains, 2 an inner node,
    /// 3 the message.
    function _tweak(bytes24 context, uint32 leaf) private pure returns (uint256) {
        return uint256(bytes32(context)) | (uint256(leaf) << 32);
    }
}
