// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who certified a header
/// @notice The ledger knows signatures only through this interface, so that another scheme is another contract.
interface ICertificates {
    /// @notice Thrown when a certificate is empty or not a whole number of entries.
    error CertificatesMalformed(uint256 length);

    /// @notice Thrown when an entry holds no valid signature over this header.
    error CertificatesInvalidSignature(uint256 index);

    /// @notice Thrown when an entry's signer does not come after the one before it: unsorted, or a duplicate.
    error CertificatesNotAscending(uint256 index, address signer);

    /// @notice The accounts whose signatures over a header the certificate holds.
    /// @param headerHash Hash of the block's header, which binds chain, ledger and height through its parent
    /// @param certificate Entries in ascending order of their signers
    /// @return accounts Strictly ascending, hence distinct; at least one
    function signers(bytes32 headerHash, bytes calldata certificate) external view returns (address[] memory accounts);
}
