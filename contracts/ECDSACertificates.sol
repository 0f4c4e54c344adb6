// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";

/// @title Certificates of secp256k1 signatures by the edge nodes' ledger accounts
/// @notice An entry is r (32 bytes), s (32, the lower of the two), v (1, 27 or 28) over `digest(headerHash)`.
contract ECDSACertificates is ICertificates {
    /// @notice Keeps certificate entries apart from everything else that an account signs.
    bytes22 public constant DOMAIN = "BFL-MEC/v1/certificate";

    uint256 private constant ENTRY_SIZE = 65;

    /// @inheritdoc ICertificates
    function signers(bytes32 headerHash, bytes calldata certificate) external pure returns (address[] memory accounts) {
        uint256 count = certificate.length / ENTRY_SIZE;
        if (count == 0 || count * ENTRY_SIZE != certificate.length) revert CertificatesMalformed(certificate.length);
        bytes32 digest_ = digest(headerHash);
        accounts = new address[](count);
        address previous = address(0);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 r;
            bytes32 s;
            uint8 v;
            // A third of what slices cost. Entry i lies within the certificate, whose length was checked.
            assembly ("memory-safe") {
                let entry := add(certificate.offset, mul(i, ENTRY_SIZE))
                r := calldataload(entry)
                s := calldataload(add(entry, 0x20))
                v := byte(0, calldataload(add(entry, 0x40)))
            }
            (address signer, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(digest_, v, r, s);
            if (failure != ECDSA.RecoverError.NoError) revert CertificatesInvalidSignature(i);
            if (signer <= previous) revert CertificatesNotAscending(i, signer);
            accounts[i] = previous = signer;
        }
    }

    /// @notice What an edge node signs to certify a header: keccak256(DOMAIN || headerHash).
    function digest(bytes32 headerHash) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(DOMAIN, headerHash));
    }
}
