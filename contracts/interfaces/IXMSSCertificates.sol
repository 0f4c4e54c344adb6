// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./ICertificates.sol";

/// @title Certificates of hash-based signatures
/// @notice An edge node has a tree of one-time keys, used in ascending order. The signature alone authorises: anybody may
/// relay it, and whoever breaks the elliptic curve of the paying account gains nothing here. An entry is account (20
/// bytes), epoch (4), index (4), salt (2), one-time signature (2,144) and 32 bytes for each level of the tree.
interface IXMSSCertificates is ICertificates {
    /// @notice The tree of an edge node.
    /// @param root Its public key; zero: there is none
    /// @param epoch How many trees the account has had, this one included
    /// @param height It has 2^height one-time keys
    /// @param nextIndex The lowest index of a key that is still taken
    struct Tree {
        bytes32 root;
        uint32 epoch;
        uint8 height;
        uint32 nextIndex;
    }

    /// @notice Emitted when an account gets a tree. Signatures by the one before are refused from now on.
    event XMSSCertificatesTreeEnrolled(address indexed account, uint32 indexed epoch, bytes32 root, uint8 height);

    /// @notice Thrown when somebody enrols a tree who does not own the registry of participants.
    error XMSSCertificatesUnauthorized(address caller);

    /// @notice Thrown when a tree has no root, or a height below `MIN_HEIGHT` or above `MAX_HEIGHT`.
    error XMSSCertificatesImpossibleTree(bytes32 root, uint8 height);

    /// @notice Thrown when the registry of participants is no contract.
    error XMSSCertificatesNotAContract(address participants);

    /// @notice Thrown when an entry names another than the account's newest tree.
    error XMSSCertificatesEpochMismatch(address account, uint32 expected, uint32 actual);

    /// @notice Thrown when an entry's key, or a later one, was used already: sign again with a fresh key.
    error XMSSCertificatesUsedKey(address account, uint32 nextIndex, uint32 actual);

    /// @notice Gives an account its first tree, or another one when it has lost the old. Only for the owner of the
    /// registry: the deployer until the set-up ends, the government from then on.
    function enroll(address account, bytes32 root, uint8 height) external;

    /// @notice Replaces an account's tree. Anybody may relay.
    /// @param entry The old tree's signature over `replacementHash(root, height)`, made for this contract
    function replaceTree(bytes32 root, uint8 height, bytes calldata entry) external;

    /// @notice What the old tree signs for a new one.
    function replacementHash(bytes32 root, uint8 height) external pure returns (bytes32);

    /// @notice The newest tree of an account; zeros if it has none.
    function tree(address account) external view returns (Tree memory);

    /// @notice The root of an account's tree of that epoch; zero if there was none.
    function rootAt(address account, uint32 epoch) external view returns (bytes32);

    /// @notice The 24 bytes that start every tweak of a tree: keccak256(abi.encode(DOMAIN, chain id, this contract,
    /// account, epoch)), cut.
    function context(address account, uint32 epoch) external view returns (bytes24);

    /// @notice Keeps these signatures apart from everything else that is hashed.
    function DOMAIN() external view returns (bytes32);

    /// @notice The least height of a tree.
    function MIN_HEIGHT() external view returns (uint8);

    /// @notice The greatest height of a tree.
    function MAX_HEIGHT() external view returns (uint8);
}
