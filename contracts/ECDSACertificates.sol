// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";

/// @title Certificates of secp256k1 signatures by the edge nodes' ledger accounts
/// @notice An entry is r (32 bytes), s (32, the lower of the two), v (1, 27 or 28) over `digest(hash)`. What is signed binds
/// the contract that asks, by the ledger in a block's first parent and by the government's address in what it decides.
contract ECDSACertificates is ICertificates {
    /// @notice Keeps certificate entries apart from everything else that an account signs.
    bytes22 public constant DOMAIN = "BFL-MEC/v1/certificate";

    uint256 private constant ENTRY_SIZE = 65;

    /// @inheritdoc ICertificates
    function signers(bytes32 hash, bytes calldata certificate) public pure returns (address[] memory accounts) {
        uint256 count = certificate.length / ENTRY_SIZE;
        if (count == 0 || count * ENTRY_SIZE != certificate.length) revert CertificatesMalformed(certificate.length);
        bytes32 digest_ = digest(hash);
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
            (address account, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(digest_, v, r, s);
            if (failure != ECDSA.RecoverError.NoError) revert CertificatesInvalidSignature(i);
            if (account <= previous) revert CertificatesNotAscending(i, account);
            accounts[i] = previous = account;
        }
    }

    /// @inheritdoc ICertificates
    function signer(address, bytes32 hash, bytes calldata entry) external pure returns (address account) {
        if (entry.length != ENTRY_SIZE) revert CertificatesMalformed(entry.length);
        return signers(hash, entry)[0];
    }

    /// @notice What an edge node signs to certify a hash: keccak256(DOMAIN || hash).
    function digest(bytes32 hash) public pure returns (bytes32 digest_) {
        bytes32 domain = DOMAIN;
        // keccak256(abi.encodePacked(DOMAIN, hash)) in scratch space.
        assembly ("memory-safe") {
            mstore(0x00, domain)
            mstore(0x16, hash)
            digest_ := keccak256(0x00, 0x36)
        }
    }
}
