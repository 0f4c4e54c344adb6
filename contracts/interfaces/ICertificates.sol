// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who certified what
/// @notice Ledger and government know signatures only through this interface, so that another scheme is another
/// contract. What is signed is a hash, for the one contract that asks: a signature for one says nothing to another.
interface ICertificates {
    /// @notice Thrown when a certificate is empty or not a whole number of entries.
    error CertificatesMalformed(uint256 length);

    /// @notice Thrown when an entry holds no valid signature over this hash.
    error CertificatesInvalidSignature(uint256 index);

    /// @notice Thrown when an entry's signer does not come after the one before it: unsorted, or a duplicate.
    error CertificatesNotAscending(uint256 index, address signer);

    /// @notice The accounts whose signatures over a hash the certificate holds. Where keys are used once, they are used
    /// up now; anybody but the contract that they signed for is refused, for its signatures would be others.
    /// @param hash A block's hash, or what a government decides; binds chain, contract and purpose
    /// @param certificate Entries in ascending order of their signers
    /// @return accounts Strictly ascending, hence distinct; at least one
    function signers(bytes32 hash, bytes calldata certificate) external returns (address[] memory accounts);

    /// @notice Whose signature over a hash a single entry is, whether or not `signers` would still take it: evidence.
    /// @param asker The contract that the signature was made for
    function signer(address asker, bytes32 hash, bytes calldata entry) external view returns (address account);
}
