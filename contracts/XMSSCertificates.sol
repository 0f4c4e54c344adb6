// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IXMSSCertificates} from "./interfaces/IXMSSCertificates.sol";
import {XMSS} from "./XMSS.sol";

contract XMSSCertificates is IXMSSCertificates {
    /// One slot: a signature costs one write.
    struct Position {
        uint32 epoch;
        uint32 nextIndex;
        uint8 height;
    }

    /// @inheritdoc IXMSSCertificates
    bytes32 public constant DOMAIN = "BFL-MEC/v1/xmss";

    /// @inheritdoc IXMSSCertificates
    uint8 public constant MIN_HEIGHT = 4;

    /// @inheritdoc IXMSSCertificates
    uint8 public constant MAX_HEIGHT = 20;

    /// Account (20 bytes), epoch (4), index (4), salt (2), before the signature itself.
    uint256 private constant PREFIX_SIZE = 30;

    Ownable private immutable _participants;

    mapping(address account => Position) private _positions;

    /// @inheritdoc IXMSSCertificates
    mapping(address account => mapping(uint32 epoch => bytes32)) public rootAt;

    constructor(address participants) {
        if (participants.code.length == 0) revert XMSSCertificatesNotAContract(participants);
        _participants = Ownable(participants);
    }

    /// @inheritdoc IXMSSCertificates
    function enroll(address account, bytes32 root, uint8 height) external {
        if (msg.sender != _participants.owner()) revert XMSSCertificatesUnauthorized(msg.sender);
        _enroll(account, root, height);
    }

    /// @inheritdoc IXMSSCertificates
    function replaceTree(bytes32 root, uint8 height, bytes calldata entry) external {
        (address account, uint256 size) = _use(0, address(this), replacementHash(root, height), entry);
        if (size != entry.length) revert CertificatesMalformed(entry.length);
        _enroll(account, root, height);
    }

    /// @inheritdoc ICertificates
    function signers(bytes32 hash, bytes calldata certificate) external returns (address[] memory accounts) {
        // Entries differ in length with the heights of their trees, so the array is cut to size at the end.
        accounts = new address[](certificate.length / (PREFIX_SIZE + XMSS.ONE_TIME_SIZE));
        uint256 count = 0;
        address previous = address(0);
        bytes calldata rest = certificate;
        while (rest.length != 0) {
            (address account, uint256 size) = _use(count, msg.sender, hash, rest);
            if (account <= previous) revert CertificatesNotAscending(count, account);
            accounts[count++] = previous = account;
            rest = rest[size:];
        }
        if (count == 0) revert CertificatesMalformed(0);
        assembly ("memory-safe") {
            mstore(accounts, count)
        }
    }

    /// @inheritdoc ICertificates
    function signer(address asker, bytes32 hash, bytes calldata entry) external view returns (address account) {
        if (entry.length < PREFIX_SIZE + XMSS.ONE_TIME_SIZE) revert CertificatesMalformed(entry.length);
        uint256 height = (entry.length - PREFIX_SIZE - XMSS.ONE_TIME_SIZE) / 32;
        if (_size(height) != entry.length || height > MAX_HEIGHT) revert CertificatesMalformed(entry.length);
        uint32 epoch;
        uint32 index;
        (account, epoch, index) = _parse(entry);
        bytes32 root = rootAt[account][epoch];
        if (root == 0 || _root(account, epoch, index, height, asker, hash, entry) != root) {
            revert CertificatesInvalidSignature(0);
        }
    }

    /// @inheritdoc IXMSSCertificates
    function replacementHash(bytes32 root, uint8 height) public pure returns (bytes32) {
        return keccak256(abi.encode("BFL-MEC/v1/xmss/replacement", root, height));
    }

    /// @inheritdoc IXMSSCertificates
    function tree(address account) external view returns (Tree memory) {
        Position memory position = _positions[account];
        return
            Tree({
                root: rootAt[account][position.epoch],
                epoch: position.epoch,
                height: position.height,
                nextIndex: position.nextIndex
            });
    }

    /// @inheritdoc IXMSSCertificates
    function context(address account, uint32 epoch) public view returns (bytes24) {
        return bytes24(keccak256(abi.encode(DOMAIN, block.chainid, address(this), account, epoch)));
    }

    function _enroll(address account, bytes32 root, uint8 height) private {
        if (root == 0 || height < MIN_HEIGHT || height > MAX_HEIGHT)
            revert XMSSCertificatesImpossibleTree(root, height);
        uint32 epoch = _positions[account].epoch + 1;
        _positions[account] = Position({epoch: epoch, nextIndex: 0, height: height});
        rootAt[account][epoch] = root;
        emit XMSSCertificatesTreeEnrolled(account, epoch, root, height);
    }

    /// @dev Checks the entry at the start of `data` and uses up its key.
    /// @return account Whose it is
    /// @return size How many bytes it takes
    function _use(
        uint256 number,
        address asker,
        bytes32 hash,
        bytes calldata data
    ) private returns (address account, uint256 size) {
        if (data.length < PREFIX_SIZE) revert CertificatesMalformed(data.length);
        uint32 epoch;
        uint32 index;
        (account, epoch, index) = _parse(data);
        Position memory position = _positions[account];
        if (epoch != position.epoch) revert XMSSCertificatesEpochMismatch(account, position.epoch, epoch);
        size = _size(position.height);
        if (data.length < size) revert CertificatesMalformed(data.length);
        if (index < position.nextIndex) revert XMSSCertificatesUsedKey(account, position.nextIndex, index);
        bytes32 root = rootAt[account][epoch];
        if (root == 0 || _root(account, epoch, index, position.height, asker, hash, data) != root) {
            revert CertificatesInvalidSignature(number);
        }
        // A tree has at most 2^20 keys.
        position.nextIndex = index + 1;
        _positions[account] = position;
    }

    function _root(
        address account,
        uint32 epoch,
        uint32 index,
        uint256 height,
        address asker,
        bytes32 hash,
        bytes calldata entry
    ) private view returns (bytes32) {
        bytes24 context_ = context(account, epoch);
        uint16 salt = uint16(bytes2(entry[PREFIX_SIZE - 2:]));
        uint256 signature;
        assembly ("memory-safe") {
            signature := add(entry.offset, PREFIX_SIZE)
        }
        return XMSS.root(context_, index, height, signature, XMSS.message(context_, index, salt, asker, hash));
    }

    function _parse(bytes calldata entry) private pure returns (address account, uint32 epoch, uint32 index) {
        assembly ("memory-safe") {
            let word := calldataload(entry.offset)
            account := shr(96, word)
            epoch := and(shr(64, word), 0xffffffff)
            index := and(shr(32, word), 0xffffffff)
        }
    }

    function _size(uint256 height) private pure returns (uint256) {
        return PREFIX_SIZE + XMSS.ONE_TIME_SIZE + 32 * height;
    }
}
