// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BFLLedger} from "../contracts/BFLLedger.sol";
import {Challenges} from "../contracts/Challenges.sol";
import {ECDSACertificates} from "../contracts/ECDSACertificates.sol";
import {Government} from "../contracts/Government.sol";
import {IBFLLedger} from "../contracts/interfaces/IBFLLedger.sol";
import {Participants} from "../contracts/Participants.sol";
import {RewardToken} from "../contracts/RewardToken.sol";
import {vm} from "./Vm.sol";

/// @notice Says no to every signature: what a fault looks like. The real verifier has its own tests.
contract RefusingVerifier {
    function verify(bytes calldata, bytes32, bytes calldata, bytes calldata) external pure returns (bool) {
        return false;
    }
}

/// @notice A deployed consortium whose edge nodes have known keys, and its next block.
abstract contract World {
    uint256 internal constant BASE = 1000;
    uint256 internal constant MINER = 7;
    uint16 internal constant THRESHOLD = 4;
    uint64 internal constant WINDOW = 8;
    uint32 internal constant DELAY = 1 days;
    uint256 internal constant CLIENTS = 3;

    Participants internal participants;
    ECDSACertificates internal certificates;
    BFLLedger internal ledger;
    RewardToken internal token;
    Government internal government;
    Challenges internal challenges;

    /// Keys of active edge nodes, by ascending account.
    uint256[] internal keys;
    /// Whoever is ever owed something: three clients, and edge nodes as miners.
    mapping(address account => uint256) internal owed;
    uint256 internal recorded;

    function _found() internal {
        participants = new Participants(address(this), false);
        certificates = new ECDSACertificates();
        ledger = new BFLLedger(
            IBFLLedger.Parameters({
                participants: address(participants),
                certificates: address(certificates),
                difficulty: 1,
                aggregationThreshold: THRESHOLD,
                maxTransactions: 6,
                baseReward: uint96(BASE),
                minerReward: uint96(MINER),
                rulesDigest: bytes32(uint256(1)),
                archive: false,
                genesisDigest: bytes32(uint256(2)),
                genesisCodec: 0x55
            })
        );
        token = new RewardToken(ledger);
        government = new Government(address(participants), address(certificates), DELAY);
        challenges = new Challenges(address(ledger), address(new RefusingVerifier()), WINDOW);
    }

    function _insert(uint256 key) internal {
        keys.push(key);
        for (uint256 i = keys.length - 1; i > 0 && vm.addr(keys[i]) < vm.addr(keys[i - 1]); --i) {
            (keys[i], keys[i - 1]) = (keys[i - 1], keys[i]);
        }
    }

    function _remove(uint256 index) internal {
        for (uint256 i = index; i + 1 < keys.length; ++i) keys[i] = keys[i + 1];
        keys.pop();
    }

    /// @dev A certificate of `count` edge nodes from `first` on, in a circle.
    function _certify(bytes32 hash, uint256 first, uint256 count) internal view returns (bytes memory certificate) {
        bytes32 digest = certificates.digest(hash);
        for (uint256 i = 0; i < keys.length; ++i) {
            if ((i + keys.length - (first % keys.length)) % keys.length >= count) continue;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[i], digest);
            certificate = abi.encodePacked(certificate, r, s, v);
        }
    }

    function _majority() internal view returns (uint256) {
        return keys.length / 2 + 1;
    }

    function client(uint256 index) internal pure returns (address) {
        return address(uint160(0xc1000 + index));
    }

    /// @dev What the first transaction of a block shows as its local gradient header: none, so that it is a fault.
    function _shown(uint256 salt) internal pure returns (bytes memory) {
        return abi.encode("no local gradient header", salt);
    }

    /// @dev Packed transactions of the clients in turn.
    function _transactions(uint256 count, uint256 salt) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < count; ++i) {
            bytes32 gradient = i == 0 ? sha256(_shown(salt)) : keccak256(abi.encode("gradient", salt, i));
            packed = abi.encodePacked(packed, client(i % CLIENTS), uint16(1), gradient, bytes32(uint256(1)));
        }
    }

    /// @dev The header that comes next, paying what `shares` say, which sum to BASE or are empty.
    function _next(
        bytes memory transactions,
        address miner,
        uint256[] memory shares
    ) internal view returns (IBFLLedger.Header memory header, bytes memory rewardList) {
        (bytes32 parent, uint64 number, uint64 anchor, uint32 pending) = ledger.head();
        uint32 count = uint32(transactions.length / 86);
        bool isUpdate = pending + count >= THRESHOLD;
        (, uint128 total) = ledger.rewards();
        uint256[] memory amounts = new uint256[](CLIENTS);
        for (uint256 i = 0; i < shares.length; ++i) {
            rewardList = abi.encodePacked(rewardList, client(i), uint96(shares[i]));
            amounts[i] = shares[i];
        }
        uint128 paid = uint128((shares.length == 0 ? 0 : BASE) + MINER);
        header = IBFLLedger.Header({
            parent: parent,
            number: number + 1,
            anchor: isUpdate ? number + 1 : anchor,
            edgeNode: miner,
            transactionsHash: keccak256(transactions),
            transactionCount: count,
            bodyDigest: bytes32(uint256(3)),
            globalDigest: isUpdate ? keccak256(abi.encode("global", number)) : bytes32(0),
            globalCodec: isUpdate ? 0x55 : 0,
            rewardsRoot: _root(miner, amounts),
            rewardsTotal: total + paid
        });
    }

    /// @dev Root over the three clients and the miner with what they are owed after the block.
    function _root(address miner, uint256[] memory amounts) internal view returns (bytes32) {
        return
            _pair(
                _pair(_leaf(client(0), owed[client(0)] + amounts[0]), _leaf(client(1), owed[client(1)] + amounts[1])),
                _pair(_leaf(client(2), owed[client(2)] + amounts[2]), _leaf(miner, owed[miner] + MINER))
            );
    }

    function _leaf(address account, uint256 amount) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
    }

    function _pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
    }
}
