// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IGovernment} from "./interfaces/IGovernment.sol";
import {IParticipants} from "./interfaces/IParticipants.sol";

contract Government is IGovernment {
    struct Decision {
        bytes32 callsHash;
        uint64 dueAt;
        State state;
    }

    /// @inheritdoc IGovernment
    uint32 public constant GRACE = 30 days;

    /// @inheritdoc IGovernment
    uint32 public immutable LEAST_DELAY;

    /// @inheritdoc IGovernment
    IParticipants public immutable participants;

    /// @inheritdoc IGovernment
    ICertificates public immutable certificates;

    /// @inheritdoc IGovernment
    uint32 public delay;

    /// @inheritdoc IGovernment
    uint64 public decisions;

    /// @inheritdoc IGovernment
    uint64 public clientDecisions;

    /// @inheritdoc IGovernment
    mapping(uint16 id => uint64) public endpointChanges;

    mapping(uint64 number => Decision) private _decisions;

    constructor(address participants_, address certificates_, uint32 leastDelay) {
        if (participants_.code.length == 0) revert GovernmentImpossibleParameter("participants");
        if (certificates_.code.length == 0) revert GovernmentImpossibleParameter("certificates");
        if (leastDelay == 0) revert GovernmentImpossibleParameter("leastDelay");
        participants = IParticipants(participants_);
        certificates = ICertificates(certificates_);
        delay = LEAST_DELAY = leastDelay;
    }

    /// @inheritdoc IGovernment
    function takeOffice() external {
        uint256 active = participants.activeEdgeNodes();
        if (active == 0) revert GovernmentNobodyActive();
        emit GovernmentTookOffice(active);
        Ownable2Step(address(participants)).acceptOwnership();
    }

    /// @inheritdoc IGovernment
    function decide(Call[] calldata calls, bytes calldata certificate) external returns (uint64 number) {
        if (calls.length == 0) revert GovernmentNothingDecided();
        number = ++decisions;
        uint64 dueAt = uint64(block.timestamp) + delay;
        _decisions[number] = Decision({callsHash: _hash(calls), dueAt: dueAt, state: State.Waiting});
        emit GovernmentDecided(number, dueAt, calls);
        _requireQuorum(decisionHash(number, calls), certificate);
    }

    /// @inheritdoc IGovernment
    function enact(uint64 number, Call[] calldata calls) external {
        Decision storage decision_ = _waiting(number);
        uint64 dueAt = decision_.dueAt;
        if (block.timestamp < dueAt) revert GovernmentTooEarly(number, dueAt);
        if (block.timestamp > dueAt + GRACE) revert GovernmentTooLate(number, dueAt);
        if (_hash(calls) != decision_.callsHash) revert GovernmentOtherCalls(number);
        // Before the calls, so that none of them can enact it again.
        decision_.state = State.Enacted;
        emit GovernmentEnacted(number);
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory result) = calls[i].target.call(calls[i].data);
            // A call of an address without code succeeds, and does nothing: the quorum was wrong about the address.
            if (!success || calls[i].target.code.length == 0) revert GovernmentCallFailed(i, result);
        }
    }

    /// @inheritdoc IGovernment
    function revoke(uint64 number, bytes calldata certificate) external {
        _waiting(number).state = State.Revoked;
        emit GovernmentRevoked(number);
        _requireQuorum(revocationHash(number), certificate);
    }

    /// @inheritdoc IGovernment
    function decideClients(
        address[] calldata allowed,
        address[] calldata removed,
        bytes calldata certificate
    ) external {
        if (allowed.length == 0 && removed.length == 0) revert GovernmentNothingDecided();
        uint64 number = ++clientDecisions;
        emit GovernmentClientsDecided(number, allowed.length, removed.length);
        _requireQuorum(clientsHash(number, allowed, removed), certificate);
        if (allowed.length != 0) participants.allowClients(allowed);
        for (uint256 i = 0; i < removed.length; ++i) participants.removeClient(removed[i]);
    }

    /// @inheritdoc IGovernment
    function updateEndpoint(uint16 id, string calldata endpoint, bytes calldata entry) external {
        bytes32 hash = endpointHash(id, ++endpointChanges[id], endpoint);
        address[] memory accounts = certificates.signers(hash, entry);
        if (accounts.length != 1 || participants.edgeNodeId(accounts[0]) != id) revert GovernmentNotItsOwn(id);
        participants.updateEndpoint(id, endpoint);
    }

    /// @inheritdoc IGovernment
    function setDelay(uint32 delay_) external {
        if (msg.sender != address(this)) revert GovernmentOnlyByDecision(msg.sender);
        if (delay_ < LEAST_DELAY) revert GovernmentImpossibleParameter("delay");
        emit GovernmentDelayChanged(delay, delay_);
        delay = delay_;
    }

    /// @inheritdoc IGovernment
    function decisionHash(uint64 number, Call[] calldata calls) public view returns (bytes32) {
        return keccak256(abi.encode("BFL-MEC/v1/decision", block.chainid, address(this), number, calls));
    }

    /// @inheritdoc IGovernment
    function revocationHash(uint64 number) public view returns (bytes32) {
        return keccak256(abi.encode("BFL-MEC/v1/revocation", block.chainid, address(this), number));
    }

    /// @inheritdoc IGovernment
    function clientsHash(
        uint64 number,
        address[] calldata allowed,
        address[] calldata removed
    ) public view returns (bytes32) {
        return keccak256(abi.encode("BFL-MEC/v1/clients", block.chainid, address(this), number, allowed, removed));
    }

    /// @inheritdoc IGovernment
    function endpointHash(uint16 id, uint64 number, string calldata endpoint) public view returns (bytes32) {
        return keccak256(abi.encode("BFL-MEC/v1/endpoint", block.chainid, address(this), id, number, endpoint));
    }

    /// @inheritdoc IGovernment
    function decision(uint64 number) external view returns (State state, uint64 dueAt) {
        return (_decisions[number].state, _decisions[number].dueAt);
    }

    function _requireQuorum(bytes32 hash, bytes calldata certificate) private {
        address[] memory accounts = certificates.signers(hash, certificate);
        uint256 active = participants.requireActive(accounts);
        if (2 * accounts.length <= active) revert GovernmentQuorumMissed(accounts.length, active);
    }

    function _waiting(uint64 number) private view returns (Decision storage decision_) {
        decision_ = _decisions[number];
        if (decision_.state != State.Waiting) revert GovernmentNotWaiting(number, decision_.state);
    }

    function _hash(Call[] calldata calls) private pure returns (bytes32) {
        return keccak256(abi.encode(calls));
    }
}
