// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {XMSSCertificates} from "../contracts/XMSSCertificates.sol";

/// @notice Signs with a tree of sixteen one-time keys, written out plainly, apart from the contract's own way of hashing.
contract XMSSSigner {
    uint256 private constant HEIGHT = 4;

    function step(
        bytes24 context,
        uint32 leaf,
        uint8 kind,
        uint8 height,
        uint8 chain,
        uint8 position
    ) private pure returns (bytes memory) {
        return abi.encodePacked(context, leaf, kind, height, chain, position);
    }

    function walk(
        bytes24 context,
        uint32 leaf,
        uint8 chain,
        uint8 from,
        uint8 to,
        bytes32 value
    ) private pure returns (bytes32) {
        for (uint8 i = from; i < to; ++i)
            value = keccak256(abi.encodePacked(step(context, leaf, 0, 0, chain, i), value));
        return value;
    }

    function secret(bytes24 context, uint32 leaf, uint8 chain, bytes32 seed) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(step(context, leaf, 4, 0, chain, 0), seed));
    }

    function tree(bytes24 context, bytes32 seed) public pure returns (bytes32[31] memory nodes) {
        for (uint32 leaf = 0; leaf < 16; ++leaf) {
            bytes memory ends;
            for (uint8 chain = 0; chain < 67; ++chain) {
                ends = abi.encodePacked(ends, walk(context, leaf, chain, 0, 15, secret(context, leaf, chain, seed)));
            }
            nodes[leaf] = keccak256(abi.encodePacked(step(context, leaf, 1, 0, 0, 0), ends));
        }
        uint256 below = 0;
        uint256 here = 16;
        for (uint8 height = 1; height <= HEIGHT; ++height) {
            for (uint32 i = 0; i < 16 >> height; ++i) {
                bytes memory tweak = step(context, i, 2, height, 0, 0);
                nodes[here + i] = keccak256(abi.encodePacked(tweak, nodes[below + 2 * i], nodes[below + 2 * i + 1]));
            }
            below = here;
            here += 16 >> height;
        }
    }

    function sign(
        bytes24 context,
        bytes32[31] memory nodes,
        bytes32 seed,
        uint32 leaf,
        address asker,
        bytes32 hash
    ) public pure returns (bytes memory signature) {
        bytes32 digest = keccak256(
            abi.encodePacked(step(context, leaf, 3, 0, 0, 0), bytes32(uint256(uint160(asker))), hash)
        );
        uint256 checksum = 0;
        for (uint8 chain = 0; chain < 67; ++chain) {
            uint8 digit =
                chain < 64
                    ? uint8((uint256(digest) >> (252 - 4 * uint256(chain))) & 15)
                    : uint8((checksum >> (8 - 4 * uint256(chain - 64))) & 15);
            if (chain < 64) checksum += 15 - digit;
            signature = abi.encodePacked(
                signature,
                walk(context, leaf, chain, 0, digit, secret(context, leaf, chain, seed))
            );
        }
        uint256 level = 0;
        for (uint256 height = 0; height < HEIGHT; ++height) {
            signature = abi.encodePacked(signature, nodes[level + ((leaf >> height) ^ 1)]);
            level += 16 >> height;
        }
    }
}

/// @notice Signatures in any order, made for this contract and for others, whole and damaged.
contract XMSSHandler {
    uint256 private constant ACCOUNTS = 2;

    XMSSCertificates public immutable certificates;
    XMSSSigner private immutable _signer = new XMSSSigner();
    mapping(address account => bytes32[31]) private _nodes;
    mapping(address account => bytes24) private _contexts;
    mapping(address account => mapping(uint32 epoch => mapping(uint32 index => bool))) public isUsed;
    mapping(address account => uint32) public lowest;
    uint256 public accepted;

    constructor(address registry) {
        certificates = new XMSSCertificates(registry);
    }

    function begin() external {
        for (uint256 i = 0; i < ACCOUNTS; ++i) _enroll(account(i));
    }

    function account(uint256 index) public pure returns (address) {
        return address(uint160(0xe000 + (index % ACCOUNTS)));
    }

    function use(uint8 who, uint32 index, uint8 spoil, uint256 value) external {
        address by = account(who);
        index %= 16;
        bytes32 hash = keccak256(abi.encode(value));
        bytes memory entry = _entry(by, index, spoil % 8 == 1 ? address(1) : address(this), hash);
        if (spoil % 8 == 2) entry[value % entry.length] ^= bytes1(uint8(1 << (value >> 8) % 8));
        if (spoil % 8 == 3) hash = ~hash;
        bool expected = (spoil % 8 == 0 || spoil % 8 > 3) && index >= lowest[by];
        uint32 epoch = certificates.tree(by).epoch;
        try certificates.signers(hash, entry) returns (address[] memory signers) {
            require(expected, "a signature was taken that should not be");
            require(signers.length == 1 && signers[0] == by, "another signer");
            require(!isUsed[by][epoch][index], "a key was taken twice");
            isUsed[by][epoch][index] = true;
            lowest[by] = index + 1;
            ++accepted;
        } catch {
            require(!expected, "a signature was refused that should be taken");
        }
    }

    function enrollAgain(uint8 who, uint8 chance) external {
        // Seldom, because a tree is a million gas to grow.
        if (chance < 32) _enroll(account(who));
    }

    function enrollAsStranger(uint8 who) external {
        (bool success, ) = address(new Stranger()).call(abi.encodeCall(Stranger.enroll, (certificates, account(who))));
        require(!success, "a stranger enrolled a tree");
    }

    function _enroll(address by) private {
        bytes24 context = certificates.context(by, certificates.tree(by).epoch + 1);
        _contexts[by] = context;
        _nodes[by] = _signer.tree(context, _seed(by));
        certificates.enroll(by, _nodes[by][30], 4);
        lowest[by] = 0;
    }

    function _entry(address by, uint32 index, address asker, bytes32 hash) private view returns (bytes memory) {
        bytes memory signature = _signer.sign(_contexts[by], _nodes[by], _seed(by), index, asker, hash);
        return abi.encodePacked(by, certificates.tree(by).epoch, index, uint16(0), signature);
    }

    function _seed(address by) private pure returns (bytes32) {
        return keccak256(abi.encode("seed", by));
    }
}

contract Stranger {
    function enroll(XMSSCertificates certificates, address account) external {
        certificates.enroll(account, bytes32(uint256(1)), 4);
    }
}

/// @notice Owned by whoever made it: all that the certificates ask of a registry.
contract Registry {
    address public owner;

    function setOwner(address owner_) external {
        owner = owner_;
    }
}

/// @notice No one-time key is accepted twice, and the next index only grows within a tree.
contract XMSSInvariants {
    XMSSHandler private _handler;
    mapping(address account => uint32) private _epoch;
    mapping(address account => uint32) private _next;

    function setUp() external {
        Registry registry = new Registry();
        _handler = new XMSSHandler(address(registry));
        registry.setOwner(address(_handler));
        _handler.begin();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](4);
        selectors[0] = XMSSHandler.use.selector;
        selectors[1] = XMSSHandler.use.selector;
        selectors[2] = XMSSHandler.enrollAgain.selector;
        selectors[3] = XMSSHandler.enrollAsStranger.selector;
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Signing in the EVM takes a hundred times as long as checking; hence fewer runs.
    /// forge-config: default.invariant.runs = 200
    /// forge-config: ci.invariant.runs = 30
    /// forge-config: long.invariant.runs = 400
    /// forge-config: long.invariant.depth = 50
    function invariant_positionsOnlyGrow() external {
        for (uint256 i = 0; i < 2; ++i) {
            address account = _handler.account(i);
            XMSSCertificates.Tree memory tree = _handler.certificates().tree(account);
            require(tree.nextIndex == _handler.lowest(account), "next index");
            require(tree.epoch > _epoch[account] || tree.nextIndex >= _next[account], "a tree went back");
            require(tree.epoch >= _epoch[account], "an epoch went back");
            (_epoch[account], _next[account]) = (tree.epoch, tree.nextIndex);
        }
    }
}
