// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBFLLedger} from "../contracts/interfaces/IBFLLedger.sol";
import {IChallenges} from "../contracts/interfaces/IChallenges.sol";
import {IGovernment} from "../contracts/interfaces/IGovernment.sol";
import {IParticipants} from "../contracts/interfaces/IParticipants.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice Everything that participants do, in any order, with a count of what should have come of it. A call that should
/// succeed and does not, or the other way round, fails the run.
contract LedgerHandler is World {
    struct Appended {
        IBFLLedger.Header header;
        bytes transactions;
    }

    uint256 public deposited;
    uint256 public paidOut;
    uint256 public lost;
    uint256 public minted;
    uint64 public height;
    uint64 public anchor;
    address public miner;
    uint256 private _lastKey = 100;
    mapping(uint64 number => Appended) private _blocks;
    mapping(address account => uint256) public claimedBy;

    constructor() {
        _found();
        for (uint256 i = 0; i < 3; ++i) _admitDirectly(++_lastKey);
        participants.transferOwnership(address(government));
        government.takeOffice();
        vm.deal(address(this), 1e30);
    }

    receive() external payable {}

    // ---------------------------------------------------------------- the ledger

    function append(uint8 count, uint8 first, uint8 rewarded, uint256 split) external {
        bytes memory transactions = _transactions(1 + (count % 6), height + 1);
        _appendAs(transactions, keys[first % keys.length], first, _shares(transactions, rewarded, split));
    }

    function appendByAMinority(uint8 first) external {
        if (keys.length < 2) return;
        bytes memory transactions = _transactions(1, height + 1);
        (IBFLLedger.Header memory header, bytes memory list) = _next(
            transactions,
            vm.addr(keys[first % keys.length]),
            new uint256[](0)
        );
        bytes memory certificate = _certify(keccak256(abi.encode(header)), first, keys.length / 2);
        _refused(header, transactions, list, certificate);
    }

    function appendSpoiled(uint8 kind, uint256 value) external {
        bytes memory transactions = _transactions(1 + (value % 6), height + 1);
        uint256[] memory shares = _shares(transactions, uint8(value), value);
        (IBFLLedger.Header memory header, bytes memory list) = _next(transactions, vm.addr(keys[0]), shares);
        bytes memory certificate;
        kind %= 8;
        if (kind == 0) header.number += uint64(1 + (value % 3));
        else if (kind == 1) header.parent = keccak256(abi.encode(value));
        else if (kind == 2) header.rewardsTotal += uint128(1 + (value % 1e6));
        else if (kind == 3) header.transactionCount += 1;
        else if (kind == 4) header.edgeNode = client(0);
        else if (kind == 5) transactions[value % transactions.length] ^= 0x01;
        else if (kind == 6) header.anchor += 1;
        else header.globalCodec ^= 0x01;
        certificate = _certify(keccak256(abi.encode(header)), 0, _majority());
        _refused(header, transactions, list, certificate);
    }

    /// @dev Whatever happened before: an honest majority can always append. Nothing of it is kept.
    function probe() external {
        uint256 state = vm.snapshotState();
        _appendAs(_transactions(1, height + 1), keys[0], 0, new uint256[](0));
        vm.revertToState(state);
    }

    function _appendAs(bytes memory transactions, uint256 key, uint256 first, uint256[] memory shares) private {
        address account = vm.addr(key);
        (IBFLLedger.Header memory header, bytes memory list) = _next(transactions, account, shares);
        bytes memory certificate = _certify(keccak256(abi.encode(header)), first % keys.length, _majority());
        ledger.append(header, 0, transactions, list, certificate);
        for (uint256 i = 0; i < shares.length; ++i) owed[client(i)] += shares[i];
        owed[account] += MINER;
        recorded += MINER + (shares.length == 0 ? 0 : BASE);
        (height, anchor, miner) = (header.number, header.anchor, account);
        _blocks[height] = Appended(header, transactions);
    }

    function _refused(
        IBFLLedger.Header memory header,
        bytes memory transactions,
        bytes memory list,
        bytes memory certificate
    ) private {
        try ledger.append(header, 0, transactions, list, certificate) {
            revert("a block was taken that should not be");
        } catch {}
    }

    /// @dev One to three positive shares of BASE, or none where no update is due.
    function _shares(
        bytes memory transactions,
        uint8 rewarded,
        uint256 split
    ) private view returns (uint256[] memory shares) {
        (, , , uint32 pending) = ledger.head();
        uint256 count = transactions.length / 86 + pending;
        if (count < THRESHOLD || rewarded % 4 == 0) return new uint256[](0);
        shares = new uint256[](rewarded % 4);
        uint256 left = BASE;
        for (uint256 i = 0; i + 1 < shares.length; ++i) {
            // At least one unit stays for each of those to come.
            shares[i] = 1 + (split % (left + i + 1 - shares.length));
            left -= shares[i];
            split /= 7;
        }
        shares[shares.length - 1] = left;
    }

    // ---------------------------------------------------------------- rewards

    function claim(uint8 index) external {
        if (height == 0) return;
        index %= 4;
        address account = index == 3 ? miner : client(index);
        bool isOwed = owed[account] > claimedBy[account];
        try token.claim(account, owed[account], _proof(index)) returns (uint256 amount) {
            require(isOwed, "a claim was paid twice");
            require(amount == owed[account] - claimedBy[account], "another amount than is owed");
            minted += amount;
            claimedBy[account] = owed[account];
        } catch {
            require(!isOwed, "what is owed was refused");
        }
    }

    function claimMore(uint8 index, uint96 more) external {
        if (height == 0 || more == 0) return;
        index %= 4;
        address account = index == 3 ? miner : client(index);
        try token.claim(account, owed[account] + more, _proof(index)) {
            revert("more was paid than is owed");
        } catch {}
    }

    function _proof(uint8 index) private view returns (bytes32[] memory proof) {
        bytes32[4] memory leaves;
        for (uint256 i = 0; i < 3; ++i) leaves[i] = _leaf(client(i), owed[client(i)]);
        leaves[3] = _leaf(miner, owed[miner]);
        proof = new bytes32[](2);
        proof[0] = leaves[index ^ 1];
        proof[1] = index < 2 ? _pair(leaves[2], leaves[3]) : _pair(leaves[0], leaves[1]);
    }

    // ---------------------------------------------------------------- government

    function admit() external {
        if (keys.length == 6) return;
        address account = vm.addr(++_lastKey);
        bytes32 key = bytes32(_lastKey);
        bytes memory data = abi.encodeCall(IParticipants.admitEdgeNode, (account, key, key, "https://e"));
        _govern(address(participants), data);
        _insert(_lastKey);
    }

    function retire(uint8 index) external {
        if (keys.length == 1) return;
        uint256 place = index % keys.length;
        uint16 id = participants.edgeNodeId(vm.addr(keys[place]));
        _govern(address(participants), abi.encodeCall(IParticipants.retireEdgeNode, (id)));
        _remove(place);
    }

    function hurry(uint32 seconds_) external {
        IGovernment.Call[] memory calls = new IGovernment.Call[](1);
        calls[0] = IGovernment.Call(address(participants), abi.encodeCall(IParticipants.retireEdgeNode, (1)));
        uint64 number = _decide(calls);
        vm.warp(block.timestamp + (seconds_ % DELAY));
        try government.enact(number, calls) {
            revert("a decision was hurried");
        } catch {}
    }

    function decideByAMinority(uint8 first) external {
        if (keys.length < 2) return;
        IGovernment.Call[] memory calls = new IGovernment.Call[](1);
        calls[0] = IGovernment.Call(address(participants), "");
        bytes32 hash = government.decisionHash(government.decisions() + 1, calls);
        try government.decide(calls, _certify(hash, first, keys.length / 2)) {
            revert("a minority decided");
        } catch {}
    }

    function _govern(address target, bytes memory data) private {
        IGovernment.Call[] memory calls = new IGovernment.Call[](1);
        calls[0] = IGovernment.Call(target, data);
        uint64 number = _decide(calls);
        vm.warp(block.timestamp + DELAY);
        government.enact(number, calls);
    }

    function _decide(IGovernment.Call[] memory calls) private returns (uint64) {
        bytes32 hash = government.decisionHash(government.decisions() + 1, calls);
        return government.decide(calls, _certify(hash, 0, _majority()));
    }

    function _admitDirectly(uint256 key) private {
        participants.admitEdgeNode(vm.addr(key), bytes32(key), bytes32(key), "https://e");
        _insert(key);
    }

    // ---------------------------------------------------------------- stakes

    function deposit(uint8 index, uint96 amount) external {
        if (amount == 0) return;
        challenges.deposit{value: amount}(vm.addr(101 + (index % (_lastKey - 100))));
        deposited += amount;
    }

    function challenge(uint8 back, uint8 accused) external {
        if (height == 0) return;
        uint64 number = height - (back % (height < WINDOW ? height : WINDOW));
        Appended storage found = _blocks[number];
        IChallenges.Record memory record = IChallenges.Record(found.header, found.transactions, 0, _shown(number));
        bytes[] memory entries = new bytes[](1 + (accused % 2));
        uint256 stakes = 0;
        for (uint256 i = 0; i < entries.length; ++i) {
            uint256 key = 101 + ((accused / 2 + i) % (_lastKey - 100));
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, certificates.digest(keccak256(abi.encode(found.header))));
            entries[i] = abi.encodePacked(r, s, v);
            if (i == 0 || _lastKey > 101) stakes += challenges.stakeOf(vm.addr(key));
        }
        challenges.announce(challenges.commitmentOf(number, address(this), 0));
        vm.roll(block.number + 1);
        uint256 before = address(this).balance;
        try challenges.challengeHeader(record, IChallenges.Accusation(entries, payable(address(this)), 0)) {
            uint256 gained = address(this).balance - before;
            require(gained <= stakes / 2, "a challenger got more than half");
            paidOut += gained;
            lost += stakes;
        } catch {
            require(stakes < 2, "a fault could not be challenged");
        }
    }

    function beginExit(uint8 index) external {
        address account = vm.addr(101 + (index % (_lastKey - 100)));
        try challenges.beginExit(account) {
            require(!participants.isActive(account), "an active edge node began to leave");
        } catch {}
    }

    function finishExit(uint8 index, uint32 seconds_) external {
        address account = vm.addr(101 + (index % (_lastKey - 100)));
        vm.warp(block.timestamp + (seconds_ % 40 days));
        uint256 before = account.balance;
        try challenges.finishExit(account) {
            require(!participants.isActive(account), "an active edge node took its stake out");
            paidOut += account.balance - before;
        } catch {}
    }

    // ---------------------------------------------------------------- what the invariants read

    function ledgerState() external view returns (uint64 number, uint64 anchor_, uint256 total) {
        (, number, anchor_, ) = ledger.head();
        (, total) = ledger.rewards();
    }

    function expectedTotal() external view returns (uint256) {
        return recorded;
    }

    function supply() external view returns (uint256) {
        return token.totalSupply();
    }

    function stakesHeld() external view returns (uint256 stakes, uint256 balance) {
        for (uint256 key = 101; key <= _lastKey; ++key) stakes += challenges.stakeOf(vm.addr(key));
        balance = address(challenges).balance;
    }

    function quorum() external view returns (uint256 counted, uint256 expected) {
        return (participants.activeEdgeNodes(), keys.length);
    }

    function isGoverned() external view returns (bool) {
        return participants.owner() == address(government);
    }
}
