// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BFLLedger} from "../contracts/BFLLedger.sol";
import {IBFLLedger} from "../contracts/interfaces/IBFLLedger.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice Whatever bytes come, what is refused changes nothing.
contract Fuzz is World {
    function setUp() external {
        _found();
        for (uint256 key = 1; key <= 3; ++key) {
            participants.admitEdgeNode(vm.addr(key), bytes32(key), bytes32(key), "https://e");
            _insert(key);
        }
    }

    function testFuzz_noCertificateOfArbitraryBytesIsTaken(bytes calldata certificate) external {
        bytes memory transactions = _transactions(1, 1);
        (IBFLLedger.Header memory header, bytes memory list) = _next(transactions, vm.addr(keys[0]), new uint256[](0));
        _refusedUnchanged(header, 0, transactions, list, certificate);
    }

    function testFuzz_noOtherTransactionsAreTaken(bytes calldata transactions) external {
        bytes memory own = _transactions(1, 1);
        vm.assume(keccak256(transactions) != keccak256(own));
        (IBFLLedger.Header memory header, bytes memory list) = _next(own, vm.addr(keys[0]), new uint256[](0));
        bytes memory certificate = _certify(keccak256(abi.encode(header)), 0, 2);
        _refusedUnchanged(header, 0, transactions, list, certificate);
    }

    function testFuzz_noRewardListOfArbitraryBytesIsTaken(bytes calldata list) external {
        vm.assume(list.length != 0);
        bytes memory transactions = _transactions(THRESHOLD, 1);
        (IBFLLedger.Header memory header, ) = _next(transactions, vm.addr(keys[0]), new uint256[](0));
        header.rewardsTotal += uint128(BASE);
        bytes memory certificate = _certify(keccak256(abi.encode(header)), 0, 2);
        _refusedUnchanged(header, 0, transactions, list, certificate);
    }

    function testFuzz_aSealIsTakenExactlyBelowTheTarget(uint64 nonce, uint64 difficulty) external {
        difficulty = 1 + (difficulty % 16);
        IBFLLedger.Parameters memory parameters = ledger.parameters();
        parameters.difficulty = difficulty;
        ledger = new BFLLedger(parameters);
        bytes memory transactions = _transactions(1, 1);
        (IBFLLedger.Header memory header, bytes memory list) = _next(transactions, vm.addr(keys[0]), new uint256[](0));
        bytes32 hash = keccak256(abi.encode(header));
        bytes memory certificate = _certify(hash, 0, 2);
        bool isSealed = uint256(sha256(abi.encodePacked(nonce, hash))) < type(uint256).max / difficulty;
        try ledger.append(header, nonce, transactions, list, certificate) {
            require(isSealed, "no seal");
        } catch {
            require(!isSealed, "a seal was refused");
        }
    }

    function testFuzz_aClaimNeedsItsOwnProof(address account, uint256 amount, bytes32[] calldata proof) external {
        bytes memory transactions = _transactions(THRESHOLD, 1);
        uint256[] memory shares = new uint256[](1);
        shares[0] = BASE;
        (IBFLLedger.Header memory header, bytes memory list) = _next(transactions, vm.addr(keys[0]), shares);
        ledger.append(header, 0, transactions, list, _certify(keccak256(abi.encode(header)), 0, 2));
        try token.claim(account, amount, proof) {
            revert("a claim without a proof was paid");
        } catch {}
        require(token.totalSupply() == 0, "supply");
    }

    function testFuzz_onlyTheOwnerChangesTheRegistry(address caller, uint8 which) external {
        vm.assume(caller != address(this));
        address[] memory clients = new address[](1);
        clients[0] = address(1);
        bytes[6] memory calls = [
            abi.encodeCall(participants.allowClients, (clients)),
            abi.encodeCall(participants.removeClient, (address(1))),
            abi.encodeCall(participants.admitEdgeNode, (address(9), bytes32(uint256(1)), bytes32(uint256(1)), "e")),
            abi.encodeCall(participants.retireEdgeNode, (1)),
            abi.encodeCall(participants.replaceEdgeNodeKeys, (1, bytes32(uint256(1)), bytes32(uint256(1)))),
            abi.encodeCall(participants.updateEndpoint, (1, "e"))
        ];
        vm.prank(caller);
        (bool success, ) = address(participants).call(calls[which % 6]);
        require(!success, "a stranger changed the registry");
    }

    function testFuzz_unknownCalldataIsRefusedByEveryContract(
        bytes4 selector,
        bytes calldata data,
        uint8 which
    ) external {
        address[4] memory targets = [address(ledger), address(token), address(government), address(challenges)];
        (, uint64 number, , ) = ledger.head();
        (bool success, ) = targets[which % 4].call(abi.encodePacked(selector, data));
        (, uint64 after_, , ) = ledger.head();
        require(number == after_ && token.totalSupply() == 0, "arbitrary bytes changed the ledger");
        success;
    }

    function _refusedUnchanged(
        IBFLLedger.Header memory header,
        uint64 nonce,
        bytes memory transactions,
        bytes memory list,
        bytes memory certificate
    ) private {
        (bytes32 hash, uint64 number, uint64 anchor, uint32 pending) = ledger.head();
        try ledger.append(header, nonce, transactions, list, certificate) {
            revert("taken");
        } catch {}
        (bytes32 hash_, uint64 number_, uint64 anchor_, uint32 pending_) = ledger.head();
        require(hash == hash_ && number == number_ && anchor == anchor_ && pending == pending_, "changed");
    }
}
