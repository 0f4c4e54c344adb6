// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Blobs kept as the code of contracts that do nothing
/// @notice A byte of code costs 200 gas, a byte of storage about 690. The code starts with STOP, so that a call does
/// nothing, and so that no blob can be refused for its first byte (EIP-3541).
library BlockArchive {
    /// @notice Longest blob: EIP-170's limit, less the STOP.
    uint256 internal constant MAX_LENGTH = 24_575;

    /// @notice Thrown when the contract that is to hold a blob can't be created.
    error BlockArchiveFailed();

    /// @notice Keeps `data` for good. At most MAX_LENGTH bytes.
    function write(bytes memory data) internal returns (address store) {
        // PUSH2 length + 1, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE (0), RETURN; then the code.
        bytes memory creation = abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a3d393df3", hex"00", data);
        assembly ("memory-safe") {
            store := create(0, add(creation, 0x20), mload(creation))
        }
        if (store == address(0)) revert BlockArchiveFailed();
    }

    /// @notice The bytes [start, start + length) of a blob.
    function read(address store, uint256 start, uint256 length) internal view returns (bytes memory data) {
        data = new bytes(length);
        assembly ("memory-safe") {
            extcodecopy(store, add(data, 0x20), add(start, 1), length)
        }
    }
}
